//===- Blocks.h - blocks of weights as their description has them -*- C++ -*-===//
//
// Weights in source form, made at random and read field by field: what tests hold the packed forms
// and the cores against. The reading shares nothing with the packer.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_MICROKERNELS_BLOCKS_H
#define LLAMA4_TEST_MICROKERNELS_BLOCKS_H

#include "compiler/pack/Layout.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"
#include "test/microkernels/Support.h"

#include <algorithm>

namespace llama4::microkernels {

struct Source {
  Encoding encoding;
  const std::byte *row;

  bool hasMinimum() const { return encoding == Encoding::Q4_1 || encoding == Encoding::Q4_K; }
  bool isSuper() const { return encoding == Encoding::Q4_K || encoding == Encoding::Q6_K; }
  /// Columns that share a scale.
  int64_t scaleColumns() const {
    return encoding == Encoding::Q6_K ? 16 : encoding == Encoding::Int4_G128 ? 128 : 32;
  }

  /// The scale of column k.
  float d(int64_t k) const {
    if (isSuper())
      return small(k).d * small(k).scale;
    return half(block(k));
  }
  /// What is added to d * q.
  float m(int64_t k) const {
    if (encoding == Encoding::Q4_1)
      return half(block(k) + 2);
    if (encoding == Encoding::Q4_K)
      return -(small(k).dmin * small(k).minimum);
    return 0.0f;
  }
  /// Superblocks: the scale and the minimum of their parts, without the superblock's own.
  struct Small {
    float d, scale, dmin, minimum;
  };
  Small small(int64_t k) const {
    if (encoding == Encoding::Q4_K) {
      const SubScale sub = subScale(k);
      return {half(block(k)), static_cast<float>(sub.scale), half(block(k) + 2),
              static_cast<float>(sub.minimum)};
    }
    const auto scale = static_cast<int8_t>(byte(block(k) + 192 + k % 256 / 16));
    return {half(block(k) + 208), static_cast<float>(scale), 0, 0};
  }
  /// The whole number that the scale is multiplied with.
  int quant(int64_t k) const {
    const int64_t i = k % blockSize(encoding).columns;
    switch (encoding) {
    case Encoding::Q8_0:
      return static_cast<int8_t>(byte(block(k) + 2 + i));
    case Encoding::Q4_1:
      return nibble(block(k) + 4, i, 16);
    case Encoding::Q4_0:
      return nibble(block(k) + 2, i, 16) - 8;
    case Encoding::Q5_0:
      return (nibble(block(k) + 6, i, 16) | (byte(block(k) + 2 + i / 8) >> i % 8 & 1) << 4) - 16;
    case Encoding::Q4_K:
      return nibble(block(k) + 16 + i / 64 * 32, i % 64, 32);
    case Encoding::Q6_K: {
      const int high = byte(block(k) + 128 + i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
      return (nibble(block(k) + i / 128 * 64, i % 128, 64) | high << 4) - 32;
    }
    case Encoding::Int4_G128:
      return nibble(block(k) + 3 + i / 32 * 16, i % 32, 16) - byte(block(k) + 2);
    default:
      return 0;
    }
  }
  /// GGUF's dequantization: each step rounded to float.
  float value(int64_t k) const {
    if (encoding == Encoding::Float32) {
      float value;
      std::memcpy(&value, row + k * 4, 4);
      return value;
    }
    if (encoding == Encoding::BFloat16) {
      uint16_t bits;
      std::memcpy(&bits, row + k * 2, 2);
      return bfloat16ToFloat(bits);
    }
    const float product = d(k) * static_cast<float>(quant(k));
    return hasMinimum() ? product + m(k) : product;
  }

private:
  struct SubScale {
    int scale, minimum;
  };
  int64_t block(int64_t k) const {
    return k / blockSize(encoding).columns * blockSize(encoding).bytes;
  }
  int byte(int64_t offset) const { return static_cast<uint8_t>(row[offset]); }
  float half(int64_t offset) const {
    uint16_t bits;
    std::memcpy(&bits, row + offset, 2);
    return halfToFloat(bits);
  }
  /// Element i of `columns` low nibbles, then as many high ones.
  int nibble(int64_t offset, int64_t i, int64_t columns) const {
    return byte(offset + i % columns) >> (i < columns ? 0 : 4) & 15;
  }
  /// The six-bit numbers of column k's part of a q4_k block.
  SubScale subScale(int64_t k) const {
    const int64_t part = k % 256 / 32, at = block(k) + 4;
    if (part < 4)
      return {byte(at + part) & 63, byte(at + 4 + part) & 63};
    return {(byte(at + 4 + part) & 15) | byte(at + part - 4) >> 6 << 4,
            byte(at + 4 + part) >> 4 | byte(at + part) >> 6 << 4};
  }
};

/// Where the float16 scales of a block stand: `count` of them from byte `at` on.
struct Scales {
  size_t at, count;
};
inline Scales scalesOf(Encoding encoding) {
  if (encoding == Encoding::Q6_K)
    return {208, 1};
  return {0, encoding == Encoding::Q4_1 || encoding == Encoding::Q4_K ? size_t{2} : size_t{1}};
}

/// A weight in source form, where every quant, the extreme ones too, occurs.
inline std::vector<std::byte> makeWeight(Encoding encoding, int64_t n, int64_t k, uint32_t seed) {
  std::vector<std::byte> source(static_cast<size_t>(n) * pack::sourceRowBytes(encoding, k));
  const std::vector<float> values = randomFloats(static_cast<size_t>(n * k), seed);
  const BlockSize block = blockSize(encoding);
  if (block.columns == 1) {
    pack::encodeRow(encoding, values, source);
    return source;
  }
  // Random bytes but for the float16 scales; the first block has all bits set, or, where bytes are
  // signed, the lowest ones.
  const Scales scales = scalesOf(encoding);
  const bool isSigned = encoding == Encoding::Q8_0;
  std::mt19937 generator(seed);
  for (std::byte &byte : source)
    byte = static_cast<std::byte>(generator());
  for (size_t b = 0; b < source.size(); b += static_cast<size_t>(block.bytes)) {
    if (b == 0)
      std::fill_n(source.begin(), block.bytes, std::byte{isSigned ? uint8_t{0x80} : uint8_t{0xff}});
    for (size_t i = 0; i < scales.count; ++i) {
      const uint16_t bits =
          pack::floatToHalf(values[b / static_cast<size_t>(block.bytes) * 2 + i] / 16);
      std::memcpy(source.data() + b + scales.at + 2 * i, &bits, 2);
    }
    if (encoding == Encoding::Int4_G128)
      source[b + 2] &= std::byte{15}; // zero points
  }
  return source;
}

} // namespace llama4::microkernels

#endif // LLAMA4_TEST_MICROKERNELS_BLOCKS_H
