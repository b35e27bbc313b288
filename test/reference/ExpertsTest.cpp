//===- ExpertsTest.cpp - head norms, temperatures, routing, experts -------===//
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

using namespace llama4;
using namespace llama4::reference;

namespace {

struct NoParams : ParamSource {
  Result<HostTensor> read(const ParamRequest &request) override {
    return Status::invalidInput("no " + request.source);
  }
};

/// Runs the function @f of `text`.
Result<std::vector<HostTensor>> run(const std::string &text, const NamedTensors &inputs,
                                    const Batch &batch = {}) {
  mlir::MLIRContext context(mlir::MLIRContext::Threading::DISABLED);
  context.loadDialect<lm::LmDialect, target::TargetDialect, mlir::func::FuncDialect,
                      mlir::arith::ArithDialect, mlir::math::MathDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return Status::internal("the test's module doesn't parse");
  NoParams params;
  return Interpreter(*module, params).runEntry("f", inputs, batch);
}

void expectValues(const HostTensor &tensor, const std::vector<float> &expected) {
  ASSERT_EQ(tensor.values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(tensor.values[i], expected[i], 1e-6f) << "at " << i;
}

TEST(Experts, QkNormIsPerHead) {
  const char *text = R"(func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
    %0 = lm.qk_norm %x {dim = 2 : i64, eps = 0.5 : f32} : tensor<?x4xf32>
    return %0 : tensor<?x4xf32>
  })";
  auto results = run(text, {{"arg0", HostTensor::floats({1, 4}, {3, 4, 0, 1})}});
  ASSERT_TRUE(results.ok()) << results.status().message();
  // Means of squares 12.5 and 0.5; plus eps 13 and 1.
  const float a = 1.0f / std::sqrt(13.0f);
  expectValues(results->at(0), {3 * a, 4 * a, 0, 1});
}

TEST(Experts, TemperatureOfFarPositions) {
  const char *text = R"(
  lm.temperature_table @t {attn_scale = 0.5 : f32, floor_scale = 4 : i64}
  func.func @f(%x: tensor<?x2xf32>, %t: tensor<?x1xf32> {lm.name = "t", lm.role = "temperature", lm.temperature = @t}) -> tensor<?x2xf32> {
    %0 = lm.temperature %x, %t : tensor<?x2xf32>, tensor<?x1xf32>
    return %0 : tensor<?x2xf32>
  })";
  Batch batch;
  // floor((p + 1) / 4) = 0, 1, 2^38: the last doesn't fit in 32 bits.
  batch.positions = {2, 3, (int64_t{1} << 40) - 1};
  batch.sequences = {0, 0, 0};
  auto results = run(text, {{"arg0", HostTensor::floats({3, 2}, {1, 2, 1, 2, 1, -1})}}, batch);
  ASSERT_TRUE(results.ok()) << results.status().message();
  const float b = 1 + 0.5f * std::log(2.0f);
  const auto c = static_cast<float>(1 + 0.5 * std::log(1.0 + static_cast<double>(1ll << 38)));
  expectValues(results->at(0), {1, 2, b, 2 * b, c, -c});
}

TEST(Experts, RouteTakesTheLargestAndTheLowestOfEqualOnes) {
  const char *text = R"(func.func @f(%x: tensor<?x4xf32>) -> (tensor<?x2xi32>, tensor<?x2xf32>) {
    %0:2 = lm.route %x top 2 : tensor<?x4xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
    return %0#0, %0#1 : tensor<?x2xi32>, tensor<?x2xf32>
  })";
  auto results = run(text, {{"arg0", HostTensor::floats({2, 4}, {-1, 2, 0, 2, -3, -2, -4, -1})}});
  ASSERT_TRUE(results.ok()) << results.status().message();
  EXPECT_EQ(results->at(0).ints, (std::vector<int32_t>{1, 3, 3, 1}));
  auto sigmoid = [](float x) { return 1.0f / (1.0f + std::exp(-x)); };
  expectValues(results->at(1), {sigmoid(2), sigmoid(2), sigmoid(-1), sigmoid(-2)});
}

const char *const kExperts = R"(
  func.func @f(%x: tensor<?x2xf32>, %i: tensor<?x2xi32>, %s: tensor<?x2xf32>, %g: tensor<2x1x2xf32>, %u: tensor<2x1x2xf32>, %d: tensor<2x2x1xf32>) -> tensor<?x2xf32> {
    %0 = lm.experts %x, %i, %s, %g, %u, %d : tensor<?x2xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<2x1x2xf32>, tensor<2x2x1xf32>
    return %0 : tensor<?x2xf32>
  })";

NamedTensors expertInputs(std::vector<int32_t> ids) {
  HostTensor chosen = HostTensor::indices(std::move(ids));
  chosen.shape = {1, 2};
  return {{"arg0", HostTensor::floats({1, 2}, {1, 2})},
          {"arg1", chosen},
          {"arg2", HostTensor::floats({1, 2}, {0.5f, 0.25f})},
          {"arg3", HostTensor::floats({2, 1, 2}, {1, 0, 0, 4})},
          {"arg4", HostTensor::floats({2, 1, 2}, {0, 2, 8, 0})},
          {"arg5", HostTensor::floats({2, 2, 1}, {1, 10, 100, 1000})}};
}

TEST(Experts, ScoresScaleTheInput) {
  auto results = run(kExperts, expertInputs({1, 0}));
  ASSERT_TRUE(results.ok()) << results.status().message();
  auto silu = [](float x) { return x / (1.0f + std::exp(-x)); };
  // Expert 1 on (0.5, 1): gate 4, up 4. Expert 0 on (0.25, 0.5): gate 0.25, up 1.
  const float first = silu(4) * 4, second = silu(0.25f) * 1;
  const HostTensor &y = results->at(0);
  EXPECT_NEAR(y.values[0], 100 * first + second, 1e-3f);
  EXPECT_NEAR(y.values[1], 1000 * first + 10 * second, 1e-2f);
}

TEST(Experts, AnExpertThatIsNoneIsAnError) {
  auto results = run(kExperts, expertInputs({1, 2}));
  ASSERT_FALSE(results.ok());
  EXPECT_NE(results.status().message().find("token 0 names expert 2 of 2"), std::string::npos)
      << results.status().message();
}

} // namespace
