//===- Quantize.cpp - quantizers to blocks of 32 values -------------------===//
#include "compiler/pack/Quantize.h"

#include "compiler/pack/Search.h"
#include "runtime/format/Half.h"

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

float roundedToHalf(float value) { return halfToFloat(floatToHalf(value)); }

Line roundedToHalf(Line line) { return {roundedToHalf(line.d), roundedToHalf(line.m)}; }

/// Puts 32 quants into 16 bytes: byte i holds quant i below and 16 + i above.
void storeNibbles(std::byte *to, const int8_t *quants) {
  for (size_t i = 0; i < kBlock / 2; ++i)
    to[i] = static_cast<std::byte>((quants[i] & 15) | (quants[i + 16] & 15) << 4);
}

/// The scale, as it is stored, of 32 values as d * q, q from -limit to limit - 1.
float symmetricScale(const float *x, float limit) {
  const float extreme = extremeOf<kBlock>(x);
  if (!(std::fabs(extreme) >= kSmallest))
    return 0.0f;
  const Range range = {-limit, limit - 1.0f};
  Found best;
  const float steps[] = {extreme / -limit,
                         findStep<kBlock>(x, extreme, range, limit - 1.5f, 0.25f, 11)};
  for (float step : steps) {
    const Line line = {roundedToHalf(step), 0.0f};
    best.offer(line, errorOf<kBlock>(x, line, range));
  }
  return best.line.d;
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
    for (size_t i = 0; i < kBlock; ++i) {
      const float quant = std::round(x[i] * inverse); // no number where x or 1 / d is none
      const bool fits = quant >= -127.0f && quant <= 127.0f;
      block[2 + i] = static_cast<std::byte>(static_cast<int8_t>(fits ? quant : 0.0f));
    }
  }
}

void quantizeQ4_0(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kBlock == 0 && out.size() == values.size() / kBlock * 18);
  for (size_t b = 0; b < values.size() / kBlock; ++b) {
    const float *x = values.data() + b * kBlock;
    std::byte *block = out.data() + b * 18;
    const float d = symmetricScale(x, 8.0f);
    int8_t quants[kBlock];
    quantsOf<kBlock>(x, {d, 0.0f}, {-8.0f, 7.0f}, quants);
    for (int8_t &quant : quants)
      quant = static_cast<int8_t>(quant + 8);
    storeHalf(block, d);
    storeNibbles(block + 2, quants);
  }
}

void quantizeQ5_0(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kBlock == 0 && out.size() == values.size() / kBlock * 22);
  for (size_t b = 0; b < values.size() / kBlock; ++b) {
    const float *x = values.data() + b * kBlock;
    std::byte *block = out.data() + b * 22;
    const float d = symmetricScale(x, 16.0f);
    int8_t quants[kBlock];
    quantsOf<kBlock>(x, {d, 0.0f}, {-16.0f, 15.0f}, quants);
    uint32_t high = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      quants[i] = static_cast<int8_t>(quants[i] + 16);
      high |= static_cast<uint32_t>(quants[i] >> 4) << i;
    }
    storeHalf(block, d);
    std::memcpy(block + 2, &high, sizeof(high));
    storeNibbles(block + 6, quants);
  }
}

void quantizeQ4_1(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kBlock == 0 && out.size() == values.size() / kBlock * 20);
  constexpr Range range = {0.0f, 15.0f};
  for (size_t b = 0; b < values.size() / kBlock; ++b) {
    const float *x = values.data() + b * kBlock;
    std::byte *block = out.data() + b * 20;
    const auto [least, largest] = std::minmax_element(x, x + kBlock);
    Found best;
    for (const Line &line :
         {Line{(*largest - *least) / 15.0f, *least}, findLine<kBlock>(x, 15.0f, false)}) {
      const Line stored = roundedToHalf(line);
      best.offer(stored, errorOf<kBlock>(x, stored, range));
    }
    int8_t quants[kBlock];
    quantsOf<kBlock>(x, best.line, range, quants);
    storeHalf(block, best.line.d);
    storeHalf(block + 2, best.line.m);
    storeNibbles(block + 4, quants);
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
  case Encoding::Q4_0:
    return quantizeQ4_0(values, out);
  case Encoding::Q5_0:
    return quantizeQ5_0(values, out);
  case Encoding::Q4_K:
    return quantizeQ4_K(values, out);
  case Encoding::Q6_K:
    return quantizeQ6_K(values, out);
  }
}

} // namespace llama4::pack
