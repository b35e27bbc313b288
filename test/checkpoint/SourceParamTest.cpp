//===- SourceParamTest.cpp - parameters that are convolutions -------------===//

#include "compiler/checkpoint/SourceParam.h"

#include <gtest/gtest.h>
#include <numeric>

using namespace llama4;

namespace {

/// The weight of a convolution of 2 channels in patches of 2 by 3 to 4 outputs.
class Convolution : public testing::Test {
protected:
  Convolution() : values_(48) {
    std::iota(values_.begin(), values_.end(), 0.0f);
    tensor_ = {"conv", DType::F32, {4, 2, 2, 3}, std::as_bytes(std::span(values_)), 0};
  }
  Result<SourceParam> find(std::vector<int64_t> shape, bool transpose = false) const {
    const SourceSpec spec{
        .name = "param", .source = "conv", .shape = shape, .transpose = transpose};
    return SourceParam::find(spec, [this](std::string_view) { return &tensor_; });
  }
  std::vector<float> values_;
  SourceTensor tensor_;
};

TEST_F(Convolution, IsTheMatrixOfItsOutputs) {
  auto param = find({4, 12});
  ASSERT_TRUE(param.ok()) << param.status().message();
  const SourceParam moved = param.take(); // the flat view moves along
  EXPECT_EQ(moved.rows(), 4);
  EXPECT_EQ(moved.columns(), 12);
  std::vector<float> rows(24);
  ASSERT_TRUE(moved.readRows(0, 1, 2, rows).ok());
  EXPECT_TRUE(std::equal(rows.begin(), rows.end(), values_.begin() + 12));
  std::vector<float> stored(12);
  ASSERT_TRUE(moved.readStored(0, 3, 1, std::as_writable_bytes(std::span(stored))).ok());
  EXPECT_TRUE(std::equal(stored.begin(), stored.end(), values_.begin() + 36));
}

TEST_F(Convolution, OfOtherExtentsDoesNotFit) {
  for (const auto &shape : {std::vector<int64_t>{4, 11}, {8, 6}, {48}, {4, 2, 6}}) {
    auto param = find(shape);
    ASSERT_FALSE(param.ok());
    EXPECT_NE(param.status().message().find("under \"conv\", expected"), std::string::npos)
        << param.status().message();
  }
  EXPECT_FALSE(find({12, 4}, /*transpose=*/true).ok());
}

} // namespace
