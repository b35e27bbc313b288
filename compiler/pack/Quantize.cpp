//===- Quantize.cpp - reference quantizers --------------------------------===//
#include "compiler/pack/Quantize.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

namespace llama4::pack {
namespace {

constexpr size_t kBlock = 32;

void storeHalf(std::byte *to, float value) {
  const uint16_t bits = floatToHalf(value);
  std::memcpy(to, &bits, 2);
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
  assert(values.size() % kBlock == 0 && out.size() == values.size() / kBlock * 34);
  for (size_t b = 0; b < values.size() / kBlock; ++b) {
    const std::span<const float> x = values.subspan(b * kBlock, kBlock);
    std::byte *block = out.data() + b * 34;
    float largest = 0.0f;
    for (float value : x)
      largest = std::max(largest, std::fabs(value));
    const float d = largest / 127.0f;
    const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    storeHalf(block, d);
    for (size_t i = 0; i < kBlock; ++i)
      block[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::round(x[i] * inverse)));
  }
}

void quantizeQ4_1(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kBlock == 0 && out.size() == values.size() / kBlock * 20);
  for (size_t b = 0; b < values.size() / kBlock; ++b) {
    const std::span<const float> x = values.subspan(b * kBlock, kBlock);
    std::byte *block = out.data() + b * 20;
    const auto [least, largest] = std::minmax_element(x.begin(), x.end());
    const float minimum = *least;
    const float d = (*largest - minimum) / 15.0f;
    const float inverse = d != 0.0f ? 1.0f / d : 0.0f;
    storeHalf(block, d);
    storeHalf(block + 2, minimum);
    const auto quant = [&](size_t i) {
      const int q = static_cast<int>((x[i] - minimum) * inverse + 0.5f);
      return static_cast<uint8_t>(std::min(q, 15));
    };
    for (size_t i = 0; i < kBlock / 2; ++i)
      block[4 + i] = static_cast<std::byte>(quant(i) | (quant(i + 16) << 4));
  }
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
  }
}

} // namespace llama4::pack
