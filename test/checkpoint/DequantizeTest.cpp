//===- DequantizeTest.cpp - decoding is bit-equal to the reference --------===//

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Half.h"
#include "runtime/format/Safetensors.h"
#include "test/checkpoint/TestFiles.h"

#include <cmath>

using namespace llama4;
using namespace llama4::test;

namespace {

/// Decodes the packed rows of one reference file and compares every bit.
void checkReference(const std::string &path, DType dtype) {
  SCOPED_TRACE(path);
  auto file = SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const SafetensorsTensor *packed = file->find("packed"), *wanted = file->find("dequantized");
  ASSERT_TRUE(packed && wanted);
  SourceTensor tensor{"packed", dtype, wanted->shape, packed->bytes, 0};
  std::vector<float> floats(tensor.elements());
  const auto rows = static_cast<uint64_t>(wanted->shape[0]);
  Status status = dequantizeRows(tensor, 0, rows, floats);
  ASSERT_TRUE(status.ok()) << status.message();
  const auto *reference = reinterpret_cast<const char *>(wanted->bytes.data());
  ASSERT_EQ(wanted->bytes.size(), floats.size() * sizeof(float));
  size_t different = 0;
  for (size_t i = 0; i < floats.size(); ++i)
    different += std::memcmp(&floats[i], reference + i * sizeof(float), sizeof(float)) != 0;
  EXPECT_EQ(different, 0u) << "of " << floats.size();

  // A single row decoded alone is the same row.
  std::vector<float> row(tensor.rowElements());
  ASSERT_TRUE(dequantizeRows(tensor, rows - 1, 1, row).ok());
  EXPECT_EQ(std::memcmp(row.data(), &floats[floats.size() - row.size()], row.size() * 4), 0);
}

/// Every block type of GGUF, from `folder`/NAME`suffix`; how many there were.
int checkBlockTypes(const std::string &folder, const std::string &suffix,
                    uint32_t atLeastElements) {
  int checked = 0;
  for (const DTypeInfo &row : kDTypes) {
    if (!isBlockType(row.dtype) || row.ggmlId < 0 || row.blockElements < atLeastElements)
      continue;
    checkReference(folder + "/" + std::string(row.name) + suffix, row.dtype);
    ++checked;
  }
  return checked;
}

TEST(Dequantize, EveryBlockType) {
  EXPECT_EQ(checkBlockTypes(LLAMA4_TEST_DATA "/gguf_blocks", ".safetensors", 2), 10);
}

// The same types once more, superblocks as ggml's own quantizers fill them.
TEST(Dequantize, SuperblocksThatGgmlPacked) {
  if (oracles().empty())
    GTEST_SKIP() << "no blocks that ggml packed (LLAMA4_ORACLES); random ones were compared";
  EXPECT_EQ(checkBlockTypes(oracles() + "/gguf_blocks", ".ggml.safetensors", 256), 5);
}

// The block that the packer makes itself: scale, zero point, four times 32 columns.
TEST(Dequantize, GroupsOf128) {
  std::vector<std::byte> block(67);
  block[1] = std::byte{0x38}; // 0.5
  block[2] = std::byte{5};
  for (int i = 0; i < 64; ++i)
    block[3 + i] = static_cast<std::byte>(i % 16 | (15 - i / 16) << 4);
  std::vector<float> values(128);
  ASSERT_TRUE(dequantize(DType::Int4_G128, block, values).ok());
  for (int k = 0; k < 128; ++k) {
    const int quant = k % 32 < 16 ? k % 16 : 15 - k / 32;
    EXPECT_EQ(values[k], 0.5f * static_cast<float>(quant - 5)) << k;
  }
  EXPECT_FALSE(dequantize(DType::Int4_G128, block, std::span(values).first(64)).ok());
}

TEST(Dequantize, SmallFloats) {
  EXPECT_EQ(halfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(halfToFloat(0xc000), -2.0f);
  EXPECT_EQ(halfToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(halfToFloat(0x0001), 0x1p-24f);
  EXPECT_EQ(halfToFloat(0x83ff), -0x1.ff8p-15f);
  EXPECT_TRUE(std::signbit(halfToFloat(0x8000)));
  EXPECT_EQ(halfToFloat(0x7c00), INFINITY);
  EXPECT_TRUE(std::isnan(halfToFloat(0x7e01)));
  EXPECT_EQ(bfloat16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(float8E4M3ToFloat(0x38), 1.0f);
  EXPECT_EQ(float8E4M3ToFloat(0x7e), 448.0f);
  EXPECT_EQ(float8E4M3ToFloat(0x01), 0x1p-9f);
  EXPECT_EQ(float8E4M3ToFloat(0x88), -0x1p-6f);
  EXPECT_TRUE(std::isnan(float8E4M3ToFloat(0xff)));
  // Every finite half is what the compiler's own type says.
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = std::bit_cast<_Float16>(static_cast<uint16_t>(bits));
    const float mine = halfToFloat(static_cast<uint16_t>(bits)), theirs = static_cast<float>(half);
    ASSERT_TRUE(mine == theirs || (std::isnan(mine) && std::isnan(theirs))) << bits;
  }
}

TEST(Dequantize, RefusesWrongSizes) {
  const std::string block(18, '\1');
  std::vector<float> out(32);
  EXPECT_TRUE(dequantize(DType::Q4_0, bytesOf(block), out).ok());
  expectRefused(dequantize(DType::Q4_0, bytesOf(block).first(17), out), "17 bytes", "short");
  expectRefused(dequantize(DType::Q4_0, bytesOf(block), std::span(out).first(31)), "31", "cut");
  expectRefused(dequantize(DType::I32, bytesOf(block).first(16), std::span(out).first(4)), "i32",
                "type");
  SourceTensor tensor{"t", DType::Q4_0, {1, 32}, bytesOf(block), 0};
  expectRefused(dequantizeRows(tensor, 1, 1, out), "\"t\"", "row after the last");
  expectRefused(dequantizeRows(tensor, ~0ull, 1, out), "\"t\"", "row number wraps");
  expectRefused(dequantizeRows(tensor, 0, 2, out), "\"t\"", "too many rows");
}

} // namespace
