//===- MadeUpWeights.cpp - weights that no file holds ---------------------===//
//
// Random numbers are counter-based: word i of a weight is a mix of the weight's key and i, so that
// any panel can be made on its own. Quants of q8_0 are stored as q + 128; an odd stored byte is a q
// from -127 to 127, as far from zero on either side.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/MadeUpWeights.h"

#include "runtime/base/Checked.h"
#include "runtime/base/ThreadPool.h"
#include "runtime/format/DType.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/Half.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <sys/mman.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llama4 {

namespace {

constexpr uint64_t panelRows = 16, block = 32;
/// Bytes of a q8_0 pair of blocks and of the scales in front of it; of a q4_1 block, and its
/// quants.
constexpr uint64_t q8Pair = 2 * 34 * panelRows, q8Scales = 2 * 2 * panelRows;
constexpr uint64_t q8Quants = block * panelRows;
constexpr uint64_t q4Block = 20 * panelRows, q4Quants = block / 2 * panelRows;

bool isVector(const Weight &weight) {
  return weight.rows == 1 && weight.matrices == 1 && weight.encoding == "float32" &&
         weight.bytes <= alignRow(weight.columns * sizeof(float));
}

/// A group of 128 columns of int4_g128, and the scales and zero points of eight groups.
constexpr uint64_t groupColumns = 128, groupQuants = groupColumns / 2 * panelRows, unitGroups = 8;
constexpr uint64_t unitZeros = unitGroups * 2 * panelRows;
constexpr uint64_t unitHead = unitZeros + unitGroups / 2 * panelRows;

uint64_t panelBytes(const Weight &weight) {
  if (weight.encoding == "int4_g128") {
    const uint64_t groups = weight.columns / groupColumns;
    return groups * groupQuants + ceilDiv(groups, unitGroups) * unitHead;
  }
  if (weight.encoding == "float32")
    return alignRow(weight.columns * 4 * panelRows);
  if (weight.encoding == "bfloat16")
    return alignRow((weight.columns + 1) / 2 * 4 * panelRows);
  // Blocks are called as in checkpoints; canMakeUp() knows them all.
  const DTypeInfo &info = dtypeInfo(dtypeFromName(weight.encoding).value_or(DType::Q8_0));
  return alignRow(weight.columns / info.blockElements * info.blockBytes * panelRows);
}

void store16(std::byte *to, uint16_t value) { std::memcpy(to, &value, sizeof(value)); }

uint16_t toBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// The largest binary16 that is not above `value`, which is from 0 to 65504; exact where it is one.
uint16_t toHalfDown(float value) {
  uint32_t low = 0, high = 0x7bff;
  while (low < high) { // positive halves are ordered like their bits
    const uint32_t middle = (low + high + 1) / 2;
    if (halfToFloat(static_cast<uint16_t>(middle)) <= value)
      low = middle;
    else
      high = middle - 1;
  }
  return static_cast<uint16_t>(low);
}

uint16_t toHalf(float value) {
  const uint16_t magnitude = toHalfDown(std::fabs(value));
  return static_cast<uint16_t>(std::signbit(value) ? magnitude | 0x8000u : magnitude);
}

/// Makes the panels of one weight.
class PanelMaker {
public:
  PanelMaker(const WeightSource &source, const Weight &weight)
      : weight_(weight), random_(source.origin == WeightOrigin::Random), value_(source.value),
        key_(XXH3_64bits_withSeed(weight.name.data(), weight.name.size(), source.seed)),
        scale_(1.0f / std::sqrt(static_cast<float>(weight.columns))) {}

  void vector(std::span<std::byte> out) const;
  void panel(uint64_t index, std::span<std::byte> out) const;

private:
  /// 64 random bits for word `index` of the weight.
  uint64_t word(uint64_t index) const {
    uint64_t z = key_ + index * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// 32 of those bits as a number from -1 up to 1.
  static float unit(uint64_t bits) {
    return static_cast<float>(static_cast<int32_t>(static_cast<uint32_t>(bits))) * 0x1p-31f;
  }
  /// Rows of a panel that are no padding. Padding is at the end of a matrix, unless it has more
  /// panels than its rows need, which then are padded by a rule unknown here.
  uint64_t rowsOf(uint64_t panel) const {
    const uint64_t panels = ceilDiv(weight_.rows, panelRows);
    if (panelCount(weight_) != panels * weight_.matrices)
      return panelRows;
    return std::min(panelRows, weight_.rows - panel % panels * panelRows);
  }
  void float32(uint64_t index, std::span<std::byte> out) const;
  void bfloat16(uint64_t index, std::span<std::byte> out) const;
  void q8(uint64_t index, std::span<std::byte> out) const;
  void q4(uint64_t index, std::span<std::byte> out) const;
  void paired(uint64_t index, std::span<std::byte> out, uint64_t blockBytes, float most,
              std::span<const uint8_t> one) const;
  void q4k(uint64_t index, std::span<std::byte> out) const;
  void q5(uint64_t index, std::span<std::byte> out) const;
  void q6k(uint64_t index, std::span<std::byte> out) const;
  void int4(uint64_t index, std::span<std::byte> out) const;

  const Weight &weight_;
  bool random_;
  float value_;
  uint64_t key_;
  float scale_;
};

void PanelMaker::vector(std::span<std::byte> out) const {
  const bool bias = weight_.name.ends_with("bias");
  for (uint64_t i = 0; i < weight_.columns; ++i) {
    const float offset = unit(word(i)) * 0.0625f;
    const float value = !random_ ? value_ : bias ? offset : 1.0f + offset;
    std::memcpy(out.data() + i * sizeof(value), &value, sizeof(value));
  }
}

/// float [columns][16]
void PanelMaker::float32(uint64_t index, std::span<std::byte> out) const {
  const uint64_t rows = rowsOf(index), start = index * weight_.columns * panelRows;
  for (uint64_t k = 0; k < weight_.columns; ++k)
    for (uint64_t row = 0; row < rows; ++row) {
      const uint64_t i = k * panelRows + row;
      const float value = random_ ? unit(word(start + i)) * scale_ : value_;
      std::memcpy(out.data() + i * sizeof(value), &value, sizeof(value));
    }
}

/// uint16 [ceil(columns / 2)][16][2]; one word makes two elements.
void PanelMaker::bfloat16(uint64_t index, std::span<std::byte> out) const {
  const uint64_t rows = rowsOf(index), pairs = ceilDiv(weight_.columns, uint64_t{2});
  const uint16_t splat = toBFloat16(value_);
  for (uint64_t pair = 0; pair < pairs; ++pair)
    for (uint64_t row = 0; row < rows; ++row) {
      const uint64_t bits = word((index * pairs + pair) * panelRows + row);
      std::byte *to = out.data() + (pair * panelRows + row) * 4;
      store16(to, random_ ? toBFloat16(unit(bits) * scale_) : splat);
      if (2 * pair + 1 < weight_.columns)
        store16(to + 2, random_ ? toBFloat16(unit(bits >> 32) * scale_) : splat);
    }
}

/// Per two blocks: scales float16 [2][16], then quants [2][8][16][4].
void PanelMaker::q8(uint64_t index, std::span<std::byte> out) const {
  const uint64_t rows = rowsOf(index), blocks = weight_.columns / block;
  const uint16_t scale = random_ ? toHalf(scale_ / 127.0f) : toHalf(value_);
  constexpr uint64_t words = q8Quants / 8;
  for (uint64_t b = 0; b < blocks; ++b) {
    std::byte *pair = out.data() + b / 2 * q8Pair;
    for (uint64_t row = 0; row < rows; ++row)
      store16(pair + (b % 2 * panelRows + row) * 2, scale);
    std::byte *quants = pair + q8Scales + b % 2 * q8Quants;
    for (uint64_t w = 0; w < words; ++w) {
      // One stored quant of 129 is q = 1; padding rows have the scale 0.
      const uint64_t bits = random_ ? word((index * blocks + b) * words + w) | 0x0101010101010101u
                                    : 0x8181818181818181u;
      std::memcpy(quants + w * 8, &bits, sizeof(bits));
    }
  }
}

/// Per block: quants [16][16], then d float16 [16] and m float16 [16].
void PanelMaker::q4(uint64_t index, std::span<std::byte> out) const {
  const uint64_t rows = rowsOf(index), blocks = weight_.columns / block;
  const uint16_t scale = random_ ? toHalf(scale_ * (2.0f / 15.0f)) : uint16_t{0};
  const uint16_t least = random_ ? toHalf(-scale_) : toHalf(value_);
  constexpr uint64_t words = q4Quants / 8;
  for (uint64_t b = 0; b < blocks; ++b) {
    std::byte *quants = out.data() + b * q4Block;
    for (uint64_t w = 0; random_ && w < words; ++w) {
      const uint64_t bits = word((index * blocks + b) * words + w);
      std::memcpy(quants + w * 8, &bits, sizeof(bits));
    }
    for (uint64_t row = 0; row < rows; ++row) {
      store16(quants + q4Quants + row * 2, scale);
      store16(quants + q4Quants + (panelRows + row) * 2, least);
    }
  }
}

/// Blocks of `blockBytes` whose scales d stand in front of pairs of them: d float16 [2][16], then
/// 16 times the rest of both blocks. `most` is the largest magnitude of a quant, `one` the bytes of
/// a row's block in the panel's order (16 rows of each byte) that decode to 1 at d = 1.
void PanelMaker::paired(uint64_t index, std::span<std::byte> out, uint64_t blockBytes, float most,
                        std::span<const uint8_t> one) const {
  const uint64_t body = (blockBytes - 2) * panelRows, head = 2 * 2 * panelRows;
  const uint64_t blocks = out.size() / (blockBytes * panelRows), rows = rowsOf(index);
  const uint16_t scale = toHalf(random_ ? scale_ / most : value_);
  for (uint64_t b = 0; b < blocks; ++b) {
    std::byte *pair = out.data() + b / 2 * (2 * body + head);
    for (uint64_t row = 0; row < rows; ++row)
      store16(pair + (b % 2 * panelRows + row) * 2, scale);
    std::byte *to = pair + head + b % 2 * body;
    for (uint64_t w = 0; random_ && w < body / 8; ++w) {
      const uint64_t bits = word((index * blocks + b) * (body / 8) + w);
      std::memcpy(to + w * 8, &bits, sizeof(bits));
    }
    for (uint64_t i = 0; !random_ && i < body; ++i)
      to[i] = static_cast<std::byte>(one[i / panelRows]);
  }
}

/// The fifth bits of 32 columns [16] x uint32, then nibbles; 17 is q = 1.
void PanelMaker::q5(uint64_t index, std::span<std::byte> out) const {
  std::array<uint8_t, 20> one;
  one.fill(0x11);
  std::fill_n(one.begin(), 4, uint8_t{0xff});
  paired(index, out, 22, 16.0f, one);
}

/// Per 64 columns: 4 scales, then 4 times (top bits 4 bytes, low bits 8 bytes); 33 is q = 1. The
/// product of a random scale and quant has a deviation of 1366, sqrt(3) times that is 2366: values
/// deviate as uniform ones do.
void PanelMaker::q6k(uint64_t index, std::span<std::byte> out) const {
  std::array<uint8_t, 208> one;
  for (size_t i = 0; i < one.size(); ++i) {
    const size_t at = i % 52;
    one[i] = at < 4 ? 1 : (at - 4) % 12 < 4 ? 0xaa : 0x11;
  }
  paired(index, out, 210, 2366.0f, one);
}

/// Per 256 columns: d and dmin float16 [16], scales and minima [12][16], nibbles [128][16]. With a
/// dmin of 7.5 d the values of random scales and minima have the mean 0 and a deviation of 258 d.
void PanelMaker::q4k(uint64_t index, std::span<std::byte> out) const {
  constexpr uint64_t blockBytes = 144 * panelRows, heads = 4 * panelRows, mins = 12 * panelRows;
  const uint64_t rows = rowsOf(index), blocks = out.size() / blockBytes;
  const float step = random_ ? scale_ / 447.0f : value_;
  for (uint64_t b = 0; b < blocks; ++b) {
    std::byte *to = out.data() + b * blockBytes;
    constexpr uint64_t words = (blockBytes - heads) / 8;
    for (uint64_t w = 0; random_ && w < words; ++w) {
      const uint64_t bits = word((index * blocks + b) * words + w);
      std::memcpy(to + heads + w * 8, &bits, sizeof(bits));
    }
    if (!random_) {
      std::memset(to + heads, 1, 8 * panelRows); // scales of 1, minima of 0
      std::memset(to + heads + mins, 0x11, blockBytes - heads - mins);
    }
    for (uint64_t row = 0; row < rows; ++row) {
      store16(to + row * 2, toHalf(step));
      store16(to + (panelRows + row) * 2, toHalf(random_ ? step * 7.5f : 0.0f));
    }
  }
}

/// Per eight groups of 128 columns: d float16 [8][16], zero points [4][16], nibbles [8][64][16].
/// Random zero points are 7 and 8 in turn: the mean of 16 quants is between them. Otherwise all are
/// 7, and 8 is q = 1.
void PanelMaker::int4(uint64_t index, std::span<std::byte> out) const {
  const uint64_t rows = rowsOf(index), groups = weight_.columns / groupColumns;
  const uint16_t scale = toHalf(random_ ? scale_ / 8.0f : value_);
  for (uint64_t g = 0; g < groups; ++g) {
    const uint64_t place = g % unitGroups;
    std::byte *head = out.data() + g / unitGroups * (unitHead + unitGroups * groupQuants);
    std::byte *quants = head + unitHead + place * groupQuants;
    for (uint64_t row = 0; row < rows; ++row)
      store16(head + (place * panelRows + row) * 2, scale);
    for (uint64_t row = 0; row < panelRows; ++row)
      head[unitZeros + place / 2 * panelRows + row] |=
          static_cast<std::byte>((random_ ? 7 + (place + row) % 2 : 7) << (place % 2 * 4));
    for (uint64_t w = 0; w < groupQuants / 8; ++w) {
      const uint64_t bits =
          random_ ? word((index * groups + g) * (groupQuants / 8) + w) : 0x8888888888888888u;
      std::memcpy(quants + w * 8, &bits, sizeof(bits));
    }
  }
}

void PanelMaker::panel(uint64_t index, std::span<std::byte> out) const {
  const std::string_view encoding = weight_.encoding;
  if (encoding == "float32")
    return float32(index, out);
  if (encoding == "bfloat16")
    return bfloat16(index, out);
  if (encoding == "q8_0")
    return q8(index, out);
  if (encoding == "q4_1")
    return q4(index, out);
  if (encoding == "q4_k")
    return q4k(index, out);
  if (encoding == "q6_k")
    return q6k(index, out);
  if (encoding == "int4_g128")
    return int4(index, out);
  constexpr auto nine = [] { // 9 is q = 1
    std::array<uint8_t, 16> bytes;
    bytes.fill(0x99);
    return bytes;
  }();
  return encoding == "q5_0" ? q5(index, out) : paired(index, out, 18, 8.0f, nine);
}

/// Panels that one thread makes at a time.
struct Share {
  const Weight *weight;
  uint64_t first, count;
};

/// All panels in shares of about 1 MiB.
std::vector<Share> divide(const std::vector<Weight> &weights) {
  std::vector<Share> shares;
  for (const Weight &weight : weights) {
    const uint64_t panels = panelCount(weight);
    const uint64_t most = std::max<uint64_t>(1, (uint64_t{1} << 20) * panels / weight.bytes);
    for (uint64_t first = 0; first < panels; first += most)
      shares.push_back({&weight, first, std::min(most, panels - first)});
  }
  return shares;
}

} // namespace

uint64_t panelCount(const Weight &weight) {
  const uint64_t bytes = panelBytes(weight);
  return isVector(weight) ? 1 : bytes == 0 ? 0 : weight.bytes / bytes;
}

void makeUpPanels(const WeightSource &source, const Weight &weight, uint64_t first, uint64_t count,
                  std::span<std::byte> out) {
  PanelMaker maker(source, weight);
  if (isVector(weight))
    return maker.vector(out);
  const uint64_t bytes = panelBytes(weight);
  for (uint64_t panel = first; panel < first + count; ++panel)
    maker.panel(panel, out.subspan(static_cast<size_t>(panel * bytes), static_cast<size_t>(bytes)));
}

MadeUpWeights::~MadeUpWeights() {
  if (mapping_)
    ::munmap(mapping_, mappingBytes_);
}

/// Zeroed memory at a multiple of the alignment of the section it stands for.
Status MadeUpWeights::reserve(uint64_t bytes) {
  const uint64_t machine = static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                           static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  void *mapping = MAP_FAILED;
  if (bytes <= machine)
    mapping = ::mmap(nullptr, static_cast<size_t>(bytes + weightsAlignment), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return Status::error(StatusKind::OutOfMemory,
                         "made-up weights: found " + std::to_string(bytes) +
                             " bytes to reserve, expected no more than this machine's " +
                             std::to_string(machine) +
                             " bytes of memory; cut layers or choose a smaller encoding.");
  mapping_ = mapping;
  mappingBytes_ = static_cast<size_t>(bytes + weightsAlignment);
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  const uintptr_t begin = (address + weightsAlignment - 1) / weightsAlignment * weightsAlignment;
  memory_ = {static_cast<std::byte *>(mapping) + (begin - address), static_cast<size_t>(bytes)};
  (void)::madvise(memory_.data(), memory_.size(), MADV_HUGEPAGE);
  return {};
}

Status MadeUpWeights::fill(const ProgramDesc &program) {
  const std::vector<Share> shares = divide(program.weights);
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool, ThreadPool::create(0));
  std::atomic<size_t> next = 0;
  pool->run([&](unsigned) {
    for (size_t i = next++; i < shares.size(); i = next++) {
      const Weight &weight = *shares[i].weight;
      makeUpPanels(
          program.weightSource, weight, shares[i].first, shares[i].count,
          memory_.subspan(static_cast<size_t>(weight.offset), static_cast<size_t>(weight.bytes)));
    }
  });
  // Weights are read-only, whether they are made up or mapped from a file.
  (void)::mprotect(mapping_, mappingBytes_, PROT_READ);
  return {};
}

Result<std::span<const std::byte>> MadeUpWeights::get(const ProgramDesc &program, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  if (!tried_) {
    tried_ = true;
    status_ = reserve(bytes);
    if (status_.ok())
      status_ = fill(program);
  }
  if (!status_.ok())
    return status_;
  return std::span<const std::byte>(memory_);
}

std::span<const std::byte> MadeUpWeights::made() const {
  std::lock_guard lock(mutex_);
  return memory_;
}

} // namespace llama4
