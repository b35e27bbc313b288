//===- Half.h - 16- and 8-bit floats to float32 -----------------*- C++ -*-===//
//
// Exact widening of the small float types that tensor files hold, on their bit patterns. NaN
// payloads are kept. These are for data on its way in and out of files; kernels have their own.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_HALF_H
#define LLAMA4_RUNTIME_FORMAT_HALF_H

#include <bit>
#include <cstdint>

namespace llama4 {

/// IEEE binary16 to float32. Without branches, so that loops of it are done in vectors.
inline float halfToFloat(uint16_t bits) {
  constexpr uint32_t one = 1u << 23, rebias = 112 * one; // of the exponent
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  const uint32_t normal = magnitude + rebias + (magnitude >= 31 * one ? rebias : 0);
  // Zero or subnormal: mantissa * 2^-24 is what lies above 2^-14.
  const float subnormal = std::bit_cast<float>(magnitude + rebias + one) - 0x1p-14f;
  return std::bit_cast<float>(sign |
                              (magnitude < one ? std::bit_cast<uint32_t>(subnormal) : normal));
}

/// bfloat16 to float32.
inline float bfloat16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// float8 e4m3fn to float32: bias 7, no infinities, 0x7f and 0xff are NaN.
inline float float8E4M3ToFloat(uint8_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x80u) << 24;
  const uint32_t exponent = (bits >> 3) & 0xfu;
  const uint32_t mantissa = bits & 7u;
  if (exponent == 15 && mantissa == 7)
    return std::bit_cast<float>(sign | 0x7fc00000u);
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (mantissa << 20));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_HALF_H
