//===- core_bench.cpp - the contraction cores next to the machine's limits ----===//
//
// One thread. Every figure stands beside limits measured in the same run, a moment before and a
// moment after it: vpdpbusd, vdpbf16ps or fma throughput of the level's vectors, and a read of
// memory. Times are CPU time, the best of several passes.
//
//   core-bench [--level NAME] [--core SUBSTRING] [--quick] [--cached]
//
// --quick takes one shape of each kind; with --cached all weights come from the caches.
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/native/NativeCores.h"
#include "compiler/pack/Layout.h"

#include <immintrin.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

using namespace llama4::microkernels;
namespace pack = llama4::pack;

namespace {

double cpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// Seconds of one call of `body`: the best of `rounds` passes of about `target` seconds each.
template <typename Body> double bestSeconds(Body body, int rounds = 5, double target = 0.02) {
  body();
  double once = cpuSeconds();
  body();
  once = std::max(cpuSeconds() - once, 1e-7);
  const int calls = std::max(1, static_cast<int>(target / once));
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const double begin = cpuSeconds();
    for (int i = 0; i < calls; ++i)
      body();
    best = std::min(best, (cpuSeconds() - begin) / calls);
  }
  return best;
}

/// Memory that is mapped in huge pages, as a program's weights are.
class Buffer {
public:
  explicit Buffer(size_t bytes) : size_((bytes + (2 << 20)) & ~size_t{(2 << 20) - 1}) {
    void *memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::fprintf(stderr, "core-bench: no memory for %zu bytes\n", size_);
      std::exit(70);
    }
    data_ = static_cast<std::byte *>(memory);
    madvise(data_, size_, MADV_HUGEPAGE);
    std::memset(data_, 1, size_);
  }
  ~Buffer() { munmap(data_, size_); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  std::byte *data() const { return data_; }
  size_t size() const { return size_; }

private:
  size_t size_;
  std::byte *data_;
};

// The probes keep ten independent chains in registers.
__attribute__((target("avx512f,avx512vnni"), noinline)) void dpbusdPeak(int64_t steps) {
  __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5), c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm512_dpbusd_epi32(x, a, b);
      asm volatile("" : "+v"(x));
    }
}

__attribute__((target("avx512f,avx512bf16"), noinline)) void dpbf16Peak(int64_t steps) {
  const auto a = (__m512bh)_mm512_set1_epi16(0x3f80);
  __m512 c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm512_dpbf16_ps(x, a, a);
      asm volatile("" : "+v"(x));
    }
}

__attribute__((target("avx512f"), noinline)) void fmaPeak512(int64_t steps) {
  __m512 a = _mm512_set1_ps(1.0001f), c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm512_fmadd_ps(a, a, x);
      asm volatile("" : "+v"(x));
    }
}

__attribute__((target("avx2,fma"), noinline)) void fmaPeak256(int64_t steps) {
  __m256 a = _mm256_set1_ps(1.0001f), c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm256_fmadd_ps(a, a, x);
      asm volatile("" : "+v"(x));
    }
}

__attribute__((target("avx2"), noinline)) void maddubsPeak(int64_t steps) {
  __m256i a = _mm256_set1_epi8(3), c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm256_maddubs_epi16(a, x);
      asm volatile("" : "+v"(x));
    }
}

__attribute__((target("avx2"), noinline)) int64_t readAll(const std::byte *data, size_t bytes) {
  __m256i sum[4] = {};
  for (size_t i = 0; i < bytes; i += 128)
    for (size_t j = 0; j < 4; ++j)
      sum[j] = _mm256_add_epi64(
          sum[j], _mm256_load_si256(reinterpret_cast<const __m256i *>(data + i + 32 * j)));
  sum[0] = _mm256_add_epi64(_mm256_add_epi64(sum[0], sum[1]), _mm256_add_epi64(sum[2], sum[3]));
  return _mm256_extract_epi64(sum[0], 0);
}

constexpr size_t kReadBytes = size_t{512} << 20;

/// The limits of this machine at one level, in 1e9 per second.
struct Limits {
  double integerMacs = 0, floatMacs = 0, bytes = 0;
  double pairMacs = 0; ///< of bfloat16, 0 where the level has no such instruction
};

Limits measureLimits(const NativeLevel &level, const Buffer &memory) {
  const bool wide = level.level->name != "x86-64-v3";
  constexpr int64_t steps = 200000;
  Limits limits;
  const double integer = bestSeconds([&] { wide ? dpbusdPeak(steps) : maddubsPeak(steps); }, 3);
  const double floats = bestSeconds([&] { wide ? fmaPeak512(steps) : fmaPeak256(steps); }, 3);
  limits.integerMacs = 1e-9 * 10 * steps * (wide ? 64 : 32) / integer;
  limits.floatMacs = 1e-9 * 10 * steps * (wide ? 16 : 8) / floats;
  if (level.level->features.find("avx512bf16") != std::string_view::npos)
    limits.pairMacs = 1e-9 * 10 * steps * 32 / bestSeconds([&] { dpbf16Peak(steps); }, 3);
  volatile int64_t sink = 0;
  limits.bytes =
      1e-9 * kReadBytes / bestSeconds([&] { sink = readAll(memory.data(), kReadBytes); }, 2);
  return limits;
}

struct Options {
  std::string level, core;
  bool quick = false, cached = false;
};

/// Activation rows of any form with small finite content.
void fillActivations(Activation activation, std::byte *rows, int64_t m, int64_t stride, int64_t k) {
  for (int64_t i = 0; i < m; ++i) {
    std::byte *row = rows + i * stride;
    for (int64_t j = 0; j < k; ++j) {
      const float x = static_cast<float>((i * 31 + j * 7) % 17 - 8);
      if (activation == Activation::F32)
        std::memcpy(row + j * 4, &x, 4);
      else if (activation == Activation::BF16)
        std::memcpy(row + j * 2, reinterpret_cast<const std::byte *>(&x) + 2, 2);
      else
        row[j] = static_cast<std::byte>(static_cast<int8_t>(x));
    }
    const l4_q8_block block = {0.01f, 0.01f, -128};
    if (activation == Activation::Q8)
      for (int64_t b = 0; b < k / 32; ++b)
        std::memcpy(row + k + b * int64_t{sizeof(block)}, &block, sizeof(block));
    const l4_q8_wide_block wide = {0.01f, 4, {1, 1, 1, 1}};
    if (activation == Activation::Q8_128)
      for (int64_t b = 0; b < k / 128; ++b)
        std::memcpy(row + k + b * int64_t{sizeof(wide)}, &wide, sizeof(wide));
  }
}

/// One core at one shape. Blocks of 64 tokens outside, panels inside, as generated code has it; a
/// weight for m = 1 and 8 comes from memory (256 MiB of panels), for m = 64 it is 1024 rows.
void benchLinear(const NativeLevel &level, const LinearCore &core, int64_t m, int64_t k,
                 const Buffer &weights, const Buffer &acts, float *out, const Limits &limits,
                 bool cached) {
  const LinearFunction function = level.cores->find(core.activation, core.encoding);
  const auto panel = static_cast<int64_t>(pack::panelBytes(core.encoding, k));
  const int64_t panels = m < 64 && !cached ? (int64_t{256} << 20) / panel : cached ? 4 : 64;
  const int64_t stride = core.activation == Activation::F32    ? k * 4
                         : core.activation == Activation::BF16 ? k * 2
                         : core.activation == Activation::Q8   ? (k / 32 * 44 + 63) / 64 * 64
                                                               : (k / 128 * 136 + 63) / 64 * 64;
  fillActivations(core.activation, acts.data(), m, stride, k);
  const int64_t outStride = panels * kPanelRows;
  const double seconds = bestSeconds([&] {
    for (int64_t p = 0; p < panels; ++p)
      function(out + p * kPanelRows, outStride, acts.data(), stride, weights.data() + p * panel, m,
               k);
  });
  const double macs = 1e-9 * static_cast<double>(panels * kPanelRows * m * k) / seconds;
  const double bytes = 1e-9 * static_cast<double>(panels * panel) / seconds;
  const bool pairs = limits.pairMacs > 0 && core.activation == Activation::BF16 &&
                     core.encoding == Encoding::BFloat16;
  const bool integers = core.activation == Activation::Q8 || core.activation == Activation::Q8_128;
  const double peak = integers ? limits.integerMacs : pairs ? limits.pairMacs : limits.floatMacs;
  std::printf("%-19s %-27s %5ld %4ld %8.1f %5.0f %% %8.1f %5.0f %%\n",
              std::string(level.level->name).c_str(), std::string(core.symbol).c_str(), k, m, macs,
              100 * macs / peak, bytes, 100 * bytes / limits.bytes);
}

/// Prefill of `tokens` tokens (or a decode of the last one) for one KV head.
void benchAttention(const NativeLevel &level, const AttentionCore &core, int64_t group,
                    int64_t headDim, int64_t context, int64_t tokens, const Limits &limits) {
  const int64_t pages = context / L4_PAGE_TOKENS, width = group * headDim;
  const int64_t pageBytes = kvPageBytes(core.type, 1, headDim);
  Buffer pool(static_cast<size_t>(pages * pageBytes));
  std::memset(pool.data(), 0, pool.size());
  std::vector<int32_t> table(static_cast<size_t>(pages)), sequence(static_cast<size_t>(tokens));
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<int32_t>(i);
  std::vector<int64_t> position(static_cast<size_t>(tokens));
  for (int64_t t = 0; t < tokens; ++t)
    position[static_cast<size_t>(t)] = context - tokens + t;
  l4_step step = {};
  step.position = position.data();
  step.sequence = sequence.data();
  step.page_table[0] = table.data();
  step.page_stride[0] = static_cast<uint32_t>(pages);
  std::vector<float> q(static_cast<size_t>(tokens * width), 0.01f), out(q.size());
  Buffer scratch(static_cast<size_t>(attentionScratchBytes(group, headDim)));
  const double seconds = bestSeconds([&] {
    for (int64_t t = 0; t < tokens; t += kAttentionTokens)
      level.cores->find(core.type)(out.data() + t * width, width, q.data(), width, &step, 0,
                                   pool.data(), 0, t, std::min(t + kAttentionTokens, tokens), 1,
                                   group, headDim, 0, 0.125f, scratch.data());
  });
  double keys = 0;
  for (int64_t at : position)
    keys += static_cast<double>(at + 1);
  const double macs = 1e-9 * keys * static_cast<double>(2 * width) / seconds;
  const double bytes = 1e-9 * static_cast<double>(pages * pageBytes) / seconds;
  std::printf("%-19s %-24s g=%ld d=%-3ld context %5ld tokens %4ld %7.1f GMAC/s %4.0f %% fma %7.1f "
              "GB/s\n",
              std::string(level.level->name).c_str(), std::string(core.symbol).c_str(), group,
              headDim, context, tokens, macs, 100 * macs / limits.floatMacs, bytes);
}

void printRows(const NativeLevel &level, std::string_view symbol, const std::string &shape,
               double macs, double bytes, double seconds, const Limits &limits) {
  std::printf("%-19s %-24s %s %8.3f ms %7.1f GMAC/s %4.0f %% fma %6.1f GB/s %4.0f %% read\n",
              std::string(level.level->name).c_str(), std::string(symbol).c_str(), shape.c_str(),
              1e3 * seconds, 1e-9 * macs / seconds, 1e-7 * macs / seconds / limits.floatMacs,
              1e-9 * bytes / seconds, 1e-7 * bytes / seconds / limits.bytes);
}

/// One head of 16 of a unit without padding.
void benchUnitAttention(const NativeLevel &level, const UnitAttentionCore &core, int64_t rows,
                        int64_t headDim, const Limits &limits) {
  const int64_t stride = 16 * headDim;
  const size_t bytes = core.type == KvType::BFloat16 ? 2 : 4;
  std::vector<float> out(static_cast<size_t>(rows * stride), 0.01f);
  std::vector<std::byte> data[3];
  for (std::vector<std::byte> &matrix : data)
    matrix.assign(out.size() * bytes, std::byte{0x3c});
  Buffer scratch(static_cast<size_t>(unitAttentionScratchBytes(headDim)));
  const double seconds = bestSeconds([&] {
    for (int64_t row = 0; row < rows; row += kUnitAttentionRows)
      level.cores->unitAttention[static_cast<size_t>(core.type)](
          out.data() + row * stride, stride, data[0].data(), data[1].data(), data[2].data(), stride,
          row, std::min(row + kUnitAttentionRows, rows), rows, headDim, 1, rows, 1, 0.125f,
          scratch.data());
  });
  printRows(level, core.symbol, "d=" + std::to_string(headDim) + " rows " + std::to_string(rows),
            static_cast<double>(2 * rows * rows * headDim),
            static_cast<double>(2 * rows * headDim) * static_cast<double>(bytes), seconds, limits);
}

/// `tokens` tokens over one image of four tiles, 4 query heads for each of 8 KV heads in turn: keys
/// and values of 52 MB come from memory.
void benchCrossAttention(const NativeLevel &level, int64_t tokens, const Limits &limits) {
  constexpr int64_t kHeadDim = 128, kKvHeads = 8, kGroup = 4, kGroups = 4, kRows = 1601;
  constexpr int64_t stride = kHeadDim * kKvHeads, width = stride * kGroup;
  Buffer k(kGroups * kRows * stride * 4), v(kGroups * kRows * stride * 4);
  for (const Buffer *buffer : {&k, &v})
    std::memset(buffer->data(), 0, buffer->size());
  std::vector<float> q(static_cast<size_t>(tokens * width), 0.01f), out(q.size());
  const std::vector<int32_t> first(static_cast<size_t>(tokens), 0);
  const std::vector<int32_t> count(static_cast<size_t>(tokens), 1);
  const int32_t tiles = kGroups;
  Buffer scratch(static_cast<size_t>(crossAttentionScratchBytes(kGroup, kHeadDim)));
  const double seconds = bestSeconds([&] {
    for (int64_t head = 0; head < kKvHeads; ++head)
      for (int64_t t = 0; t < tokens; t += kAttentionTokens)
        level.cores->crossAttention(out.data() + t * width + head * kGroup * kHeadDim, width,
                                    q.data() + head * kGroup * kHeadDim, width,
                                    reinterpret_cast<const float *>(k.data()) + head * kHeadDim,
                                    reinterpret_cast<const float *>(v.data()) + head * kHeadDim,
                                    stride, first.data(), count.data(), &tiles, t,
                                    std::min(t + kAttentionTokens, tokens), kGroups, kRows, kGroup,
                                    kHeadDim, 0.125f, scratch.data());
  });
  printRows(level, findCrossAttention()->symbol,
            "g=4 d=128 4x1601 keys tokens " + std::to_string(tokens),
            static_cast<double>(2 * tokens * width * kGroups * kRows),
            static_cast<double>(2 * kGroups * kRows * stride * 4), seconds, limits);
}

void benchLevel(const NativeLevel &level, const Options &options) {
  const bool wide = level.level->name != "x86-64-v3";
  Buffer memory(kReadBytes);
  // Every bit pattern of 0x3c01 is a small number as float16, bfloat16, float32 and quants.
  for (size_t i = 1; i < memory.size(); i += 2)
    memory.data()[i] = std::byte{0x3c};
  Buffer acts(64 * 8192 * 4 + 4096);
  std::vector<float> out(size_t{256} << 20 >> 2);
  const Limits limits = measureLimits(level, memory);
  std::printf("%s: %s %.1f GMAC/s, fma %.1f GMAC/s, read %.1f GB/s\n",
              std::string(level.level->name).c_str(), wide ? "vpdpbusd" : "vpmaddubsw",
              limits.integerMacs, limits.floatMacs, limits.bytes);
  if (limits.pairMacs > 0)
    std::printf("%s: vdpbf16ps %.1f GMAC/s\n", std::string(level.level->name).c_str(),
                limits.pairMacs);
  std::printf("%-19s %-27s %5s %4s %8s %7s %8s %7s\n", "level", "core", "K", "m", "GMAC/s", "peak",
              "GB/s", "read");
  for (const LinearCore &core : linearCores()) {
    if (core.symbol.find(options.core) == std::string_view::npos)
      continue;
    for (int64_t k : {576, 1536, 2048, 8192})
      for (int64_t m : {1, 2, 4, 8, 64})
        if (k % core.kMultiple == 0 && (!options.quick || k == 2048))
          benchLinear(level, core, m, k, memory, acts, out.data(), limits, options.cached);
  }
  for (const AttentionCore &core : attentionCores()) {
    if (core.symbol.find(options.core) == std::string_view::npos)
      continue;
    for (int64_t group : {1, 3, 4, 8})
      for (int64_t headDim : {64, 128})
        for (int64_t tokens : {1, 512})
          if (!options.quick || group == 4)
            benchAttention(level, core, group, headDim, tokens == 1 ? 2048 : 512, tokens, limits);
  }
  for (KvType type : {KvType::Float32, KvType::BFloat16}) {
    const UnitAttentionCore &core = *findUnitAttention(type);
    if (core.symbol.find(options.core) == std::string_view::npos)
      continue;
    for (int64_t rows : {1601, 577})
      for (int64_t headDim : {80, 88, 64})
        if (!options.quick || rows == 577)
          benchUnitAttention(level, core, rows, headDim, limits);
  }
  if (findCrossAttention()->symbol.find(options.core) != std::string_view::npos)
    for (int64_t tokens : {1, 4, 16, 64})
      if (!options.quick || tokens == 1)
        benchCrossAttention(level, tokens, limits);
  const Limits after = measureLimits(level, memory);
  std::printf("afterwards: %.1f GMAC/s, fma %.1f GMAC/s, read %.1f GB/s\n\n", after.integerMacs,
              after.floatMacs, after.bytes);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--level" && i + 1 < argc)
      options.level = argv[++i];
    else if (argument == "--core" && i + 1 < argc)
      options.core = argv[++i];
    else if (argument == "--quick")
      options.quick = true;
    else if (argument == "--cached")
      options.cached = true;
    else {
      std::fprintf(stderr,
                   "usage: core-bench [--level NAME] [--core SUBSTRING] [--quick] [--cached]\n");
      return 2;
    }
  }
  for (const NativeLevel &level : nativeLevels())
    if (level.runsHere && (options.level.empty() || options.level == level.level->name))
      benchLevel(level, options);
  return 0;
}
