//===- library_bench.cpp - our float cores beside oneDNN -------------------===//
//
// One thread, the linears of image towers (M rows of a tile, K and N columns): the contraction core
// of the best level that this machine runs, as generated code calls it, and oneDNN as programs call
// it, one after the other in short rounds, and the machine's limit in the same round. CPU time;
// what is printed are medians over the rounds.
//
//   library-bench [ROUNDS]
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/native/NativeCores.h"
#include "compiler/pack/Layout.h"
#include "runtime/device/cpu/OneDnn.h"

#include <immintrin.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

using namespace llama4;
using microkernels::Activation;
using microkernels::kPanelRows;

namespace {

double cpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

template <typename Body> double seconds(Body body) {
  const double begin = cpuSeconds();
  body();
  return cpuSeconds() - begin;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + long(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Ten independent chains, as in core-bench; the multiply-adds of a call.
__attribute__((target("avx512f,avx512bf16"), noinline)) double pairPeak(int64_t steps) {
  const auto a = (__m512bh)_mm512_set1_epi16(0x3f80);
  __m512 c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm512_dpbf16_ps(x, a, a);
      asm volatile("" : "+v"(x));
    }
  return 320.0 * static_cast<double>(steps);
}

__attribute__((target("avx512f"), noinline)) double fmaPeak(int64_t steps) {
  __m512 a = _mm512_set1_ps(1.0001f), c[10] = {};
  for (int64_t i = 0; i < steps; ++i)
    for (auto &x : c) {
      x = _mm512_fmadd_ps(a, a, x);
      asm volatile("" : "+v"(x));
    }
  return 160.0 * static_cast<double>(steps);
}

/// Bytes at an aligned address, filled with small numbers of the type.
class Numbers {
public:
  Numbers(uint64_t bytes, ElementType type) : storage_(bytes + 64) {
    data_ = storage_.data();
    while (reinterpret_cast<uintptr_t>(data_) % 64 != 0)
      ++data_;
    for (uint64_t i = 0; i < bytes / elementBytes(type); ++i) {
      const float x = static_cast<float>(i * 7 % 17) - 8.0f;
      if (type == ElementType::BF16)
        std::memcpy(data_ + 2 * i, reinterpret_cast<const std::byte *>(&x) + 2, 2);
      else
        std::memcpy(data_ + 4 * i, &x, 4);
    }
  }
  std::byte *data() const { return data_; }

private:
  std::vector<std::byte> storage_;
  std::byte *data_;
};

void benchShape(const microkernels::NativeLevel &level, ElementType type, int64_t m, int64_t k,
                int64_t n, int rounds) {
  const bool pairs = type == ElementType::BF16;
  const auto encoding = pairs ? microkernels::Encoding::BFloat16 : microkernels::Encoding::Float32;
  const auto core = level.cores->find(pairs ? Activation::BF16 : Activation::F32, encoding);
  const auto stride = static_cast<int64_t>(rowBytes(type, uint32_t(k)));
  const auto panel = static_cast<int64_t>(pack::panelBytes(encoding, k));
  LibraryLinear linear{type, uint64_t(m), uint64_t(k), uint64_t(stride), {}};
  linear.segments.push_back({uint64_t(n), uint64_t(n) * 4});
  auto library = createOneDnnKernel(linear, 1);
  if (!library.ok()) {
    std::printf("skipped: %s\n", library.status().message().c_str());
    return;
  }
  Numbers rows(uint64_t(m * stride), type), weights(uint64_t(n / kPanelRows * panel), type);
  Numbers mine(uint64_t(m * n * 4), ElementType::F32),
      theirs(uint64_t(m * n * 4), ElementType::F32);
  const int64_t blocks = (m + 63) / 64, tile = (m + blocks - 1) / blocks;
  auto own = [&] {
    for (int64_t first = 0; first < m; first += tile)
      for (int64_t p = 0; p < n / kPanelRows; ++p)
        core(reinterpret_cast<float *>(mine.data()) + first * n + p * kPanelRows, n,
             rows.data() + first * stride, stride, weights.data() + p * panel,
             std::min(tile, m - first), k);
  };
  void *bindings[] = {rows.data(), weights.data(), theirs.data()};
  const auto calls = static_cast<uint32_t>(linear.calls());
  const l4_dispatch dispatch = {bindings, nullptr, nullptr, calls};
  auto other = [&] { (void)(*library)->run(dispatch, 0, calls, 0); };
  own();
  other();
  const bool wide = level.level->name != "x86-64-v3";
  const bool pairDots = pairs && level.level->name.find("+bf16") != std::string_view::npos;
  std::vector<double> ownTimes, otherTimes, ratios, peaks;
  for (int round = 0; round < rounds; ++round) {
    ownTimes.push_back(seconds(own));
    otherTimes.push_back(seconds(other));
    ratios.push_back(otherTimes.back() / ownTimes.back());
    double macs = 0;
    const double time =
        wide ? seconds([&] { macs = pairDots ? pairPeak(100000) : fmaPeak(100000); }) : 1;
    peaks.push_back(macs / time);
  }
  const double macs = static_cast<double>(m * k * n), peak = median(peaks);
  std::printf("%-5s %5ld %5ld %5ld %8.1f %5.0f %% %8.1f %5.0f %% %6.2f\n", pairs ? "bf16" : "f32",
              m, k, n, 1e-9 * macs / median(ownTimes), 100 * macs / median(ownTimes) / peak,
              1e-9 * macs / median(otherTimes), 100 * macs / median(otherTimes) / peak,
              median(ratios));
  std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  if (argc > 2 || rounds < 1) {
    std::fprintf(stderr, "usage: library-bench [ROUNDS]\n");
    return 2;
  }
  const microkernels::NativeLevel *level = nullptr;
  for (const microkernels::NativeLevel &one : microkernels::nativeLevels())
    if (one.runsHere)
      level = &one;
  if (!level)
    return 69;
  std::printf("%s, GMAC/s and share of the peak; the ratio is oneDNN's time by our own\n",
              std::string(level->level->name).c_str());
  std::printf("%-5s %5s %5s %5s %8s %7s %8s %7s %6s\n", "type", "M", "K", "N", "own", "peak",
              "oneDNN", "peak", "ratio");
  const int64_t shapes[][3] = {{577, 1408, 1408},  {577, 1408, 5632},  {577, 5632, 1408},
                               {1601, 1280, 1280}, {1601, 1280, 5120}, {1601, 5120, 1280}};
  for (ElementType type : {ElementType::BF16, ElementType::F32})
    for (const auto &[m, k, n] : shapes)
      benchShape(*level, type, m, k, n, rounds);
  return 0;
}
