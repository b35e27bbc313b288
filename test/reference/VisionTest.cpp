//===- VisionTest.cpp - ops of image towers -------------------------------===//
//
// Every expected number here is worked out by hand or in the comment beside it.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/Interpreter.h"
#include "dialects/lm/Lm.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

using namespace llama4;
using namespace llama4::reference;

namespace {

struct NoParams : ParamSource {
  Result<HostTensor> read(const ParamRequest &request) override {
    return Status::invalidInput("no " + request.source);
  }
};

/// Runs a function @f of one op: `arguments` and the op's text, whose result type is `result`.
Result<std::vector<HostTensor>> run(const std::string &arguments, const std::string &op,
                                    const std::string &result, const NamedTensors &inputs,
                                    const std::string &before = "") {
  const std::string text = before + "func.func @f(" + arguments + ") -> " + result +
                           " {\n  %0 = " + op + "\n  return %0 : " + result + "\n}\n";
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<lm::LmDialect, target::TargetDialect, mlir::func::FuncDialect,
                      mlir::arith::ArithDialect, mlir::math::MathDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return Status::internal("the test's module doesn't parse");
  NoParams params;
  return Interpreter(*module, params).runEntry("f", inputs);
}

HostTensor counting(std::vector<int64_t> shape) {
  HostTensor tensor = HostTensor::zeros(Element::F32, std::move(shape));
  std::iota(tensor.values.begin(), tensor.values.end(), 0.0f);
  return tensor;
}

void expectValues(const Result<std::vector<HostTensor>> &results,
                  const std::vector<float> &expected, float tolerance = 1e-6f) {
  ASSERT_TRUE(results.ok()) << results.status().message();
  const std::vector<float> &values = results->at(0).values;
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(values[i], expected[i], tolerance) << "at " << i;
}

void expectError(const Result<std::vector<HostTensor>> &results, const std::string &part) {
  ASSERT_FALSE(results.ok());
  EXPECT_NE(results.status().message().find(part), std::string::npos) << results.status().message();
}

//===----------------------------------------------------------------------===//
// Row work
//===----------------------------------------------------------------------===//

TEST(Vision, LayerNorm) {
  // Mean 5, deviations -3 1 1 1, variance 3; with eps 1 the root is 2.
  expectValues(run("%x: tensor<?x1x4xf32>, %w: tensor<4xf32>, %b: tensor<4xf32>",
                   "lm.layer_norm %x, %w, %b {eps = 1.0 : f32} : tensor<?x1x4xf32>, tensor<4xf32>, "
                   "tensor<4xf32>",
                   "tensor<?x1x4xf32>",
                   {{"arg0", HostTensor::floats({1, 1, 4}, {2, 6, 6, 6})},
                    {"arg1", HostTensor::floats({4}, {2, 2, 4, 0})},
                    {"arg2", HostTensor::floats({4}, {0, 1, 0, 7})}}),
               {-3, 2, 2, 7});
}

TEST(Vision, GeluIsExact) {
  // Half of x times 1 + erf(x / sqrt 2): the normal distribution's values at 1 and -2.
  expectValues(run("%x: tensor<?x3xf32>", "lm.gelu %x : tensor<?x3xf32>", "tensor<?x3xf32>",
                   {{"arg0", HostTensor::floats({1, 3}, {0, 1, -2})}}),
               {0, 0.84134475f, -2 * 0.02275013f});
}

TEST(Vision, HeadNormHasAWeight) {
  // Means of squares 12.5 and 0.5, plus eps 13 and 1.
  const float a = 1.0f / std::sqrt(13.0f);
  expectValues(run("%x: tensor<?x4xf32>, %w: tensor<2xf32>",
                   "lm.head_norm %x, %w {eps = 0.5 : f32} : tensor<?x4xf32>, tensor<2xf32>",
                   "tensor<?x4xf32>",
                   {{"arg0", HostTensor::floats({1, 4}, {3, 4, 0, 1})},
                    {"arg1", HostTensor::floats({2}, {2, 10})}}),
               {6 * a, 40 * a, 0, 10});
}

TEST(Vision, Gates) {
  const float open = std::tanh(0.5f);
  const NamedTensors inputs = {{"arg0", HostTensor::floats({1, 2, 1}, {1, 2})},
                               {"arg1", HostTensor::floats({1}, {0.5f})},
                               {"arg2", HostTensor::floats({2, 1}, {10, 20})}};
  const std::string arguments = "%x: tensor<?x2x1xf32>, %g: tensor<1xf32>, %b: tensor<2x1xf32>";
  expectValues(run(arguments, "lm.tanh_gate %x, %g : tensor<?x2x1xf32>, tensor<1xf32>",
                   "tensor<?x2x1xf32>", inputs),
               {open, 2 * open});
  expectValues(run(arguments,
                   "lm.gated_bias %x, %b, %g : tensor<?x2x1xf32>, tensor<2x1xf32>, tensor<1xf32>",
                   "tensor<?x2x1xf32>", inputs),
               {1 + (1 - open) * 10, 2 + (1 - open) * 20});
}

/// A vector for each row of a unit, over and over.
TEST(Vision, BiasOfRows) {
  expectValues(run("%x: tensor<?x4x1xf32>, %b: tensor<2x1xf32>",
                   "lm.bias %x, %b : tensor<?x4x1xf32>, tensor<2x1xf32>", "tensor<?x4x1xf32>",
                   {{"arg0", counting({2, 4, 1})}, {"arg1", HostTensor::floats({2, 1}, {10, 20})}}),
               {10, 21, 12, 23, 14, 25, 16, 27});
}

/// Of a grid of one line and two columns: x first, counted from 1, then y; the last row stays.
TEST(Vision, RopeGrid) {
  const char *table = "lm.rope_grid @g 1 by 2 [0.5]\n";
  auto results =
      run("%x: tensor<?x3x4xf32>, %c: tensor<3x2xf32> {lm.role = \"cos\", lm.rope = @g}, "
          "%s: tensor<3x2xf32> {lm.role = \"sin\", lm.rope = @g}",
          "lm.rope %x, %c, %s, pairs : tensor<?x3x4xf32>, tensor<3x2xf32>", "tensor<?x3x4xf32>",
          {{"arg0", HostTensor::floats({1, 3, 4}, {1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0})}}, table);
  const float c = std::cos(0.5f), s = std::sin(0.5f), c2 = std::cos(1.0f), s2 = std::sin(1.0f);
  expectValues(results, {c, s, c, s, c2, s2, c, s, 1, 0, 1, 0});
}

//===----------------------------------------------------------------------===//
// Order of rows
//===----------------------------------------------------------------------===//

TEST(Vision, PatchesOfTwoPictures) {
  // Two pictures of one channel, 2 by 2 patches of a picture of 4 by 4.
  auto results = run("%x: tensor<?x8x4xf32>",
                     "lm.patches %x channels 1 patch 2 : tensor<?x8x4xf32> -> tensor<?x8x4xf32>",
                     "tensor<?x8x4xf32>", {{"arg0", counting({1, 8, 4})}});
  expectValues(results, {0,  1,  4,  5,  2,  3,  6,  7,  8,  9,  12, 13, 10, 11, 14, 15,
                         16, 17, 20, 21, 18, 19, 22, 23, 24, 25, 28, 29, 26, 27, 30, 31});
}

TEST(Vision, PatchesHaveTheirChannelsTogether) {
  // One picture of 2 by 2 with two channels in patches of 1.
  auto results = run("%x: tensor<?x4x2xf32>",
                     "lm.patches %x channels 2 patch 1 : tensor<?x4x2xf32> -> tensor<?x4x2xf32>",
                     "tensor<?x4x2xf32>", {{"arg0", counting({1, 4, 2})}});
  expectValues(results, {0, 4, 1, 5, 2, 6, 3, 7});
}

TEST(Vision, InsertRowInEveryGroup) {
  const NamedTensors inputs = {{"arg0", counting({1, 4, 1})},
                               {"arg1", HostTensor::floats({1}, {9})}};
  auto insert = [&](int at) {
    return run("%x: tensor<?x4x1xf32>, %v: tensor<1xf32>",
               "lm.insert_row %x, %v at " + std::to_string(at) +
                   " groups 2 : tensor<?x4x1xf32>, tensor<1xf32> -> tensor<?x6x1xf32>",
               "tensor<?x6x1xf32>", inputs);
  };
  expectValues(insert(0), {9, 0, 1, 9, 2, 3});
  expectValues(insert(1), {0, 9, 1, 2, 9, 3});
  expectValues(insert(2), {0, 1, 9, 2, 3, 9});
}

TEST(Vision, FitRowsCutsAndPads) {
  expectValues(run("%x: tensor<?x4x1xf32>",
                   "lm.fit_rows %x groups 2 : tensor<?x4x1xf32> -> tensor<?x6x1xf32>",
                   "tensor<?x6x1xf32>", {{"arg0", HostTensor::floats({1, 4, 1}, {1, 2, 3, 4})}}),
               {1, 2, 0, 3, 4, 0});
  expectValues(run("%x: tensor<?x6x1xf32>",
                   "lm.fit_rows %x groups 2 : tensor<?x6x1xf32> -> tensor<?x4x1xf32>",
                   "tensor<?x4x1xf32>", {{"arg0", counting({1, 6, 1})}}),
               {0, 1, 3, 4});
}

TEST(Vision, SpreadReshapeConcat) {
  expectValues(run("%x: tensor<?x2x1xf32>",
                   "lm.spread_rows %x : tensor<?x2x1xf32> -> tensor<?x4x1xf32>",
                   "tensor<?x4x1xf32>", {{"arg0", counting({1, 2, 1})}}),
               {0, 0, 1, 1});
  auto reshaped = run("%x: tensor<?x4xf32>", "lm.reshape %x : tensor<?x4xf32> -> tensor<?x2x2xf32>",
                      "tensor<?x2x2xf32>", {{"arg0", counting({1, 4})}});
  expectValues(reshaped, {0, 1, 2, 3});
  EXPECT_EQ(reshaped->at(0).shape, (std::vector<int64_t>{1, 2, 2}));
  const NamedTensors pair = {{"arg0", HostTensor::floats({1, 1, 2}, {0, 1})},
                             {"arg1", HostTensor::floats({1, 1, 2}, {10, 11})}};
  const std::string arguments = "%x: tensor<?x1x2xf32>, %y: tensor<?x1x2xf32>";
  const std::string types = " : tensor<?x1x2xf32>, tensor<?x1x2xf32> -> tensor<?x1x4xf32>";
  expectValues(run(arguments, "lm.concat %x, %y" + types, "tensor<?x1x4xf32>", pair),
               {0, 1, 10, 11});
  expectValues(run(arguments, "lm.concat interleaved %x, %y" + types, "tensor<?x1x4xf32>", pair),
               {0, 10, 1, 11});
}

/// Squares of two by two of a grid of four by four; the row behind the grid is not read.
TEST(Vision, PixelShuffle) {
  expectValues(run("%x: tensor<?x17x1xf32>",
                   "lm.pixel_shuffle %x columns 4 side 2 : tensor<?x17x1xf32> -> tensor<?x4x4xf32>",
                   "tensor<?x4x4xf32>", {{"arg0", counting({1, 17, 1})}}),
               {0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15});
}

TEST(Vision, MergeRows) {
  const std::string op =
      "lm.merge_rows %x, %r, %s : tensor<?x1xf32>, tensor<?xi32>, tensor<8x1xf32>";
  const std::string arguments = "%x: tensor<?x1xf32>, %r: tensor<?xi32>, %s: tensor<8x1xf32>";
  NamedTensors inputs = {{"arg0", counting({3, 1})},
                         {"arg1", HostTensor::indices({1, -1, 0})},
                         {"arg2", HostTensor::floats({2, 1}, {10, 11})}};
  expectValues(run(arguments, op, "tensor<?x1xf32>", inputs), {11, 1, 10});
  inputs["arg1"].ints[2] = 2;
  expectError(run(arguments, op, "tensor<?x1xf32>", inputs), "row 2 names row 2 of 2");
  inputs["arg1"].ints[2] = -2;
  expectError(run(arguments, op, "tensor<?x1xf32>", inputs), "row 2 names row -2 of 2");
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// Two units of two rows; with queries of 0 every row is the mean of its own unit's values.
TEST(Vision, UnitAttentionStaysInItsUnit) {
  const NamedTensors inputs = {{"arg0", HostTensor::zeros(Element::F32, {2, 2, 2})},
                               {"arg1", counting({2, 2, 2})}};
  expectValues(run("%x: tensor<?x2x2xf32>, %v: tensor<?x2x2xf32>",
                   "lm.unit_attention %x, %x, %v heads 1 scale 1.0 : tensor<?x2x2xf32>",
                   "tensor<?x2x2xf32>", inputs),
               {1, 2, 1, 2, 5, 6, 5, 6});
}

/// Heads have their own weights: in the second one the first row's key is larger by log 3.
TEST(Vision, UnitAttentionOfTwoHeads) {
  const float log3 = std::log(3.0f);
  const NamedTensors inputs = {{"arg0", HostTensor::floats({1, 2, 2}, {0, 2, 0, 0})},
                               {"arg1", HostTensor::floats({1, 2, 2}, {5, log3, 0, 0})},
                               {"arg2", HostTensor::floats({1, 2, 2}, {4, 4, 8, 8})}};
  // Row 0, head 1: 2 * log 3 * 0.5 against 0, that is 3 to 1; every other pair is even.
  expectValues(run("%q: tensor<?x2x2xf32>, %k: tensor<?x2x2xf32>, %v: tensor<?x2x2xf32>",
                   "lm.unit_attention %q, %k, %v heads 2 scale 0.5 : tensor<?x2x2xf32>",
                   "tensor<?x2x2xf32>", inputs),
               {6, 5, 6, 6});
}

/// Two groups of two rows, of which one is real, and one picture: only row 0 is real. It sees all,
/// and the others see it alone.
TEST(Vision, PaddingDoesNotSeePadding) {
  const NamedTensors inputs = {{"arg0", HostTensor::zeros(Element::F32, {1, 4, 1})},
                               {"arg1", HostTensor::floats({1, 4, 1}, {4, 8, 12, 16})},
                               {"arg2", HostTensor::indices({1})}};
  const std::string arguments = "%x: tensor<?x4x1xf32>, %v: tensor<?x4x1xf32>, %n: tensor<?xi32>";
  const std::string op = "lm.unit_attention %x, %x, %v pictures %n heads 1 scale 1.0 {groups = 2 : "
                         "i64, real = 1 : i64} : tensor<?x4x1xf32>, tensor<?xi32>";
  expectValues(run(arguments, op, "tensor<?x4x1xf32>", inputs), {10, 4, 4, 4});
  // With both pictures rows 0 and 2 are real.
  NamedTensors both = inputs;
  both["arg2"].ints[0] = 2;
  expectValues(run(arguments, op, "tensor<?x4x1xf32>", both), {10, 8, 10, 8});
}

struct Cross {
  NamedTensors inputs = {
      {"arg0", HostTensor::zeros(Element::F32, {4, 2})},
      {"arg1", HostTensor::zeros(Element::F32, {2, 4, 1})},
      {"arg2", HostTensor::floats({2, 4, 1}, {1, 2, 3, 4, 10, 20, 30, 40})},
      {"arg3", HostTensor::indices({0, 0, 1, 0})},
      {"arg4", HostTensor::indices({0, 1, 1, 2})},
      {"arg5", HostTensor::indices({2, 1})},
  };
  Result<std::vector<HostTensor>> run() const {
    return ::run("%q: tensor<?x2xf32>, %k: tensor<5x4x1xf32>, %v: tensor<5x4x1xf32>, "
                 "%f: tensor<?xi32>, %c: tensor<?xi32>, %t: tensor<5xi32>",
                 "lm.cross_attention %q, %k, %v, %f, %c, %t heads 2 groups 2 scale 1.0 : "
                 "tensor<?x2xf32>, tensor<5x4x1xf32>, tensor<?xi32>, tensor<5xi32>",
                 "tensor<?x2xf32>", inputs);
  }
};

/// Rows that see nothing, the first image with both tiles, the second with one, and both: means.
TEST(Vision, CrossAttentionSeesTheTilesOfItsImages) {
  expectValues(Cross().run(), {0, 0, 2.5f, 2.5f, 15, 15, 40.0f / 6, 40.0f / 6});
}

TEST(Vision, CrossAttentionOutsideOfThePool) {
  Cross cross;
  cross.inputs["arg4"].ints[2] = 2;
  expectError(cross.run(), "sees 2 images from 1 of 2");
  cross.inputs["arg4"].ints[2] = 1;
  cross.inputs["arg5"].ints[1] = 3;
  expectError(cross.run(), "image 1 has 3 tiles, expected 1 to 2");
}

} // namespace
