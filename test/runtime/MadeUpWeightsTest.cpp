//===- MadeUpWeightsTest.cpp - weights that no file holds -----------------===//
//
// The runtime fills packed memory without knowing the packer; here the packer's inverse reads it.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/MadeUpWeights.h"
#include "compiler/checkpoint/Dequantize.h"
#include "compiler/pack/ParamPacker.h"
#include "runtime/format/FileLayout.h"
#include "test/runtime/SampleProgram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace llama4;
using namespace llama4::test;
using microkernels::Encoding;

namespace {

constexpr std::pair<Encoding, DType> encodings[] = {
    {Encoding::Float32, DType::F32},        {Encoding::BFloat16, DType::BF16},
    {Encoding::Q8_0, DType::Q8_0},          {Encoding::Q4_1, DType::Q4_1},
    {Encoding::Q4_0, DType::Q4_0},          {Encoding::Q5_0, DType::Q5_0},
    {Encoding::Q4_K, DType::Q4_K},          {Encoding::Q6_K, DType::Q6_K},
    {Encoding::Int4_G128, DType::Int4_G128}};

/// A few blocks of an encoding.
int64_t someColumns(Encoding encoding) {
  const int64_t block = microkernels::blockSize(encoding).columns;
  return block == 256 ? 768 : block == 128 ? 1152 : 96;
}

Weight matrix(Encoding encoding, uint64_t rows, uint64_t columns) {
  Weight weight;
  weight.name = "layer.weight";
  weight.encoding = microkernels::encodingName(encoding);
  weight.rows = rows;
  weight.columns = columns;
  weight.bytes =
      pack::packedBytes(encoding, static_cast<int64_t>(rows), static_cast<int64_t>(columns));
  return weight;
}

std::vector<std::byte> make(const WeightSource &source, const Weight &weight) {
  std::vector<std::byte> memory(weight.bytes);
  makeUpPanels(source, weight, 0, panelCount(weight), memory);
  return memory;
}

/// Row `row` of packed memory as float32.
std::vector<float> unpack(Encoding encoding, DType dtype, std::span<const std::byte> packed,
                          int64_t row, int64_t columns) {
  std::vector<std::byte> source(pack::sourceRowBytes(encoding, columns));
  pack::unpackRow(encoding, packed, row, columns, source);
  std::vector<float> values(static_cast<size_t>(columns));
  EXPECT_TRUE(dequantize(dtype, source, values).ok());
  return values;
}

WeightSource random(uint64_t seed) { return {WeightOrigin::Random, 0, seed}; }
WeightSource splat(float value) { return {WeightOrigin::Splat, value, 0}; }

} // namespace

TEST(MadeUpWeights, RandomMatricesAreUniformInEveryEncoding) {
  for (auto [encoding, dtype] : encodings) {
    const int64_t rows = 40, columns = someColumns(encoding);
    // The product of a random scale and a random quant is not uniform.
    const double most = columns == 768 ? 2.2 : 1.01;
    std::vector<std::byte> memory = make(random(42), matrix(encoding, rows, columns));
    const double bound = 1.0 / std::sqrt(static_cast<double>(columns));
    double sum = 0, squares = 0;
    std::vector<std::vector<float>> before; // a panel is no copy of another
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<float> values = unpack(encoding, dtype, memory, row, columns);
      for (float value : values) {
        EXPECT_LE(std::fabs(value), bound * most);
        sum += value;
        squares += double{value} * value;
      }
      EXPECT_EQ(std::count(before.begin(), before.end(), values), 0) << "row " << row;
      before.push_back(values);
    }
    const double count = static_cast<double>(rows * columns);
    // Quants of q4_0 are -8 to 7, their mean is half a step below 0.
    const double mean = encoding == Encoding::Q4_0 ? -1.0 / 16 : 0;
    EXPECT_NEAR(sum / count / bound, mean, 0.05) << microkernels::encodingName(encoding);
    EXPECT_NEAR(squares / count / (bound * bound), 1.0 / 3, 0.05);
  }
}

TEST(MadeUpWeights, SplatIsTheValueAndPaddingIsZero) {
  for (auto [encoding, dtype] : encodings) {
    const int64_t columns = someColumns(encoding);
    std::vector<std::byte> memory = make(splat(-0.375f), matrix(encoding, 18, columns));
    for (int64_t row = 0; row < 32; ++row)
      EXPECT_EQ(unpack(encoding, dtype, memory, row, columns),
                std::vector<float>(columns, row < 18 ? -0.375f : 0.0f))
          << microkernels::encodingName(encoding) << " row " << row;
  }
  std::vector<std::byte> odd = make(splat(2.0f), matrix(Encoding::BFloat16, 3, 7));
  EXPECT_EQ(unpack(Encoding::BFloat16, DType::BF16, odd, 2, 8),
            (std::vector<float>{2, 2, 2, 2, 2, 2, 2, 0}));
}

// Experts: rows are padded in each matrix, and each has numbers of its own.
TEST(MadeUpWeights, EveryMatrixIsFilledAsIfItWereOne) {
  for (auto [encoding, dtype] : encodings) {
    SCOPED_TRACE(microkernels::encodingName(encoding));
    const int64_t columns = someColumns(encoding);
    Weight weight = matrix(encoding, 18, columns);
    const uint64_t bytes = weight.bytes;
    const std::vector<std::byte> one = make(splat(-0.375f), weight);
    const std::vector<std::byte> first = make(random(8), weight);
    weight.matrices = 3;
    weight.bytes *= 3;
    EXPECT_EQ(panelCount(weight), 6u);
    const std::vector<std::byte> three = make(splat(-0.375f), weight);
    const std::vector<std::byte> mixed = make(random(8), weight);
    for (uint64_t m = 0; m < 3; ++m) {
      EXPECT_TRUE(std::equal(one.begin(), one.end(), three.begin() + static_cast<long>(m * bytes)))
          << "matrix " << m;
      EXPECT_EQ(
          std::equal(first.begin(), first.end(), mixed.begin() + static_cast<long>(m * bytes)),
          m == 0)
          << "matrix " << m;
      const auto own = std::span(mixed).subspan(m * bytes, bytes);
      EXPECT_NE(unpack(encoding, dtype, own, 17, columns), std::vector<float>(columns));
      EXPECT_EQ(unpack(encoding, dtype, own, 18, columns), std::vector<float>(columns));
    }
  }
}

// A matrix of one row, which lies in a panel, is no vector.
TEST(MadeUpWeights, MatricesOfOneRow) {
  Weight weight = matrix(Encoding::Float32, 1, 1);
  weight.matrices = 2;
  weight.bytes *= 2;
  const std::vector<std::byte> memory = make(splat(2.0f), weight);
  std::vector<float> values(32), expected(32);
  std::memcpy(values.data(), memory.data(), memory.size());
  expected[0] = expected[16] = 2.0f;
  EXPECT_EQ(values, expected);
}

TEST(MadeUpWeights, VectorsStandAroundOneAndBiasesAroundZero) {
  Weight weight = {"norm.weight", "float32", 1, 100, 0, 448};
  for (float middle : {1.0f, 0.0f}) {
    std::vector<std::byte> memory = make(random(7), weight);
    std::vector<float> values(112);
    std::memcpy(values.data(), memory.data(), memory.size());
    for (size_t i = 0; i < 100; ++i)
      EXPECT_NEAR(values[i], middle, 0.07);
    EXPECT_NE(values[0], values[1]);
    for (size_t i = 100; i < 112; ++i)
      EXPECT_EQ(values[i], 0);
    weight.name = "q_proj.bias";
  }
}

TEST(MadeUpWeights, BytesDependOnSeedAndNameAndNotOnTheShare) {
  Weight weight = matrix(Encoding::Q8_0, 100, 160);
  std::vector<std::byte> whole = make(random(1), weight);
  EXPECT_NE(whole, make(random(2), weight));
  std::vector<std::byte> parts(weight.bytes);
  ASSERT_EQ(panelCount(weight), 7u);
  for (uint64_t panel : {6, 2, 0, 1, 5, 3, 4})
    makeUpPanels(random(1), weight, panel, 1, parts);
  EXPECT_EQ(whole, parts);
  weight.name = "other.weight";
  EXPECT_NE(whole, make(random(1), weight));
}

TEST(MadeUpWeights, TextsOfSources) {
  for (const char *text : {"random:0", "random:18446744073709551615", "splat:0.5", "splat:-65504"})
    EXPECT_EQ(weightSourceText(parseWeightSource(text).value_or(WeightSource())), text);
  EXPECT_EQ(weightSourceText(*parseWeightSource("splat:0.10")), "splat:0.1");
  for (const char *text : {"", "random", "random:", "random:-1", "random:1x", "splat:", "splat:nan",
                           "splat:inf", "splat:65505", "stored", "random:18446744073709551616"})
    EXPECT_FALSE(parseWeightSource(text)) << text;
}

namespace {

/// Writes the sample with made-up weights, changed by `tamper`.
std::string writeMadeUp(const std::string &name, std::function<void(ProgramDesc &)> tamper = {}) {
  std::string path = testPath(name);
  ArtifactParts parts = sampleParts();
  parts.program.weightSource = random(3);
  ArtifactOptions options;
  options.tamper = std::move(tamper);
  auto none = [](size_t, WeightSink &) { return Status::internal("no weight is asked for"); };
  auto summary = writeArtifact(path, std::move(parts), none, options);
  EXPECT_TRUE(summary.ok()) << summary.status().message();
  return path;
}

std::string loadError(const std::string &path) {
  auto program = Program::load(path, VerifyMode::Full);
  return program.ok() ? "loads" : program.status().message();
}

} // namespace

TEST(MadeUpWeights, AProgramWithoutWeightsFillsThemOnce) {
  auto program = Program::load(writeMadeUp("made-up.l4x"), VerifyMode::Full).take();
  EXPECT_TRUE(program->section(SectionKind::Weights).empty());
  EXPECT_TRUE(program->weight(0).empty());
  std::span<const std::byte> all = program->weights().take();
  EXPECT_EQ(all.size(), program->weightsBytes());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(all.data()) % weightsAlignment, 0u);
  EXPECT_EQ(program->weights().take().data(), all.data());
  for (size_t i = 0; i < program->desc().weights.size(); ++i) {
    std::span<const std::byte> weight = program->weight(i);
    std::vector<std::byte> expected = make(random(3), program->desc().weights[i]);
    EXPECT_TRUE(std::equal(weight.begin(), weight.end(), expected.begin(), expected.end()));
  }
}

TEST(MadeUpWeights, ContradictionsAreRefused) {
  struct Case {
    const char *field;
    std::function<void(ProgramDesc &)> tamper;
  };
  const std::vector<Case> cases = {
      {"weight_origin", [](ProgramDesc &p) { p.weightSource = {}; }},
      {"weight_origin", [](ProgramDesc &p) { p.weightSource.origin = WeightOrigin(3); }},
      {"weight_value", [](ProgramDesc &p) { p.weightSource.value = 1; }},
      {"weight_value", [](ProgramDesc &p) { p.weightSource = splat(65505); }},
      {"weight_value", [](ProgramDesc &p) { p.weightSource = splat(NAN); }},
      {"weight_seed", [](ProgramDesc &p) { p.weightSource.origin = WeightOrigin::Splat; }},
      {"weights[0].encoding", [](ProgramDesc &p) { p.weights[0].encoding = "q7_9"; }},
      {"weights (bytes of all)", [](ProgramDesc &p) { p.weights.back().bytes = UINT64_MAX - 63; }},
      {"weights (bytes of all)", [](ProgramDesc &p) { p.weights.back().bytes = 1ull << 47; }},
      {"weights[0].bytes", [](ProgramDesc &p) { p.weights[1].offset = 0; }},
  };
  for (const Case &c : cases)
    EXPECT_NE(loadError(writeMadeUp("tampered.l4x", c.tamper)).find(c.field), std::string::npos)
        << c.field << ": " << loadError(testPath("tampered.l4x"));
}

TEST(MadeUpWeights, HeaderAndSectionMustAgree) {
  std::string path = testPath("stored.l4x");
  writeSample(path);
  FileBytes stored(path);
  stored.header().features = featureMadeUpWeights;
  ASSERT_TRUE(resealArtifact(stored.span()));
  auto program = Program::fromBytes(stored.span());
  ASSERT_FALSE(program.ok());
  EXPECT_NE(program.status().message().find("weight_origin"), std::string::npos);

  FileBytes made(writeMadeUp("bit.l4x"));
  made.header().features = 0;
  ASSERT_TRUE(resealArtifact(made.span()));
  program = Program::fromBytes(made.span());
  ASSERT_FALSE(program.ok());
  EXPECT_NE(program.status().message().find("weight_origin"), std::string::npos);
}

TEST(MadeUpWeights, MoreThanTheMachineHasIsOutOfMemory) {
  // A last weight of 2^45 bytes is legal as long as nobody asks for it.
  std::string path =
      writeMadeUp("large.l4x", [](ProgramDesc &p) { p.weights.back().bytes = uint64_t{1} << 45; });
  auto program = Program::load(path);
  ASSERT_TRUE(program.ok()) << program.status().message();
  auto weights = (*program)->weights();
  ASSERT_FALSE(weights.ok());
  EXPECT_EQ(weights.status().kind(), StatusKind::OutOfMemory);
}
