//===- Quantize.cpp - float32 to the encodings of weights -----------------===//
#include "compiler/pack/Quantize.h"

#include "compiler/pack/lanes/Quantizers.h"

#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace llama4::pack {
namespace {

/// Blocks of `columns` values, of `bytes` bytes each.
void quantizeBlocks(Quantizer quantizer, size_t columns, [[maybe_unused]] size_t bytes,
                    std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % columns == 0 && out.size() == values.size() / columns * bytes);
  quantizer(values.data(), values.size() / columns, out.data());
}

} // namespace

uint16_t floatToBFloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value))
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

uint16_t floatToHalf(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) // NaN, keeping the top of its payload
    return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
  if (magnitude >= 0x477ff000u) // from 65520 on everything rounds to infinity
    return static_cast<uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x38800000u) {
    // Subnormal or zero: adding 2^-1 leaves the value as a multiple of 2^-24 in the low bits, and
    // the addition itself rounds to nearest even.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

void quantizeQ8_0(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q8_0, 32, 34, values, out);
}

void quantizeQ4_0(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q4_0, 32, 18, values, out);
}

void quantizeQ4_1(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q4_1, 32, 20, values, out);
}

void quantizeQ5_0(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q5_0, 32, 22, values, out);
}

void quantizeQ4_K(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q4_k, 256, 144, values, out);
}

void quantizeQ6_K(std::span<const float> values, std::span<std::byte> out) {
  quantizeBlocks(quantizers().q6_k, 256, 210, values, out);
}

void encodeRow(microkernels::Encoding encoding, std::span<const float> values,
               std::span<std::byte> out) {
  using microkernels::Encoding;
  switch (encoding) {
  case Encoding::Float32:
    assert(out.size() == values.size_bytes());
    std::memcpy(out.data(), values.data(), values.size_bytes());
    return;
  case Encoding::BFloat16:
    assert(out.size() == values.size() * 2);
    for (size_t i = 0; i < values.size(); ++i) {
      const uint16_t bits = floatToBFloat16(values[i]);
      std::memcpy(out.data() + i * 2, &bits, 2);
    }
    return;
  case Encoding::Q8_0:
    return quantizeQ8_0(values, out);
  case Encoding::Q4_1:
    return quantizeQ4_1(values, out);
  case Encoding::Q4_0:
    return quantizeQ4_0(values, out);
  case Encoding::Q5_0:
    return quantizeQ5_0(values, out);
  case Encoding::Q4_K:
    return quantizeQ4_K(values, out);
  case Encoding::Q6_K:
    return quantizeQ6_K(values, out);
  case Encoding::Int4_G128:
    return quantizeInt4_G128(values, out);
  }
}

} // namespace llama4::pack
