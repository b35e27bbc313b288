//===- Weights.h - random packed weights and their values --------*- C++ -*-===//
#ifndef LLAMA4_TEST_KERNELS_WEIGHTS_H
#define LLAMA4_TEST_KERNELS_WEIGHTS_H

#include "compiler/pack/Layout.h"
#include "runtime/format/Half.h"
#include "test/kernels/Harness.h"

namespace llama4::test {

/// A packed weight and its decoded values [rows][cols].
struct Weight {
  Tensor packed;
  std::vector<float> values;
  float at(int64_t row, int64_t column, int64_t cols) const { return values[row * cols + column]; }
};

/// Appends the bytes of `value`.
template <typename T> void append(std::vector<std::byte> &bytes, const T &value) {
  const auto *raw = reinterpret_cast<const std::byte *>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof(T));
}

/// Source bytes of int4_g128 and their values.
inline void randomGroups(int64_t count, std::mt19937 &random, std::vector<std::byte> &source,
                         std::vector<float> &values) {
  const uint16_t scales[] = {0x2c00, 0x2800, 0x2a66, 0x1000};
  for (int64_t group = 0; group < count / 128; ++group) {
    const uint16_t d = scales[random() % 4];
    const auto zero = static_cast<uint8_t>(random() % 16);
    append(source, d);
    append(source, zero);
    for (int part = 0; part < 4; ++part) {
      uint8_t bytes[16];
      for (uint8_t &byte : bytes)
        append(source, byte = static_cast<uint8_t>(random()));
      for (int j = 0; j < 32; ++j)
        values.push_back(halfToFloat(d) *
                         static_cast<float>((j < 16 ? bytes[j] & 15 : bytes[j - 16] >> 4) - zero));
    }
  }
}

/// Random source bytes in the encoding's checkpoint form, packed by the packer; decoded here.
inline Weight randomWeight(pack::Encoding encoding, int64_t rows, int64_t cols,
                           std::mt19937 &random) {
  std::normal_distribution<float> normal(0.0f, 0.25f);
  std::vector<std::byte> source;
  std::vector<float> values;
  const uint16_t scales[] = {0x2c00, 0x2800, 0x2a66, 0x1000}; // 2^-4, 2^-5, 0.05.., 2^-11
  if (encoding == pack::Encoding::Int4_G128)
    randomGroups(rows * cols, random, source, values);
  for (int64_t i = static_cast<int64_t>(values.size()); i < rows * cols; ++i) {
    if (encoding == pack::Encoding::Float32) {
      values.push_back(normal(random));
      append(source, values.back());
    } else if (encoding == pack::Encoding::BFloat16) {
      const uint16_t bits = toBf16(normal(random));
      values.push_back(fromBf16(bits));
      append(source, bits);
    } else if (i % 32 == 0) {
      const uint16_t d = scales[random() % 4], m = static_cast<uint16_t>(0x8000 | scales[1]);
      append(source, d);
      if (encoding == pack::Encoding::Q4_1)
        append(source, m);
      uint8_t quants[32];
      for (uint8_t &q : quants)
        q = static_cast<uint8_t>(encoding == pack::Encoding::Q4_1 ? random() % 16 : random());
      for (int j = 0; j < 32; ++j)
        values.push_back(encoding == pack::Encoding::Q4_1
                             ? halfToFloat(d) * static_cast<float>(quants[j]) + halfToFloat(m)
                             : halfToFloat(d) * static_cast<float>(static_cast<int8_t>(quants[j])));
      for (int j = 0; j < (encoding == pack::Encoding::Q4_1 ? 16 : 32); ++j)
        append(source, static_cast<uint8_t>(encoding == pack::Encoding::Q4_1
                                                ? quants[j] | quants[j + 16] << 4
                                                : quants[j]));
    }
  }
  Tensor packed(pack::packedBytes(encoding, rows, cols));
  pack::packWeight(encoding, source, rows, cols,
                   {static_cast<std::byte *>(packed.data()), packed.bytes()});
  return {packed, values};
}

} // namespace llama4::test

#endif // LLAMA4_TEST_KERNELS_WEIGHTS_H
