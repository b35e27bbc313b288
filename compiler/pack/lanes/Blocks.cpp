//===- Blocks.cpp - quantizers to blocks of 32 values ---------------------===//
#include "compiler/pack/lanes/Quantizers.h"
#include "compiler/pack/lanes/Search.h"

namespace llama4::pack::L4_PACK_LEVEL {
namespace {

constexpr int kBlock = 32;

/// The scales, as they are stored, of 32 values as d * q, q from -limit to limit - 1.
template <bool Short> Vec symmetricScale(const Vec *x, float limit) {
  const Vec extreme = extremeOf<kBlock>(x);
  const Range range = {-limit, limit - 1.0f};
  const Vec steps[] = {extreme / -limit,
                       findStep<kBlock, Short, 11>(x, extreme, range, limit - 1.5f, 0.25f)};
  Found best;
  for (const Vec &step : steps) {
    const Vec d = rounded(step);
    best.offer(everywhere(), {d, Vec{}}, errorOf<kBlock>(x, d, inverseOf(d), range));
  }
  return magnitude(extreme) >= kSmallest ? best.line.d : Vec{};
}

/// Puts 32 quants of four bits into 16 bytes: byte i holds quant i below and 16 + i above.
void storeNibbles(std::byte *to, const uint8_t *quants) {
  Bytes low, high;
  std::memcpy(&low, quants, sizeof(low));
  std::memcpy(&high, quants + 16, sizeof(high));
  low = (low & 15) | high << 4;
  std::memcpy(to, &low, sizeof(low));
}

/// Bit i is bit 4 of quant i.
uint32_t fifthBits(const uint8_t *quants) {
  uint32_t bits = 0;
  for (unsigned at = 0; at < kBlock; at += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, quants + at, sizeof(eight));
    // The product moves bit 8i to bit 56 + i.
    const uint64_t collected = (eight >> 4 & 0x0101010101010101u) * 0x0102040810204080u >> 56;
    bits |= static_cast<uint32_t>(collected) << at;
  }
  return bits;
}

/// A batch of blocks, and what is found for it.
struct Sixteen {
  Batch<kBlock> batch;
  Numbers d, m;
  alignas(16) uint8_t quants[kBatch][kBlock];

  /// The quants for d and m, `offset` added.
  void quantize(Range range, int32_t offset) {
    storeQuants<kBlock>(batch, d, m, range, offset, quants);
  }
};

/// Calls work(sixteen, count) for each batch and then store(sixteen, lane, block) for each of its
/// blocks, which have `bytes` bytes.
template <typename Work, typename Store>
void forBatches(const float *values, size_t blocks, size_t bytes, std::byte *out, Work work,
                Store store) {
  Sixteen sixteen;
  for (size_t begin = 0; begin < blocks; begin += kBatch) {
    const size_t rest = blocks - begin;
    const int count = rest < kBatch ? static_cast<int>(rest) : kBatch;
    sixteen.batch.load(values + begin * kBlock, count);
    work(sixteen);
    for (int lane = 0; lane < count; ++lane)
      store(sixteen, lane, out + (begin + static_cast<size_t>(lane)) * bytes);
  }
}

/// d * q with q from -limit to limit - 1, stored as q + limit.
void quantizeSymmetric(Sixteen &sixteen, float limit) {
  const bool isShort = sixteen.batch.isShort();
  for (int g = 0; g < kGroups; ++g) {
    const Vec *x = sixteen.batch.x[g];
    sixteen.d.set(g, isShort ? symmetricScale<true>(x, limit) : symmetricScale<false>(x, limit));
    sixteen.m.set(g, Vec{});
  }
  sixteen.quantize({-limit, limit - 1.0f}, static_cast<int32_t>(limit));
}

constexpr Range kFour = {0.0f, 15.0f};

/// d * q + m with q from 0 to 15.
void quantizeLines(Sixteen &sixteen) {
  const bool isShort = sixteen.batch.isShort();
  for (int g = 0; g < kGroups; ++g) {
    const Vec *x = sixteen.batch.x[g];
    const Extent extent = extentOf<kBlock>(x, false);
    const Line lines[] = {{(extent.largest - extent.least) / kFour.high, extent.least},
                          isShort ? findLine<kBlock, true>(x, kFour.high, false)
                                  : findLine<kBlock, false>(x, kFour.high, false)};
    Found best;
    for (const Line &line : lines) {
      const Line stored = {rounded(line.d), rounded(line.m)};
      Vec shifted[kBlock];
      for (int i = 0; i < kBlock; ++i)
        shifted[i] = x[i] - stored.m;
      best.offer(everywhere(), stored,
                 errorOf<kBlock>(x, shifted, stored, inverseOf(stored.d), kFour));
    }
    sixteen.d.set(g, best.line.d);
    sixteen.m.set(g, best.line.m);
  }
  sixteen.quantize(kFour, 0);
}

/// Nearest whole numbers, halves away from zero; 0 beyond 127 and for NaN.
Ints roundedQ8(Vec x) {
  x = magnitude(x) < 128.0f ? x : Vec{};
  const Ints whole = __builtin_convertvector(x, Ints);
  const Vec rest = x - __builtin_convertvector(whole, Vec);
  const Ints q = whole - (rest >= 0.5f) + (rest <= -0.5f); // true is -1
  const Ints fits = (q >= -127) & (q <= 127);
  return q & fits;
}

} // namespace

void quantizeQ8_0(const float *values, size_t blocks, std::byte *out) {
  using Narrow = int8_t __attribute__((vector_size(kLanes)));
  for (size_t b = 0; b < blocks; ++b) {
    const float *x = values + b * kBlock;
    std::byte *block = out + b * 34;
    Vec lanes = {};
    for (int i = 0; i < kBlock; i += kLanes) {
      const Vec size = magnitude(loadVec(x + i));
      lanes = lanes < size ? size : lanes;
    }
    float largest = 0.0f;
    for (int i = 0; i < kLanes; ++i)
      largest = largest < lanes[i] ? lanes[i] : largest;
    const float d = largest / 127.0f, inverse = inverseOf(d);
    storeHalf(block, d);
    for (int i = 0; i < kBlock; i += kLanes) {
      const auto quants = __builtin_convertvector(roundedQ8(loadVec(x + i) * inverse), Narrow);
      std::memcpy(block + 2 + i, &quants, sizeof(quants));
    }
  }
}

void quantizeQ4_0(const float *values, size_t blocks, std::byte *out) {
  forBatches(
      values, blocks, 18, out, [](Sixteen &sixteen) { quantizeSymmetric(sixteen, 8.0f); },
      [](const Sixteen &sixteen, int lane, std::byte *block) {
        storeHalf(block, sixteen.d.of[lane]);
        storeNibbles(block + 2, sixteen.quants[lane]);
      });
}

void quantizeQ5_0(const float *values, size_t blocks, std::byte *out) {
  forBatches(
      values, blocks, 22, out, [](Sixteen &sixteen) { quantizeSymmetric(sixteen, 16.0f); },
      [](const Sixteen &sixteen, int lane, std::byte *block) {
        const uint32_t high = fifthBits(sixteen.quants[lane]);
        storeHalf(block, sixteen.d.of[lane]);
        std::memcpy(block + 2, &high, sizeof(high));
        storeNibbles(block + 6, sixteen.quants[lane]);
      });
}

void quantizeQ4_1(const float *values, size_t blocks, std::byte *out) {
  forBatches(values, blocks, 20, out, quantizeLines,
             [](const Sixteen &sixteen, int lane, std::byte *block) {
               storeHalf(block, sixteen.d.of[lane]);
               storeHalf(block + 2, sixteen.m.of[lane]);
               storeNibbles(block + 4, sixteen.quants[lane]);
             });
}

extern const Quantizers kQuantizers;
const Quantizers kQuantizers = {quantizeQ8_0, quantizeQ4_0, quantizeQ4_1,
                                quantizeQ5_0, quantizeQ4_K, quantizeQ6_K};

} // namespace llama4::pack::L4_PACK_LEVEL
