//===- LayoutTest.cpp - packing, quantizers and row decoding --------------===//
#include "test/microkernels/Blocks.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Safetensors.h"

#include <cmath>
#include <fstream>
#include <iterator>

namespace llama4::pack {
namespace {

using microkernels::blockSize;
using microkernels::forEachLevel;
using microkernels::makeWeight;
using microkernels::NativeLevel;
using microkernels::randomFloats;
using microkernels::sameBits;
using microkernels::Source;

constexpr Encoding kEncodings[] = {
#define L4_ENCODING(name, spelling, block_columns, block_bytes) Encoding::name,
#include "compiler/microkernels/Table.def"
};

std::vector<std::byte> randomBytes(size_t count, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte &byte : bytes)
    byte = static_cast<std::byte>(generator());
  return bytes;
}

TEST(Layout, KeepsTheTrueBits) {
  EXPECT_EQ(packedBytes(Encoding::Q4_1, 32, 64), 32u * 64 * 5 / 8);
  EXPECT_EQ(packedBytes(Encoding::Q8_0, 32, 64), 32u * 64 * 17 / 16);
  EXPECT_EQ(packedBytes(Encoding::Q4_0, 32, 64), 32u * 64 * 9 / 16);
  EXPECT_EQ(packedBytes(Encoding::Q5_0, 32, 64), 32u * 64 * 11 / 16);
  EXPECT_EQ(packedBytes(Encoding::Q4_K, 32, 512), 32u * 512 * 9 / 16);
  EXPECT_EQ(packedBytes(Encoding::Q6_K, 32, 512), 32u * 512 * 105 / 128);
  EXPECT_EQ(packedBytes(Encoding::Int4_G128, 32, 2048), 32u * 2048 * 133 / 256);
  EXPECT_EQ(panelBytes(Encoding::Int4_G128, 1152), 9u * 1024 + 2 * 320);
  EXPECT_EQ(packedBytes(Encoding::BFloat16, 16, 7), 16u * 8 * 2);
  EXPECT_EQ(packedBytes(Encoding::Float32, 17, 3), 2u * 16 * 3 * 4);
  EXPECT_EQ(panelBytes(Encoding::Q8_0, 32), 576u); // 544, padded to 64
}

TEST(Layout, UnpackInvertsPack) {
  for (Encoding encoding : kEncodings)
    for (int64_t rows : {1, 15, 16, 17, 40})
      for (int64_t blocks : {1, 2, 3, 5, 9}) {
        const int64_t cols = blocks * std::max<int64_t>(32, blockSize(encoding).columns);
        const uint64_t rowBytes = sourceRowBytes(encoding, cols);
        std::vector<std::byte> source =
            randomBytes(static_cast<size_t>(rows) * rowBytes, static_cast<uint32_t>(rows + cols));
        for (size_t i = 2; encoding == Encoding::Int4_G128 && i < source.size(); i += 67)
          source[i] &= std::byte{15}; // zero points
        std::vector<std::byte> packed(packedBytes(encoding, rows, cols), std::byte{0xcd});
        packWeight(encoding, source, rows, cols, packed);
        std::vector<std::byte> row(rowBytes);
        for (int64_t i = 0; i < rows; ++i) {
          unpackRow(encoding, packed, i, cols, row);
          ASSERT_EQ(std::memcmp(row.data(), source.data() + static_cast<uint64_t>(i) * rowBytes,
                                rowBytes),
                    0)
              << microkernels::encodingName(encoding) << " row " << i;
        }
      }
}

// The places of single elements, computed by hand from the description of the layout.
TEST(Layout, PlacesElementsAsDescribed) {
  std::vector<std::byte> source(sourceRowBytes(Encoding::Q4_1, 64) * 2);
  std::byte *block = source.data() + 40 + 20; // row 1, second block
  block[0] = std::byte{0x11};
  block[2] = std::byte{0x22};
  block[4 + 6] = std::byte{0x73}; // columns 6 (3) and 22 (7)
  std::vector<std::byte> panel(panelBytes(Encoding::Q4_1, 64));
  packPanel(Encoding::Q4_1, source, 2, 64, panel);
  EXPECT_EQ(panel[320 + 64 + 1 * 4 + 2], std::byte{0x73});
  EXPECT_EQ(panel[320 + 256 + 2], std::byte{0x11});
  EXPECT_EQ(panel[320 + 256 + 32 + 2], std::byte{0x22});

  std::vector<std::byte> q8(sourceRowBytes(Encoding::Q8_0, 32) * 3);
  q8[2 * 34 + 2 + 9] = std::byte{0xff}; // row 2, column 9: -1
  std::vector<std::byte> q8Panel(panelBytes(Encoding::Q8_0, 32));
  packPanel(Encoding::Q8_0, q8, 3, 32, q8Panel);
  EXPECT_EQ(q8Panel[64 + 2 * 64 + 2 * 4 + 1], std::byte{127});
  EXPECT_EQ(q8Panel[64 + 2 * 64 + 2 * 4 + 2], std::byte{128});  // zero
  EXPECT_EQ(q8Panel[64 + 7 * 64 + 15 * 4 + 3], std::byte{128}); // a padding row
  EXPECT_EQ(q8Panel[63], std::byte{0}); // the scale of a block that is not there
}

TEST(Layout, PlacesBitsOfFiveAsDescribed) {
  std::vector<std::byte> source(sourceRowBytes(Encoding::Q5_0, 64) * 2);
  std::byte *block = source.data() + 44 + 22; // row 1, second block
  block[0] = std::byte{0x11};
  block[2 + 22 / 8] = std::byte{1 << 22 % 8}; // column 22
  block[6 + 6] = std::byte{0x73};             // columns 6 (3) and 22 (7)
  std::vector<std::byte> panel(panelBytes(Encoding::Q5_0, 64));
  packPanel(Encoding::Q5_0, source, 2, 64, panel);
  EXPECT_EQ(panel[32 + 2], std::byte{0x11});
  EXPECT_EQ(panel[64 + 320 + 64 + 64 + 1 * 4 + 2], std::byte{0x73});
  EXPECT_EQ(panel[64 + 320 + 1 * 4 + 2], std::byte{1 << 5}); // g = 5, j = 2
}

TEST(Layout, PlacesSuperblocksAsDescribed) {
  std::vector<std::byte> source(sourceRowBytes(Encoding::Q4_K, 512) * 2);
  std::byte *block = source.data() + 288 + 144; // row 1, second superblock
  block[2] = std::byte{0x22};
  block[4 + 1] = std::byte{0xc0 | 9};       // part 1: scale 9; part 5: scale 3 << 4 ...
  block[4 + 5] = std::byte{0x80 | 33};      // part 1: minimum 33; part 5: minimum 2 << 4 ...
  block[4 + 9] = std::byte{0x5e};           // ... | 14, ... | 5
  block[16 + 2 * 32 + 6] = std::byte{0x73}; // column 6 of part 4 (3) and of part 5 (7)
  std::vector<std::byte> panel(panelBytes(Encoding::Q4_K, 512));
  packPanel(Encoding::Q4_K, source, 2, 512, panel);
  const std::byte *super = panel.data() + 2304;
  EXPECT_EQ(super[32 + 2], std::byte{0x22});
  EXPECT_EQ(super[64 + 1 * 16 + 1], std::byte{9 | 2 << 6});
  EXPECT_EQ(super[64 + 5 * 16 + 1], std::byte{62 | 2 << 6});
  EXPECT_EQ(super[192 + 0 * 16 + 1], std::byte{1 << 4});
  EXPECT_EQ(super[192 + 2 * 16 + 1], std::byte{5 << 4});
  EXPECT_EQ(super[256 + 4 * 256 + 64 + 1 * 4 + 2], std::byte{3});
  EXPECT_EQ(super[256 + 5 * 256 + 64 + 1 * 4 + 2], std::byte{7});

  std::vector<std::byte> six(sourceRowBytes(Encoding::Q6_K, 512) * 2);
  block = six.data() + 420 + 210;
  block[128 + 32 + 9] = std::byte{0xe0}; // columns 128 + 32 k + 9: 0, 0, 2, 3
  block[64 + 41] = std::byte{0x5a};      // columns 128 + 41 (10) and 128 + 105 (5)
  block[192 + 15] = std::byte{0xfe};     // the scale of columns 240 .. 255
  block[208] = std::byte{0x11};
  std::vector<std::byte> sixPanel(panelBytes(Encoding::Q6_K, 512));
  packPanel(Encoding::Q6_K, six, 2, 512, sixPanel);
  const std::byte *body = sixPanel.data() + 64 + 3328;
  EXPECT_EQ(sixPanel[32 + 2], std::byte{0x11});
  EXPECT_EQ(body[3 * 832 + 3 * 16 + 1], std::byte{0xfe});
  // Columns 233 and 201 are columns 9 of the third and first 16 of the last 64, 169 of the third of
  // the 64 before: i = 1, p = 2, j = 1.
  const auto quants = [&](int unit, int part) { return body + unit * 832 + 64 + part * 192; };
  EXPECT_EQ(quants(3, 2)[1 * 4 + 1], std::byte{3 << 4});
  EXPECT_EQ(quants(3, 2)[64 + 64 + 1 * 4 + 1], std::byte{5});
  EXPECT_EQ(quants(3, 0)[1 * 4 + 1], std::byte{2 << 4});
  EXPECT_EQ(quants(2, 2)[64 + 64 + 1 * 4 + 1], std::byte{10});
}

TEST(Layout, PlacesGroupsAsDescribed) {
  const int64_t cols = 10 * 128;
  std::vector<std::byte> source(sourceRowBytes(Encoding::Int4_G128, cols) * 2);
  const auto block = [&](int group) { return source.data() + (10 + group) * 67; }; // of row 1
  block(3)[0] = std::byte{0x11};
  block(3)[2] = std::byte{5};
  block(2)[2] = std::byte{9};
  block(3)[3 + 2 * 16 + 6] = std::byte{0x73}; // columns 64 + 6 (3) and 64 + 22 (7)
  block(9)[1] = std::byte{0x22};
  block(9)[2] = std::byte{15};
  block(9)[3 + 63] = std::byte{0xa1}; // columns 111 (1) and 127 (10)
  std::vector<std::byte> panel(panelBytes(Encoding::Int4_G128, cols));
  packPanel(Encoding::Int4_G128, source, 2, cols, panel);
  EXPECT_EQ(panel[3 * 32 + 2], std::byte{0x11});
  EXPECT_EQ(panel[256 + 16 + 1], std::byte{0x59});
  EXPECT_EQ(panel[320 + 3 * 1024 + 2 * 256 + 64 + 1 * 4 + 2], std::byte{0x73});
  const std::byte *unit = panel.data() + 320 + 8 * 1024;
  EXPECT_EQ(unit[32 + 2 + 1], std::byte{0x22});
  EXPECT_EQ(unit[256 + 1], std::byte{0xf0});
  EXPECT_EQ(unit[320 + 1024 + 3 * 256 + 3 * 64 + 1 * 4 + 3], std::byte{0xa1});
}

TEST(Quantize, RoundsToNearestEven) {
  EXPECT_EQ(floatToBFloat16(1.0f), 0x3f80);
  EXPECT_EQ(floatToBFloat16(std::bit_cast<float>(0x3f808000u)), 0x3f80);
  EXPECT_EQ(floatToBFloat16(std::bit_cast<float>(0x3f818000u)), 0x3f82);
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(floatToBFloat16(std::nanf("")))));
  EXPECT_EQ(floatToBFloat16(INFINITY), 0x7f80);
  EXPECT_EQ(floatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(65519.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(0x1.002p0f), 0x3c00); // ties
  EXPECT_EQ(floatToHalf(0x1.006p0f), 0x3c02);
  EXPECT_EQ(floatToHalf(0x1p-25f), 0x0000);
  EXPECT_EQ(floatToHalf(0x1.8p-24f), 0x0002);
  EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(std::nanf("")))));
}

TEST(Quantize, RoundsQuantsHalfAwayFromZero) {
  std::vector<float> values(32, 0.0f);
  values[0] = 127.0f; // d = 1
  values[1] = 2.5f;
  values[2] = -2.5f;
  std::vector<std::byte> block(34);
  quantizeQ8_0(values, block);
  EXPECT_EQ(block[1], std::byte{0x3c});
  EXPECT_EQ(static_cast<int8_t>(block[3]), 3);
  EXPECT_EQ(static_cast<int8_t>(block[4]), -3);
}

TEST(Quantize, EveryHalfAndBFloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto value = static_cast<uint16_t>(bits);
    if (!std::isnan(halfToFloat(value))) {
      ASSERT_EQ(floatToHalf(halfToFloat(value)), value);
    }
    if (!std::isnan(bfloat16ToFloat(value))) {
      ASSERT_EQ(floatToBFloat16(bfloat16ToFloat(value)), value);
    }
  }
}

/// A file of test/data/gguf_blocks: rows of 512 columns; `input` is what the blocks were made of,
/// if they are not random.
struct Oracle {
  std::vector<float> input, dequantized;
  std::vector<std::byte> packed;
  int64_t rows = 0;
};

Oracle readOracle(Encoding encoding) {
  const std::string name(microkernels::encodingName(encoding));
  Oracle oracle;
  auto file = SafetensorsFile::open(std::string(LLAMA4_TEST_DATA) + "/gguf_blocks/" + name +
                                    ".safetensors");
  EXPECT_TRUE(file.ok());
  if (!file.ok())
    return oracle;
  const auto bytes = [&](const char *tensor) { return file->find(tensor)->bytes; };
  const auto floats = [&](const char *tensor) {
    const std::span<const std::byte> data = bytes(tensor);
    std::vector<float> values(data.size() / 4);
    std::memcpy(values.data(), data.data(), data.size());
    return values;
  };
  if (file->find("input"))
    oracle.input = floats("input");
  oracle.dequantized = floats("dequantized");
  oracle.packed.assign(bytes("packed").begin(), bytes("packed").end());
  oracle.rows = static_cast<int64_t>(oracle.dequantized.size() / 512);
  return oracle;
}

TEST(Quantize, Q8_0MatchesTheReferenceBytes) {
  const Oracle oracle = readOracle(Encoding::Q8_0);
  ASSERT_EQ(oracle.input.size(), 12u * 512);
  std::vector<std::byte> packed(oracle.packed.size());
  encodeRow(Encoding::Q8_0, oracle.input, packed);
  EXPECT_EQ(packed, oracle.packed);
}

TEST(DecodeRow, EqualsGgufDequantization) {
  for (Encoding encoding : {Encoding::Q8_0, Encoding::Q4_1, Encoding::Q4_0, Encoding::Q5_0,
                            Encoding::Q4_K, Encoding::Q6_K}) {
    const Oracle oracle = readOracle(encoding);
    ASSERT_EQ(oracle.rows, 12);
    std::vector<std::byte> packed(packedBytes(encoding, oracle.rows, 512));
    packWeight(encoding, oracle.packed, oracle.rows, 512, packed);
    forEachLevel([&](const NativeLevel &level) {
      std::vector<float> row(512);
      for (int64_t i = 0; i < oracle.rows; ++i) {
        level.cores->find(encoding)(row.data(), packed.data(), i, 512);
        EXPECT_TRUE(sameBits(row.data(), oracle.dequantized.data() + i * 512, 512)) << i;
      }
    });
  }
}

// Three ways to read the same blocks: the core, the checkpoint's reader, the test's own.
TEST(DecodeRow, EqualsOtherReadersOfTheBlocks) {
  const std::pair<Encoding, DType> types[] = {
      {Encoding::Q8_0, DType::Q8_0},          {Encoding::Q4_1, DType::Q4_1},
      {Encoding::Q4_0, DType::Q4_0},          {Encoding::Q5_0, DType::Q5_0},
      {Encoding::Q4_K, DType::Q4_K},          {Encoding::Q6_K, DType::Q6_K},
      {Encoding::Int4_G128, DType::Int4_G128}};
  EXPECT_EQ(std::size(types) + 2, std::size(kEncodings));
  const int64_t rows = 19, cols = 1280;
  for (const auto &[encoding, dtype] : types) {
    SCOPED_TRACE(microkernels::encodingName(encoding));
    const std::vector<std::byte> source = makeWeight(encoding, rows, cols, 9);
    std::vector<std::byte> packed(packedBytes(encoding, rows, cols));
    packWeight(encoding, source, rows, cols, packed);
    std::vector<float> wanted(static_cast<size_t>(rows * cols));
    ASSERT_TRUE(dequantize(dtype, source, wanted).ok());
    forEachLevel([&](const NativeLevel &level) {
      std::vector<float> row(cols);
      for (int64_t i = 0; i < rows; ++i) {
        level.cores->find(encoding)(row.data(), packed.data(), i, cols);
        ASSERT_TRUE(sameBits(row.data(), wanted.data() + i * cols, cols)) << i;
        const Source read{encoding, source.data() +
                                        static_cast<uint64_t>(i) * sourceRowBytes(encoding, cols)};
        for (int64_t k = 0; k < cols; ++k)
          ASSERT_EQ(row[static_cast<size_t>(k)], read.value(k)) << i << " " << k;
      }
    });
  }
}

TEST(DecodeRow, FloatsOfOddWidth) {
  const int64_t rows = 19, cols = 33;
  const std::vector<float> values = randomFloats(rows * cols, 3);
  for (Encoding encoding : {Encoding::Float32, Encoding::BFloat16}) {
    std::vector<std::byte> source(static_cast<size_t>(rows) * sourceRowBytes(encoding, cols));
    encodeRow(encoding, values, source);
    std::vector<std::byte> packed(packedBytes(encoding, rows, cols));
    packWeight(encoding, source, rows, cols, packed);
    forEachLevel([&](const NativeLevel &level) {
      std::vector<float> row(cols);
      for (int64_t i = 0; i < rows; ++i) {
        level.cores->find(encoding)(row.data(), packed.data(), i, cols);
        for (int64_t k = 0; k < cols; ++k) {
          const float x = values[i * cols + k];
          const float expected =
              encoding == Encoding::Float32 ? x : bfloat16ToFloat(floatToBFloat16(x));
          ASSERT_EQ(row[k], expected) << i << " " << k;
        }
      }
    });
  }
}

} // namespace
} // namespace llama4::pack
