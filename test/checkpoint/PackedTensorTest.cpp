//===- PackedTensorTest.cpp - packed integers equal the reference's -------===//

#include "compiler/checkpoint/PackedTensor.h"

#include "compiler/checkpoint/CompressedTensors.h"
#include "compiler/checkpoint/Dequantize.h"
#include "compiler/checkpoint/SourceParam.h"
#include "runtime/format/Half.h"
#include "runtime/format/Safetensors.h"
#include "test/checkpoint/TestFiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

using namespace llama4;
using namespace llama4::test;

namespace {

/// What the package packed, and its own descriptions of that.
class RecordedPacks : public testing::Test {
protected:
  RecordedPacks() : file_(SafetensorsFile::open(LLAMA4_TEST_DATA "/packed/cases.safetensors")) {
    configs_ = nlohmann::json::parse(readFile(LLAMA4_TEST_DATA "/packed/config.json"));
    EXPECT_TRUE(file_.ok());
  }

  const SourceTensor *tensor(const std::string &name) {
    const SafetensorsTensor *found = file_->find(name);
    if (!found)
      return nullptr;
    SourceTensor &tensor = tensors_[name];
    tensor = {name, found->dtype, found->shape, found->bytes, 0};
    return &tensor;
  }

  /// How `name` is packed, as its configuration says.
  PackedFormat format(const std::string &name) {
    const std::string text = R"({"quantization_config": )" + configs_[name].dump() + "}";
    auto config = Config::parse(text, "config.json");
    auto read = CompressedTensors::read(*config);
    EXPECT_TRUE(read.ok()) << read.status().message();
    EXPECT_TRUE((*read)->isIgnored("lm_head"));
    EXPECT_EQ(config->unreadFields(), std::vector<std::string>());
    return (*read)->packedFormat("model.layers.0.mlp.up_proj").value();
  }

  PackedTensor::Parts parts(const std::string &name) {
    const PackedFormat packed = format(name);
    return {tensor(name + ".weight_packed"), tensor(name + ".weight_scale"),
            packed.hasZeroPoints ? tensor(name + ".weight_zero_point") : nullptr, packed.bits};
  }

  std::vector<float> floats(const std::string &name) {
    const SourceTensor *stored = tensor(name);
    std::vector<float> values(stored->elements());
    EXPECT_TRUE(dequantize(stored->dtype, stored->bytes, values).ok());
    return values;
  }

  Result<SafetensorsFile> file_;
  nlohmann::json configs_;
  std::map<std::string, SourceTensor> tensors_;
};

TEST_F(RecordedPacks, HaveThePackagesValuesBitByBit) {
  const std::map<std::string, std::optional<DType>> blocks = {
      {"w4_g128_sym_bf16", DType::Int4_G128}, {"w4_g128_asym_bf16", DType::Int4_G128},
      {"w4_g128_sym_f16", DType::Int4_G128},  {"w4_g64_sym_f16", DType::Q4_0},
      {"w4_g32_asym_bf16", DType::Q8_0},      {"w4_channel_asym_f16", DType::Int4_G128},
      {"w4_channel_sym_f32", std::nullopt},   {"w8_g64_sym_bf16", DType::Q8_0},
      {"w8_channel_asym_f16", std::nullopt},
  };
  ASSERT_EQ(configs_.size(), blocks.size());
  for (const auto &[name, block] : blocks) {
    SCOPED_TRACE(name);
    const SourceTensor *values = tensor(name + ".values");
    const int64_t rows = values->shape[0], columns = values->shape[1];
    auto packed = PackedTensor::make(parts(name), rows, columns);
    ASSERT_TRUE(packed.ok()) << packed.status().message();
    EXPECT_EQ(packed->groupColumns(),
              format(name).groupColumns ? format(name).groupColumns : columns);
    const std::vector<float> wanted = floats(name + ".values");
    ASSERT_NE(wanted, std::vector<float>(wanted.size()));
    std::vector<float> found(wanted.size());
    ASSERT_TRUE(packed->readValues(0, rows, found).ok());
    EXPECT_EQ(found, wanted);
    // Some rows by themselves.
    std::vector<float> some(static_cast<size_t>(2 * columns));
    ASSERT_TRUE(packed->readValues(8, 2, some).ok());
    EXPECT_TRUE(std::equal(some.begin(), some.end(), wanted.begin() + 8 * columns));

    ASSERT_EQ(packed->blockType(), block);
    if (!block)
      continue;
    std::vector<std::byte> bytes(*rowBytes(*block, wanted.size()));
    ASSERT_TRUE(packed->readBlocks(0, rows, bytes).ok());
    ASSERT_TRUE(dequantize(*block, bytes, found).ok());
    EXPECT_EQ(found, wanted) << "in blocks";
    std::vector<std::byte> last(bytes.size() / static_cast<size_t>(rows));
    ASSERT_TRUE(packed->readBlocks(rows - 1, 1, last).ok());
    EXPECT_TRUE(std::equal(last.begin(), last.end(), bytes.end() - static_cast<long>(last.size())));
  }
}

// With scales of 8 bits the package rounds the products to as many; here they are exact.
TEST_F(RecordedPacks, AreNotRoundedToTheTypeOfScales) {
  const std::vector<float> exact = floats("w4_g128_sym_bf16.values"),
                           rounded = floats("w4_g128_sym_bf16.rounded");
  size_t different = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    different += exact[i] != rounded[i];
    EXPECT_LE(std::fabs(exact[i] - rounded[i]), std::fabs(exact[i]) * 0x1p-8f);
  }
  EXPECT_GT(different, exact.size() / 10);
}

TEST_F(RecordedPacks, OfExpertsAreMatricesOfOneParameter) {
  const std::string names[] = {"w4_g128_asym_bf16", "w4_channel_asym_f16"};
  const SourceSpec spec{.name = "experts",
                        .source = "*.weight_packed",
                        .shape = {2, 11, 256},
                        .perExpert = true,
                        .scale = "*.weight_scale",
                        .bits = 4,
                        .zeroPoint = "*.weight_zero_point"};
  const auto finder = [&](std::string_view name) {
    return tensor(names[name[0] - '0'] + std::string(name.substr(1)));
  };
  auto param = SourceParam::find(spec, finder);
  ASSERT_TRUE(param.ok()) << param.status().message();
  for (int64_t matrix = 0; matrix < 2; ++matrix) {
    EXPECT_EQ(param->storedType(matrix), DType::Int4_G128);
    std::vector<float> found(11 * 256), decoded(found.size());
    ASSERT_TRUE(param->readRows(matrix, 0, 11, found).ok());
    EXPECT_EQ(found, floats(names[matrix] + ".values"));
    std::vector<std::byte> bytes(*rowBytes(DType::Int4_G128, found.size()));
    ASSERT_TRUE(param->readStored(matrix, 0, 11, bytes).ok());
    ASSERT_TRUE(dequantize(DType::Int4_G128, bytes, decoded).ok());
    EXPECT_EQ(decoded, found);
  }
  for (auto change :
       {+[](SourceSpec &wrong) { wrong.transpose = true; },
        +[](SourceSpec &wrong) { wrong.firstRow = 1; },
        +[](SourceSpec &wrong) { wrong.perExpert = false; },
        +[](SourceSpec &wrong) { wrong.shape = {11, 256}; },
        +[](SourceSpec &wrong) { wrong.bits = 8; }, +[](SourceSpec &wrong) { wrong.bits = 3; },
        +[](SourceSpec &wrong) { wrong.scale = "*.other"; }}) {
    SourceSpec wrong = spec;
    change(wrong);
    EXPECT_FALSE(SourceParam::find(wrong, finder).ok());
  }
}

/// One matrix [8, 256] in groups of 128, all of it at hand to be spoiled.
struct Spoiled {
  std::vector<int32_t> words = std::vector<int32_t>(8 * 32, 0x76543210);
  std::vector<uint16_t> scales = std::vector<uint16_t>(8 * 2, 0x3c00); // 2^-7 in bfloat16
  std::vector<int32_t> zeros = {0x01234567, 0x76543210};
  SourceTensor packed{"w.weight_packed", DType::I32, {8, 32}, std::as_bytes(std::span(words)), 0};
  SourceTensor scale{"w.weight_scale", DType::BF16, {8, 2}, std::as_bytes(std::span(scales)), 0};
  SourceTensor zero{"w.weight_zero_point", DType::I32, {1, 2}, std::as_bytes(std::span(zeros)), 0};
  int64_t bits = 4, rows = 8, columns = 256;

  Result<PackedTensor> make() const {
    return PackedTensor::make({&packed, &scale, &zero, bits}, rows, columns);
  }
};

TEST(PackedTensor, SaysWhatDoesNotFit) {
  ASSERT_TRUE(Spoiled().make().ok());
  struct Case {
    void (*spoil)(Spoiled &);
    const char *tensor, *found;
  };
  const Case cases[] = {
      {[](Spoiled &s) { s.packed.shape = {8, 33}; }, "w.weight_packed",
       "found i32 [8, 33], expected i32 [8, 32]"},
      {[](Spoiled &s) { s.packed.shape = {32, 8}; }, "w.weight_packed", "found i32 [32, 8]"},
      {[](Spoiled &s) { s.packed.shape = {256}; }, "w.weight_packed", "found i32 [256]"},
      {[](Spoiled &s) { s.packed.dtype = DType::U32; }, "w.weight_packed", "found u32"},
      {[](Spoiled &s) { s.packed.bytes = s.packed.bytes.first(1020); }, "w.weight_packed",
       "expected i32"},
      {[](Spoiled &s) { s.bits = 8; }, "w.weight_packed", "expected i32 [8, 64]"},
      {[](Spoiled &s) { s.rows = 16; }, "w.weight_packed", "expected i32 [16, 32]"},
      {[](Spoiled &s) { s.columns = 255, s.scale.shape = {8, 2}; }, "w.weight_scale",
       "groups of equal size of 255"},
      {[](Spoiled &s) { s.scale.shape = {2, 8}; }, "w.weight_scale", "found bf16 [2, 8]"},
      {[](Spoiled &s) { s.scale.shape = {8, 0}; }, "w.weight_scale", "found bf16 [8, 0]"},
      {[](Spoiled &s) { s.scale.shape = {8, 3}; }, "w.weight_scale", "found bf16 [8, 3]"},
      {[](Spoiled &s) { s.scale.shape = {16}; }, "w.weight_scale", "found bf16 [16]"},
      {[](Spoiled &s) { s.scale.dtype = DType::I16; }, "w.weight_scale", "found i16"},
      {[](Spoiled &s) { s.scale.bytes = s.scale.bytes.first(30); }, "w.weight_scale",
       "expected f32"},
      {[](Spoiled &s) { s.scales[5] = 0x7f80; }, "w.weight_scale",
       "found the scale inf at element 5"},
      {[](Spoiled &s) { s.scales[15] = 0x7fc0; }, "w.weight_scale",
       "found the scale nan at element 15"},
      {[](Spoiled &s) { s.zero.shape = {2, 1}; }, "w.weight_zero_point", "expected i32 [1, 2]"},
      {[](Spoiled &s) { s.zero.dtype = DType::I8; }, "w.weight_zero_point", "found i8 [1, 2]"},
      {[](Spoiled &s) { s.zero.bytes = {}; }, "w.weight_zero_point", "expected i32 [1, 2]"},
      {[](Spoiled &s) { s.rows = 0; }, "w.weight_packed", "[0, 256]"},
      {[](Spoiled &s) { s.columns = std::numeric_limits<int64_t>::max(); }, "w.weight_packed",
       "9223372036854775807"},
      {[](Spoiled &s) { s.rows = s.columns = int64_t{1} << 40; }, "w.weight_packed", "[8, 32]"},
  };
  for (const Case &each : cases) {
    Spoiled spoiled;
    each.spoil(spoiled);
    auto made = spoiled.make();
    ASSERT_FALSE(made.ok()) << each.found;
    EXPECT_EQ(made.status().kind(), StatusKind::InvalidInput) << made.status().message();
    EXPECT_NE(made.status().message().find(each.tensor), std::string::npos)
        << made.status().message();
    EXPECT_NE(made.status().message().find(each.found), std::string::npos)
        << made.status().message();
  }
}

// A bfloat16 has 8 bits, a float16 11: from 2^-17 to 65280 every one is exact, below that few.
TEST(PackedTensor, KnowsTheScalesThatAFloat16Is) {
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    Spoiled spoiled;
    spoiled.scales[3] = static_cast<uint16_t>(bits | (bits & 1 ? 0x8000 : 0));
    auto made = spoiled.make();
    ASSERT_TRUE(made.ok()) << made.status().message();
    const float value = bfloat16ToFloat(static_cast<uint16_t>(bits));
    // From the definition: a multiple of the smallest step there, not beyond the largest number.
    const int exponent = value > 0 ? std::max(std::ilogb(value), -14) : 0;
    const float steps = std::ldexp(value, 10 - exponent);
    const bool isHalf = value <= 65504.0f && steps == std::floor(steps);
    ASSERT_EQ(made->blockType(), isHalf ? std::optional(DType::Int4_G128) : std::nullopt) << value;
    ASSERT_EQ(made->hasWideScales(), !isHalf) << value;
    if (value >= 0x1p-17f && value <= 65280.0f)
      ASSERT_TRUE(isHalf) << value;
    if (!isHalf)
      continue;
    std::vector<std::byte> blocks(67 * 2);
    ASSERT_TRUE(made->readBlocks(1, 1, blocks).ok());
    std::vector<float> found(256), wanted(256);
    ASSERT_TRUE(dequantize(DType::Int4_G128, blocks, found).ok());
    ASSERT_TRUE(made->readValues(1, 1, wanted).ok());
    ASSERT_EQ(found, wanted) << value;
  }
}

TEST(PackedTensor, ReadsNoRowsOutside) {
  const Spoiled spoiled;
  auto made = spoiled.make();
  ASSERT_TRUE(made.ok());
  std::vector<float> row(256);
  std::vector<std::byte> blocks(67 * 2);
  for (auto [first, count] :
       {std::pair<int64_t, int64_t>{8, 1}, {-1, 1}, {0, 9}, {0, -1}, {0, 2}}) {
    EXPECT_FALSE(made->readValues(first, count, row).ok()) << first;
    EXPECT_FALSE(made->readBlocks(first, count, blocks).ok()) << first;
  }
}

} // namespace
