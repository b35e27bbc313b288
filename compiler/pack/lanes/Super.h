//===- Super.h - what the quantizers to superblocks share --------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_PACK_LANES_SUPER_H
#define LLAMA4_COMPILER_PACK_LANES_SUPER_H

#include "compiler/pack/lanes/Search.h"

namespace llama4::pack::L4_PACK_LEVEL {

constexpr int kSuper = 256;
/// Fits of the shared scales, at most.
constexpr int kRounds = 3;

/// Each of `shared` for `parts` parts, those of group `g`.
inline Vec spread(const float *shared, int g, int parts) {
  Vec x = {};
  for (int i = 0; i < kLanes; ++i)
    x[i] = shared[(g * kLanes + i) / parts];
  return x;
}

/// One after the other.
inline float sumOf(const float *x, int count) {
  float sum = 0.0f;
  for (int i = 0; i < count; ++i)
    sum += x[i];
  return sum;
}

/// True if the values are multiples of a number of which the largest is less than 2^bits: then a
/// double holds all sums of up to 256 products with integers up to 2^(45 - bits), and the order of
/// adding them doesn't matter.
inline bool sumsAreExact(const float *values, uint32_t bits) {
  Vec lanes = {};
  for (int i = 0; i < kSuper; i += kLanes) {
    const Vec size = magnitude(loadVec(values + i));
    lanes = lanes < size ? size : lanes;
  }
  float largest = 0.0f;
  for (int i = 0; i < kLanes; ++i)
    largest = largest < lanes[i] ? lanes[i] : largest;
  if (!(largest > 0x1p-60f && largest < 0x1p60f))
    return false;
  // 2^(bits - 1 - e) where 2^e <= largest < 2^(e + 1). The biased exponent of one is 127.
  const uint32_t exponent = __builtin_bit_cast(uint32_t, largest) >> 23;
  const float unit = __builtin_bit_cast(float, (127u + bits - 1u - (exponent - 127u)) << 23);
  Ints exact = everywhere();
  for (int i = 0; i < kSuper; i += kLanes) {
    const Vec scaled = loadVec(values + i) * unit;
    const Vec small = magnitude(scaled) < 0x1p24f ? scaled : Vec{};
    const Vec whole = __builtin_convertvector(__builtin_convertvector(small, Ints), Vec);
    exact &= (magnitude(scaled) >= 0x1p24f) | (whole == scaled); // large ones are whole
  }
  for (int i = 0; i < kLanes; ++i)
    if (!exact[i])
      return false;
  return true;
}

} // namespace llama4::pack::L4_PACK_LEVEL

#endif // LLAMA4_COMPILER_PACK_LANES_SUPER_H
