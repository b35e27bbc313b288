//===- PanelValuesTest.cpp - the runtime's reading of packed weights ------===//
//
// The runtime's reader shares no code with the packer: what is packed here must read back as what
// the gguf package, recorded in test/data/gguf_blocks, and the checkpoint's reader say of the same
// blocks, to the last bit.
//
//===----------------------------------------------------------------------===//
#include "runtime/program/PanelValues.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Safetensors.h"
#include "test/microkernels/Blocks.h"

#include <gtest/gtest.h>

namespace llama4::pack {
namespace {

using microkernels::makeWeight;

Weight describe(Encoding encoding, uint64_t rows, uint64_t columns, uint64_t bytes) {
  Weight weight;
  weight.encoding = microkernels::encodingName(encoding);
  weight.rows = rows;
  weight.columns = columns;
  weight.matrices = 1;
  weight.bytes = bytes;
  return weight;
}

/// Packs blocks and compares every number of the panels with `wanted`, [rows][columns]; rows of
/// padding are zero.
void expectValues(Encoding encoding, std::span<const std::byte> source, int64_t rows,
                  int64_t columns, std::span<const float> wanted) {
  SCOPED_TRACE(microkernels::encodingName(encoding));
  SCOPED_TRACE(columns);
  std::vector<std::byte> packed(packedBytes(encoding, rows, columns));
  packWeight(encoding, source, rows, columns, packed);
  const Weight weight = describe(encoding, static_cast<uint64_t>(rows),
                                 static_cast<uint64_t>(columns), packed.size());
  ASSERT_TRUE(canDecode(weight));
  std::vector<float> values;
  for (int64_t panel = 0; panel * 16 < rows; ++panel) {
    panelValues(weight, packed, static_cast<uint64_t>(panel), values);
    ASSERT_EQ(values.size(), static_cast<size_t>(columns) * 16);
    for (int64_t k = 0; k < columns; ++k)
      for (int64_t row = panel * 16; row < panel * 16 + 16; ++row) {
        const float found = values[static_cast<size_t>(k * 16 + row % 16)];
        if (row < rows) {
          ASSERT_EQ(found, wanted[static_cast<size_t>(row * columns + k)]) << row << ", " << k;
        } else {
          ASSERT_EQ(found, 0.0f) << row << ", " << k;
        }
      }
  }
}

struct Type {
  Encoding encoding;
  DType dtype;
};
constexpr Encoding allEncodings[] = {
#define L4_ENCODING(name, spelling, block_columns, block_bytes) Encoding::name,
#include "compiler/microkernels/Table.def"
};
constexpr Type types[] = {
    {Encoding::Float32, DType::F32},         {Encoding::BFloat16, DType::BF16},
    {Encoding::Q8_0, DType::Q8_0},           {Encoding::Q6_K, DType::Q6_K},
    {Encoding::Q5_0, DType::Q5_0},           {Encoding::Q4_K, DType::Q4_K},
    {Encoding::Q4_1, DType::Q4_1},           {Encoding::Q4_0, DType::Q4_0},
    {Encoding::Int4_G128, DType::Int4_G128},
};

TEST(PanelValues, EqualGgufDequantization) {
  for (const Type &type : types) {
    if (dtypeInfo(type.dtype).ggmlId < 0 || !isBlockType(type.dtype))
      continue;
    auto file = SafetensorsFile::open(std::string(LLAMA4_TEST_DATA) + "/gguf_blocks/" +
                                      std::string(microkernels::encodingName(type.encoding)) +
                                      ".safetensors");
    ASSERT_TRUE(file.ok()) << file.status().message();
    const std::span<const std::byte> bytes = file->find("dequantized")->bytes;
    std::vector<float> wanted(bytes.size() / sizeof(float));
    std::memcpy(wanted.data(), bytes.data(), bytes.size());
    ASSERT_EQ(wanted.size(), 12u * 512);
    const std::span<const std::byte> packed = file->find("packed")->bytes;
    expectValues(type.encoding, packed, 12, 512, wanted);
    expectValues(type.encoding, packed, 24, 256, wanted); // a superblock without its second
  }
}

TEST(PanelValues, EqualTheReaderOfCheckpoints) {
  EXPECT_EQ(std::size(types), std::size(allEncodings)) << "one is missing";
  for (const Type &type : types) {
    const int64_t block = microkernels::blockSize(type.encoding).columns;
    for (int64_t columns : {block, 2 * block, 3 * block, 5 * block, 9 * block}) {
      const int64_t rows = 19;
      const std::vector<std::byte> source = makeWeight(type.encoding, rows, columns, 9);
      std::vector<float> wanted(static_cast<size_t>(rows * columns));
      ASSERT_TRUE(dequantize(type.dtype, source, wanted).ok());
      expectValues(type.encoding, source, rows, columns, wanted);
    }
  }
}

/// One row is a whole panel in every encoding; float32 alone also knows vectors.
TEST(PanelValues, VectorsAndMatricesOfOneRow) {
  for (const Type &type : types) {
    const std::vector<std::byte> source = makeWeight(type.encoding, 1, 512, 4);
    std::vector<float> wanted(512);
    ASSERT_TRUE(dequantize(type.dtype, source, wanted).ok());
    expectValues(type.encoding, source, 1, 512, wanted);
  }
  std::vector<float> vector(40);
  for (size_t i = 0; i < vector.size(); ++i)
    vector[i] = 0.25f * static_cast<float>(i);
  std::vector<std::byte> bytes(192);
  std::memcpy(bytes.data(), vector.data(), 160);
  const Weight weight = describe(Encoding::Float32, 1, 40, bytes.size());
  ASSERT_TRUE(canDecode(weight));
  std::vector<float> values;
  panelValues(weight, bytes, 0, values);
  EXPECT_EQ(values, vector);
}

TEST(PanelValues, WhatDoesNotFitIsNotDecoded) {
  for (const Type &type : types) {
    const uint64_t bytes = packedBytes(type.encoding, 16, 512);
    EXPECT_TRUE(canDecode(describe(type.encoding, 16, 512, bytes)));
    EXPECT_FALSE(canDecode(describe(type.encoding, 16, 512, bytes - 64)));
    EXPECT_FALSE(canDecode(describe(type.encoding, 16, 1024, bytes)));
    EXPECT_FALSE(canDecode(describe(type.encoding, 16, uint64_t{1} << 60, bytes)));
    if (microkernels::blockSize(type.encoding).columns > 1) {
      EXPECT_FALSE(canDecode(describe(type.encoding, 16, 500, bytes)));
    }
  }
  Weight other = describe(Encoding::Q8_0, 16, 512, 16 * 544);
  other.encoding = "q5_1";
  EXPECT_FALSE(canDecode(other));
}

} // namespace
} // namespace llama4::pack
