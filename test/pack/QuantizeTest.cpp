//===- QuantizeTest.cpp - the quantizers against reference errors ---------===//
//
// The rows are those of tools/dev/quantizer_cases.py, which recorded what errors the reference
// quantizers make on them: made up, and of SmolLM2.
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/Quantize.h"
#include "compiler/checkpoint/Dequantize.h"
#include "compiler/checkpoint/Json.h"
#include "compiler/pack/Layout.h"
#include "compiler/pack/lanes/Quantizers.h"
#include "runtime/format/Half.h"
#include "runtime/format/Safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <limits>

namespace llama4::pack {
namespace {

constexpr int kRows = 8, kColumns = 1024;
const char *const kCases[] = {"normal", "heavy", "shifted", "positive", "negative", "outliers",
                              "tiny",   "large", "sparse",  "uneven",   "constant", "ramp"};

struct Type {
  Encoding encoding;
  DType dtype;
};
constexpr Type kTypes[] = {{Encoding::Q4_0, DType::Q4_0},          {Encoding::Q4_1, DType::Q4_1},
                           {Encoding::Q5_0, DType::Q5_0},          {Encoding::Q8_0, DType::Q8_0},
                           {Encoding::Q4_K, DType::Q4_K},          {Encoding::Q6_K, DType::Q6_K},
                           {Encoding::Int4_G128, DType::Int4_G128}};

double valueOf(const std::string &name, double z, int i) {
  if (name == "heavy")
    return z * z * z;
  if (name == "shifted")
    return z + 3.0;
  if (name == "positive")
    return std::fabs(z);
  if (name == "negative")
    return -std::fabs(z);
  if (name == "outliers")
    return i % 97 == 0 ? z * 20.0 : z;
  if (name == "tiny")
    return z * 0x1p-16;
  if (name == "large")
    return z * 1024.0;
  if (name == "sparse")
    return i % 11 == 0 ? z : 0.0;
  if (name == "uneven")
    return z * (1 + i / 16 % 13);
  if (name == "constant")
    return 0.7109375;
  if (name == "ramp")
    return (i % kColumns - 300) * 0.015625;
  return z;
}

/// make_rows() of the script.
std::vector<float> makeRows(size_t which) {
  uint64_t state = which + 1;
  std::vector<float> values;
  for (int i = 0; i < kRows * kColumns; ++i) {
    double z = -6.0;
    for (int j = 0; j < 12; ++j) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      z += static_cast<double>(state >> 40) * 0x1p-24;
    }
    values.push_back(static_cast<float>(valueOf(kCases[which], z, i)));
  }
  return values;
}

/// What is read back from the packed form.
std::vector<float> throughPanels(const Type &type, const std::vector<float> &values) {
  const uint64_t rowBytes = sourceRowBytes(type.encoding, kColumns);
  std::vector<std::byte> blocks(rowBytes * kRows), row(rowBytes);
  encodeRow(type.encoding, values, blocks);
  std::vector<std::byte> packed(packedBytes(type.encoding, kRows, kColumns));
  packWeight(type.encoding, blocks, kRows, kColumns, packed);
  std::vector<float> decoded(values.size());
  for (int i = 0; i < kRows; ++i) {
    unpackRow(type.encoding, packed, i, kColumns, row);
    const Status status =
        dequantize(type.dtype, row, std::span(decoded).subspan(size_t{kColumns} * i, kColumns));
    EXPECT_TRUE(status.ok()) << status.message();
  }
  return decoded;
}

double rms(const std::vector<float> &a, const std::vector<float> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
  return std::sqrt(sum / static_cast<double>(a.size()));
}

/// {case: {encoding: error}} of the references.
nlohmann::json readErrors() {
  std::ifstream file(LLAMA4_TEST_DATA "/quantizers/errors.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto errors = parseJsonObject(text, "errors.json");
  EXPECT_TRUE(errors.ok()) << errors.status().message();
  return errors.ok() ? errors.take() : nlohmann::json::object();
}

void checkErrors(const std::string &name, const std::vector<float> &values,
                 const nlohmann::json &errors) {
  ASSERT_EQ(values.size(), size_t{kRows} * kColumns);
  const bool print = std::getenv("LLAMA4_PRINT_ERRORS") != nullptr;
  for (const Type &type : kTypes) {
    const std::string encoding(microkernels::encodingName(type.encoding));
    const double reference = errors.value(encoding, -1.0);
    ASSERT_GE(reference, 0.0) << name;
    const double own = rms(values, throughPanels(type, values));
    // The figures were summed in another order.
    EXPECT_LE(own, reference * (1 + 1e-9)) << name << " " << encoding;
    if (print)
      std::printf("%-25s %s %.6g reference %.6g ratio %.4f\n", name.c_str(), encoding.c_str(), own,
                  reference, reference > 0 ? own / reference : 1.0);
  }
}

TEST(Quantize, ErrorsAreAtMostTheReferences) {
  const nlohmann::json errors = readErrors();
  for (size_t which = 0; which < std::size(kCases); ++which)
    checkErrors(kCases[which], makeRows(which), errors.value(kCases[which], nlohmann::json()));
}

/// Rows of SmolLM2: a name and values.
std::vector<std::pair<std::string, std::vector<float>>> modelRows() {
  std::vector<std::pair<std::string, std::vector<float>>> rows;
  auto file = SafetensorsFile::open(LLAMA4_TEST_DATA "/quantizers/smollm2.safetensors");
  EXPECT_TRUE(file.ok()) << file.status().message();
  if (!file.ok())
    return rows;
  for (const auto &tensor : file->tensors()) {
    std::vector<float> values(size_t{kRows} * kColumns);
    const DType dtype = tensor.name == "token_embd.weight" ? DType::Q8_0 : DType::Q4_1;
    EXPECT_TRUE(dequantize(dtype, tensor.bytes, values).ok()) << tensor.name;
    rows.emplace_back(tensor.name, std::move(values));
  }
  return rows;
}

TEST(Quantize, ErrorsOnRowsOfAModelAreAtMostTheReferences) {
  const nlohmann::json errors = readErrors();
  const auto rows = modelRows();
  EXPECT_EQ(rows.size() + std::size(kCases), errors.size());
  EXPECT_GE(rows.size(), 6u);
  for (const auto &[name, values] : rows)
    checkErrors(name, values, errors.value(name, nlohmann::json()));
}

/// Rows of all kinds, those of 16-bit floats among them.
std::vector<std::vector<float>> allRows() {
  std::vector<std::vector<float>> rows;
  for (size_t which = 0; which < std::size(kCases); ++which)
    rows.push_back(makeRows(which));
  for (auto &[name, values] : modelRows())
    rows.push_back(std::move(values));
  for (size_t which = 0; which < 3; ++which)
    for (float &value : rows.emplace_back(rows[which]))
      value = halfToFloat(floatToHalf(value));
  return rows;
}

/// What is compiled for each level of CPU, and the hash of what it makes of allRows().
struct Leveled {
  Encoding encoding;
  Quantizer Quantizers::*quantizer;
  uint64_t hash;
};
constexpr Leveled kLeveled[] = {{Encoding::Q4_0, &Quantizers::q4_0, 1329885334635447129u},
                                {Encoding::Q4_1, &Quantizers::q4_1, 1506947995166985231u},
                                {Encoding::Q5_0, &Quantizers::q5_0, 3298187861840570915u},
                                {Encoding::Q8_0, &Quantizers::q8_0, 10131032876190713515u},
                                {Encoding::Q4_K, &Quantizers::q4_k, 9860399783936244131u},
                                {Encoding::Q6_K, &Quantizers::q6_k, 5135805756997471754u}};

/// FNV-1a.
uint64_t hashOf(std::span<const std::byte> bytes, uint64_t hash) {
  for (std::byte byte : bytes)
    hash = (hash ^ static_cast<uint64_t>(byte)) * 0x100000001b3u;
  return hash;
}

// Recorded when each value was worked on by itself: whatever makes the quantizers faster leaves
// every byte as it is. Who makes them better records them again.
TEST(Quantize, BytesAreThoseRecorded) {
  for (const Leveled &type : kLeveled) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const std::vector<float> &values : allRows()) {
      std::vector<std::byte> blocks(sourceRowBytes(type.encoding, kColumns) * kRows);
      encodeRow(type.encoding, values, blocks);
      hash = hashOf(blocks, hash);
    }
    EXPECT_EQ(hash, type.hash) << microkernels::encodingName(type.encoding);
  }
}

/// What one level makes of `blocks` blocks.
std::vector<std::byte> quantized(const QuantizerLevel &level, const Leveled &type,
                                 std::span<const float> values, size_t blocks) {
  const microkernels::BlockSize size = microkernels::blockSize(type.encoding);
  EXPECT_LE(blocks * static_cast<size_t>(size.columns), values.size());
  std::vector<std::byte> out(blocks * static_cast<size_t>(size.bytes), std::byte{0xaa});
  (level.quantizers->*type.quantizer)(values.data(), blocks, out.data());
  return out;
}

TEST(Quantize, AllLevelsGiveTheSameBytes) {
  const QuantizerLevel plain = quantizerLevel(0);
  for (size_t index = 1; index < kQuantizerLevels; ++index) {
    const QuantizerLevel level = quantizerLevel(index);
    if (!level.runsHere)
      continue;
    for (const std::vector<float> &values : allRows())
      for (const Leveled &type : kLeveled) {
        const size_t blocks =
            values.size() / static_cast<size_t>(microkernels::blockSize(type.encoding).columns);
        EXPECT_EQ(quantized(level, type, values, blocks), quantized(plain, type, values, blocks))
            << level.name << " " << microkernels::encodingName(type.encoding);
      }
  }
}

// Blocks don't depend on those that they are worked on with, nor is anything written behind them.
TEST(Quantize, AnyNumberOfBlocksAtOnce) {
  const std::vector<float> values = makeRows(9);
  for (size_t index = 0; index < kQuantizerLevels; ++index) {
    const QuantizerLevel level = quantizerLevel(index);
    if (!level.runsHere)
      continue;
    for (const Leveled &type : kLeveled) {
      const microkernels::BlockSize size = microkernels::blockSize(type.encoding);
      const std::vector<std::byte> all = quantized(level, type, values, 32);
      for (size_t first = 0; first < 3; ++first)
        for (size_t count = 0; count + first <= 19; ++count) {
          const auto begin = static_cast<size_t>(size.bytes) * first;
          const std::span<const std::byte> expected =
              std::span(all).subspan(begin, static_cast<size_t>(size.bytes) * count);
          // Values of their own: a sanitizer sees what is read behind them.
          const auto columns = static_cast<size_t>(size.columns);
          const std::vector<float> part(values.data() + first * columns,
                                        values.data() + (first + count) * columns);
          const std::vector<std::byte> some = quantized(level, type, part, count);
          EXPECT_TRUE(std::ranges::equal(some, expected))
              << level.name << " " << microkernels::encodingName(type.encoding) << " " << first
              << " " << count;
        }
    }
  }
}

TEST(Quantize, ZerosAreExact) {
  const std::vector<float> zeros(kRows * kColumns, 0.0f);
  for (const Type &type : kTypes)
    EXPECT_EQ(throughPanels(type, zeros), zeros) << microkernels::encodingName(type.encoding);
}

TEST(Quantize, WhatIsNoNumberIsNoFault) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> values = makeRows(0);
  const float odd[] = {std::nanf(""), infinity, -infinity, 3.0e38f, -3.0e38f, 1.0e-45f, 65504.0f};
  for (size_t i = 0; i < values.size(); i += 29)
    values[i] = odd[i % std::size(odd)];
  for (const Type &type : kTypes) {
    std::vector<std::byte> blocks(sourceRowBytes(type.encoding, kColumns) * kRows);
    encodeRow(type.encoding, values, blocks);
    // The first block without such a value is as good as ever.
    std::vector<float> all(values.size(), odd[0]);
    encodeRow(type.encoding, all, blocks);
  }
}

// Everything up to the largest float16 is stored without an infinite scale.
TEST(Quantize, LargestValuesStayFinite) {
  std::vector<float> values(kRows * kColumns);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = i % 3 == 0 ? 65504.0f : i % 3 == 1 ? -65504.0f : static_cast<float>(i);
  for (const Type &type : kTypes)
    for (float value : throughPanels(type, values))
      ASSERT_TRUE(std::isfinite(value)) << microkernels::encodingName(type.encoding);
}

} // namespace
} // namespace llama4::pack
