//===- Lanes.h - sixteen parts of a row, one in each lane --------*- C++ -*-===//
//
// The quantizers work on sixteen parts (of 16 or 32 values) side by side: lane i of a vector is
// part i, whatever is done to it. Vectors are as wide as the level's registers, so that a batch is
// one, two or four groups of them.
//
// Compiled without contraction: a product and a sum are fused only where written so, which is where
// both ways give the same number.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_LANES_LANES_H
#define LLAMA4_COMPILER_PACK_LANES_LANES_H

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__F16C__)
#define L4_PACK_HALVES 1
#else
#define L4_PACK_HALVES 0
#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"
#endif

namespace llama4::pack::L4_PACK_LEVEL {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kBatch = 16, kGroups = kBatch / kLanes;

using Vec = float __attribute__((vector_size(kLanes * 4)));
using Ints = int32_t __attribute__((vector_size(kLanes * 4)));
using Doubles = double __attribute__((vector_size(kLanes * 8)));
using Four = float __attribute__((vector_size(16)));
using Bytes = uint8_t __attribute__((vector_size(16)));

inline Vec loadVec(const float *from) {
  Vec x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}
inline void storeVec(float *to, Vec x) { std::memcpy(to, &x, sizeof(x)); }
inline Vec splat(float x) { return x - Vec{}; }
inline Vec magnitude(Vec x) {
  return reinterpret_cast<Vec>(reinterpret_cast<Ints>(x) & 0x7fffffff);
}

/// a * b + c where the product is exact.
inline Vec exactly(Vec a, Vec b, Vec c) {
#if defined(__FMA__)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// sum += a * b where the product is exact. Wider than a register: by reference.
inline void addExactly(Doubles &sum, const Doubles &a, const Doubles &b) {
#if defined(__FMA__)
  sum = __builtin_elementwise_fma(a, b, sum);
#else
  sum += a * b;
#endif
}

struct Range {
  float low, high;
};

/// The value of the range that is nearest to x; low for NaN.
inline Vec clamped(Vec x, Range range) {
  x = x > range.low ? x : splat(range.low);
  return x < range.high ? x : splat(range.high);
}

/// The nearest whole number of the range, ties to even; low for NaN. |low|, |high| < 2^22.
inline Vec nearest(Vec x, Range range) {
  x = clamped(x, range);
#if defined(__SSE4_1__)
  return __builtin_elementwise_roundeven(x);
#else
  return (x + 0x1.8p23f) - 0x1.8p23f;
#endif
}

/// Sums of every fourth value, added in the order of the four lanes of a register.
inline Vec total(const Vec (&x)[4]) { return (x[0] + x[2]) + (x[1] + x[3]); }

//===-- float16 ------------------------------------------------------------===//

inline uint16_t halfBits(float value) {
#if L4_PACK_HALVES
  return __builtin_bit_cast(uint16_t, static_cast<_Float16>(value));
#else
  return floatToHalf(value);
#endif
}

inline float rounded(float value) {
#if L4_PACK_HALVES
  return static_cast<float>(static_cast<_Float16>(value));
#else
  return halfToFloat(floatToHalf(value));
#endif
}

inline Vec rounded(Vec values) {
#if L4_PACK_HALVES
  using Halves = _Float16 __attribute__((vector_size(kLanes * 2)));
  return __builtin_convertvector(__builtin_convertvector(values, Halves), Vec);
#else
  for (int i = 0; i < kLanes; ++i)
    values[i] = rounded(values[i]);
  return values;
#endif
}

inline void storeHalf(std::byte *to, float value) {
  const uint16_t bits = halfBits(value);
  std::memcpy(to, &bits, 2);
}

//===-- Batches ------------------------------------------------------------===//

/// One number for each part of a batch.
struct alignas(64) Numbers {
  float of[kBatch];
  Vec group(int g) const { return loadVec(of + g * kLanes); }
  void set(int g, Vec x) { storeVec(of + g * kLanes, x); }
};

/// Sixteen parts of N values: x[g][i] are the values i of the parts of group g.
template <int N> struct Batch {
  Vec x[kGroups][N];

  /// The parts lie one behind the other; behind the last of `count`, it is repeated.
  void load(const float *values, int count) {
    for (int lane = 0; lane < kBatch; lane += 4) {
      const float *from[4];
      for (int j = 0; j < 4; ++j)
        from[j] = values + static_cast<ptrdiff_t>(lane + j < count ? lane + j : count - 1) * N;
      for (int i = 0; i < N; i += 4)
        loadSquare(from, lane, i);
    }
  }

  void negate() {
    for (auto &group : x)
      for (Vec &value : group)
        value = -value;
  }

  /// True if all values have at most 19 significant bits.
  bool isShort() const {
    Ints bits = {};
    for (const auto &group : x)
      for (const Vec &value : group)
        bits |= reinterpret_cast<Ints>(value);
    int32_t any = 0;
    for (int i = 0; i < kLanes; ++i)
      any |= bits[i];
    return (any & 31) == 0;
  }

  /// Value `i` of part `lane`.
  float at(int lane, int i) const { return x[lane / kLanes][i][lane % kLanes]; }

private:
  /// Values i to i + 3 of four parts.
  void loadSquare(const float *const (&from)[4], int lane, int i) {
    Four row[4];
    for (int j = 0; j < 4; ++j)
      std::memcpy(&row[j], from[j] + i, sizeof(Four));
    const Four ab = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
    const Four cd = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    const Four ef = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
    const Four gh = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    const Four columns[4] = {
        __builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
        __builtin_shufflevector(ef, gh, 0, 1, 4, 5), __builtin_shufflevector(ef, gh, 2, 3, 6, 7)};
    for (int j = 0; j < 4; ++j)
      std::memcpy(reinterpret_cast<char *>(&x[lane / kLanes][i + j]) + lane % kLanes * 4,
                  &columns[j], sizeof(Four));
  }
};

/// Byte i of vector j becomes byte j of vector i.
inline void transpose(Bytes (&m)[16]) {
  // Each round takes the highest bit of a byte's place to the lowest: four of eight bits.
  for (int round = 0; round < 4; ++round) {
    Bytes next[16];
    for (int i = 0; i < 8; ++i) {
      next[2 * i] = __builtin_shufflevector(m[i], m[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                            21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(m[i], m[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                28, 13, 29, 14, 30, 15, 31);
    }
    std::memcpy(&m, &next, sizeof(m));
  }
}

//===-- The level's quantizers ---------------------------------------------===//

void quantizeQ8_0(const float *values, size_t blocks, std::byte *out);
void quantizeQ4_0(const float *values, size_t blocks, std::byte *out);
void quantizeQ4_1(const float *values, size_t blocks, std::byte *out);
void quantizeQ5_0(const float *values, size_t blocks, std::byte *out);
void quantizeQ4_K(const float *values, size_t blocks, std::byte *out);
void quantizeQ6_K(const float *values, size_t blocks, std::byte *out);

} // namespace llama4::pack::L4_PACK_LEVEL

#endif // LLAMA4_COMPILER_PACK_LANES_LANES_H
