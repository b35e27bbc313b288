//===- InterpreterTest.cpp - ops of the interpreter on small numbers ------===//
//
// Every expected number here is worked out by hand or in the comment beside it.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/Interpreter.h"
#include "dialects/lm/Lm.h"
#include "runtime/format/Rope.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"

#include <cmath>
#include <gtest/gtest.h>

using namespace llama4;
using namespace llama4::reference;

namespace {

/// Parameters given by name.
struct FixedParams : ParamSource {
  std::map<std::string, HostTensor> values;
  int reads = 0;
  Result<HostTensor> read(const ParamRequest &request) override {
    ++reads;
    auto it = values.find(request.source);
    if (it == values.end())
      return Status::invalidInput("no " + request.source);
    return it->second;
  }
};

class InterpreterTest : public testing::Test {
protected:
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  FixedParams params;
  std::unique_ptr<Interpreter> interpreter;

  void parse(const std::string &text) {
    context.loadDialect<lm::LmDialect, target::TargetDialect, mlir::func::FuncDialect,
                        mlir::arith::ArithDialect, mlir::math::MathDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    interpreter = std::make_unique<Interpreter>(*module, params);
  }
  /// Parses `text` and runs its function @f.
  std::vector<HostTensor> run(const std::string &text, const NamedTensors &inputs,
                              const Batch &batch = {}) {
    parse(text);
    auto results = interpreter->runEntry("f", inputs, batch);
    EXPECT_TRUE(results.ok()) << results.status().message();
    return results.ok() ? results.take() : std::vector<HostTensor>(4);
  }
  std::string error(const std::string &text, const NamedTensors &inputs, const Batch &batch = {}) {
    parse(text);
    auto results = interpreter->runEntry("f", inputs, batch);
    EXPECT_FALSE(results.ok());
    return results.status().message();
  }
};

HostTensor rows(int64_t count, std::vector<float> values) {
  const auto columns = static_cast<int64_t>(values.size()) / count;
  return HostTensor::floats({count, columns}, std::move(values));
}

void expectValues(const HostTensor &tensor, const std::vector<float> &expected,
                  float atol = 1e-6f) {
  ASSERT_EQ(tensor.values.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(tensor.values[i], expected[i], atol) << "at " << i;
}

TEST_F(InterpreterTest, AddMulSiluBias) {
  params.values["b"] = HostTensor::floats({2}, {10, 20});
  auto results = run(R"(
    lm.param @b : tensor<2xf32> from <"b">
    func.func @f(%x: tensor<?x2xf32> {lm.name = "x"}, %y: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>) {
      %b = lm.load_param @b : tensor<2xf32>
      %0 = lm.add %x, %y : tensor<?x2xf32>
      %1 = lm.mul %x, %y : tensor<?x2xf32>
      %2 = lm.silu %x : tensor<?x2xf32>
      %3 = lm.bias %x, %b : tensor<?x2xf32>, tensor<2xf32>
      return %0, %1, %2, %3 : tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>
    })",
                     {{"x", rows(2, {1, -2, 3, 0})}, {"arg1", rows(2, {4, 5, 6, 7})}});
  expectValues(results[0], {5, 3, 9, 7});
  expectValues(results[1], {4, -10, 18, 0});
  // 1/(1+e^-1), -2/(1+e^2), 3/(1+e^-3)
  expectValues(results[2], {0.7310586f, -0.2384058f, 2.8577224f, 0});
  expectValues(results[3], {11, 18, 13, 20});
}

TEST_F(InterpreterTest, RmsNorm) {
  params.values["w"] = HostTensor::floats({2}, {1, 2});
  auto results = run(R"(
    lm.param @w : tensor<2xf32> from <"w">
    func.func @f(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
      %w = lm.load_param @w : tensor<2xf32>
      %0 = lm.rms_norm %x, %w {eps = 3.5 : f32} : tensor<?x2xf32>, tensor<2xf32>
      return %0 : tensor<?x2xf32>
    })",
                     {{"arg0", rows(1, {3, 4})}});
  // mean = 12.5, + 3.5 = 16, rsqrt = 1/4.
  expectValues(results[0], {0.75f, 2.0f});
}

TEST_F(InterpreterTest, RopeStyles) {
  // Angle 90 degrees: (x, y) -> (-y, x); second pair by 0 degrees.
  const std::string text = R"(
    func.func @f(%x: tensor<?x4xf32>, %c: tensor<?x2xf32>, %s: tensor<?x2xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
      %0 = lm.rope %x, %c, %s, half : tensor<?x4xf32>, tensor<?x2xf32>
      %1 = lm.rope %x, %c, %s, pairs : tensor<?x4xf32>, tensor<?x2xf32>
      return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
    })";
  auto results =
      run(text,
          {{"arg0", rows(1, {1, 2, 3, 4})}, {"arg1", rows(1, {0, 1})}, {"arg2", rows(1, {1, 0})}});
  expectValues(results[0], {-3, 2, 1, 4});
  expectValues(results[1], {-2, 1, 3, 4});
}

TEST_F(InterpreterTest, EmbedAndGather) {
  params.values["e"] = rows(3, {1, 2, 3, 4, 5, 6});
  const std::string text = R"(
    lm.param @e : tensor<3x2xf32> from <"e">
    func.func @f(%ids: tensor<?xi32> {lm.name = "ids"}, %rows: tensor<?xi32> {lm.name = "rows"}) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
      %e = lm.load_param @e : tensor<3x2xf32>
      %0 = lm.embed %ids, %e : tensor<?xi32>, tensor<3x2xf32> -> tensor<?x2xf32>
      %1 = lm.gather %0, %rows : tensor<?x2xf32>, tensor<?xi32> -> tensor<?x2xf32>
      return %0, %1 : tensor<?x2xf32>, tensor<?x2xf32>
    })";
  auto results =
      run(text, {{"ids", HostTensor::indices({2, 0})}, {"rows", HostTensor::indices({1, 1, 0})}});
  expectValues(results[0], {5, 6, 1, 2});
  expectValues(results[1], {1, 2, 1, 2, 5, 6});
  EXPECT_NE(error(text, {{"ids", HostTensor::indices({3})}, {"rows", HostTensor::indices({0})}})
                .find("id 3, the table has 3 rows"),
            std::string::npos);
  EXPECT_NE(error(text, {{"ids", HostTensor::indices({0})}, {"rows", HostTensor::indices({-1})}})
                .find("names row -1 of 1"),
            std::string::npos);
}

TEST_F(InterpreterTest, LinearWithSegmentsAndEpilogues) {
  params.values["a"] = rows(2, {1, 0, 0, 1});
  params.values["b"] = rows(2, {1, 1, 2, 0});
  params.values["c"] = rows(1, {1, -1});
  auto results = run(R"(
    lm.param @a : tensor<2x2xf32> from <"a">
    lm.param @b : tensor<2x2xf32> from <"b">
    lm.param @c : tensor<1x2xf32> from <"c">
    func.func @f(%x: tensor<?x2xf32>, %r: tensor<?x2xf32>) -> (tensor<?x2xf32>, tensor<?x2xbf16>, tensor<?x1xf32>) {
      %a = lm.load_param @a : tensor<2x2xf32>
      %b = lm.load_param @b : tensor<2x2xf32>
      %c = lm.load_param @c : tensor<1x2xf32>
      %0:3 = lm.linear %x, %a, %b, %c groups [2, 1] : tensor<?x2xf32>, tensor<2x2xf32>, tensor<2x2xf32>, tensor<1x2xf32> -> tensor<?x2xf32>, tensor<?x2xbf16>, tensor<?x1xf32> epilogue {
      ^bb0(%u: f32, %v: f32):
        %s = arith.mulf %u, %v : f32
        %e = lm.element %r : tensor<?x2xf32>
        %t = arith.addf %u, %e : f32
        lm.yield %s, %t : f32, f32
      }, {
      ^bb0(%u: f32):
        lm.yield %u : f32
      }
      return %0#0, %0#1, %0#2 : tensor<?x2xf32>, tensor<?x2xbf16>, tensor<?x1xf32>
    })",
                     {{"arg0", rows(2, {3, 4, 5, 6})}, {"arg1", rows(2, {1, 1, 0.00390625f, 2})}});
  // a x = (3 4), (5 6); b x = (7 6), (11 10); c x = -1, -1.
  expectValues(results[0], {21, 24, 55, 60});
  // 5.00390625 is between the bf16 neighbours 5 and 5.03125.
  expectValues(results[1], {4, 5, 5, 8}, 0);
  expectValues(results[2], {-1, -1});
}

TEST_F(InterpreterTest, QuantizedActivations) {
  // One block of 32 and a tail of 2: max 127 -> scale 1; max 2 -> scale 2/127.
  std::vector<float> x(34);
  x[0] = 127, x[1] = 2.5f, x[2] = 3.5f, x[3] = -2.5f, x[4] = 0.49f, x[32] = 2, x[33] = 1;
  std::vector<float> ones(34, 1.0f);
  params.values["w"] = rows(1, ones);
  auto results = run(R"(
    lm.param @w : tensor<1x34xf32> from <"w">
    func.func @f(%x: tensor<?x34xf32>) -> (tensor<?x34x!lm.block<q8_32>>, tensor<?x1xf32>, tensor<?x34xbf16>) {
      %w = lm.load_param @w : tensor<1x34xf32>
      %0 = lm.quantize_rows %x : tensor<?x34xf32> -> tensor<?x34x!lm.block<q8_32>>
      %1 = lm.linear %0, %w : tensor<?x34x!lm.block<q8_32>>, tensor<1x34xf32> -> tensor<?x1xf32>
      %2 = lm.quantize_rows %x : tensor<?x34xf32> -> tensor<?x34xbf16>
      return %0, %1, %2 : tensor<?x34x!lm.block<q8_32>>, tensor<?x1xf32>, tensor<?x34xbf16>
    })",
                     {{"arg0", rows(1, x)}});
  const std::vector<int8_t> head(results[0].quants.begin(), results[0].quants.begin() + 5);
  // Ties go to even: 2.5 -> 2, 3.5 -> 4, -2.5 -> -2.
  EXPECT_EQ(head, (std::vector<int8_t>{127, 2, 4, -2, 0}));
  ASSERT_EQ(results[0].quants.size(), 64u);
  EXPECT_EQ(results[0].quants[32], 127);
  EXPECT_EQ(results[0].quants[33], 64); // 1 * 63.5
  EXPECT_EQ(results[0].scales, (std::vector<float>{1.0f, 2.0f / 127.0f}));
  EXPECT_FLOAT_EQ(results[0].values[33], 64 * (2.0f / 127.0f));
  EXPECT_FLOAT_EQ(results[1].values[0], 127 + 2 + 4 - 2 + (127 + 64) * (2.0f / 127.0f));
  EXPECT_EQ(results[2].values[1], 2.5f);
  EXPECT_EQ(results[2].values[4], 0.490234375f); // 0.49 in bf16
}

TEST_F(InterpreterTest, ActivationsInBlocksOf128) {
  // One block of 128 and a tail of 2.
  std::vector<float> x(130);
  x[0] = 2.5f, x[127] = -127, x[128] = 2, x[129] = 1;
  auto results = run(R"(
    func.func @f(%x: tensor<?x130xf32>) -> tensor<?x130x!lm.block<q8_128>> {
      %0 = lm.quantize_rows %x : tensor<?x130xf32> -> tensor<?x130x!lm.block<q8_128>>
      return %0 : tensor<?x130x!lm.block<q8_128>>
    })",
                     {{"arg0", rows(1, x)}});
  ASSERT_EQ(results[0].quants.size(), 256u);
  EXPECT_EQ(results[0].scales, (std::vector<float>{1.0f, 2.0f / 127.0f}));
  EXPECT_EQ(results[0].quants[0], 2);
  EXPECT_EQ(results[0].quants[127], -127);
  EXPECT_EQ(results[0].quants[129], 64); // 1 * 63.5
  EXPECT_EQ(results[0].exactRow(0)[129], 64 * static_cast<double>(2.0f / 127.0f));
}

TEST_F(InterpreterTest, ZeroBlockQuantizesToZero) {
  HostTensor tensor = HostTensor::zeros(Element::Q8_32, {1, 2});
  tensor.store(0, std::vector<float>{0.0f, -0.0f});
  EXPECT_EQ(tensor.scales[0], 0.0f);
  EXPECT_EQ(tensor.quants[0], 0);
}

const char *const kAttention = R"(
  func.func @f(%q: tensor<?x4xf32> {lm.name = "q"}, %k: tensor<?x2xf32> {lm.name = "k"}, %v: tensor<?x2xf32> {lm.name = "v"}, %batch: !lm.batch, %kv: !lm.kv<"full", kind = 0, layers = 2, heads = 1, dim = 2, TYPE>) -> tensor<?x4xf32> {
    %l = lm.kv_layer %kv[1] : !lm.kv<"full", kind = 0, layers = 2, heads = 1, dim = 2, TYPE> -> !lm.kv_layer<kind = 0, heads = 1, dim = 2, TYPE>
    lm.kv_write %k, %v into %l, %batch : tensor<?x2xf32>, !lm.kv_layer<kind = 0, heads = 1, dim = 2, TYPE>
    %0 = lm.attention %q, %l, %batch mask causal scale 0.5 : tensor<?x4xf32>, !lm.kv_layer<kind = 0, heads = 1, dim = 2, TYPE> -> tensor<?x4xf32>
    return %0 : tensor<?x4xf32>
  })";

std::string attentionOf(const std::string &type) {
  std::string text = kAttention;
  for (size_t at; (at = text.find("TYPE")) != std::string::npos;)
    text.replace(at, 4, type);
  return text;
}

TEST_F(InterpreterTest, AttentionIsCausalPerSequenceAndGrouped) {
  parse(attentionOf("f32"));
  const float ln3x2 = 2 * std::log(3.0f);
  // Sequence 5: keys (0 0), (1 0); sequence 6: key (0 0). Both query heads share the KV head.
  Batch batch{{0, 1, 0}, {5, 5, 6}};
  auto results = interpreter->runEntry("f",
                                       {{"q", rows(3, {9, 9, 9, 9, ln3x2, 7, 0, 7, 1, 1, 1, 1})},
                                        {"k", rows(3, {0, 0, 1, 0, 0, 0})},
                                        {"v", rows(3, {1, 2, 5, 6, 7, 8})}},
                                       batch);
  ASSERT_TRUE(results.ok()) << results.status().message();
  // Second token, head 0: scores 0 and ln 3, weights 1/4 and 3/4; head 1: weights 1/2.
  expectValues((*results)[0], {1, 2, 1, 2, 4, 5, 3, 4, 7, 8, 7, 8});
  // The next step sees what the first one wrote: zero query, mean of three values.
  Batch next{{2}, {5}};
  NamedTensors inputs = {
      {"q", rows(1, {0, 0, 0, 0})}, {"k", rows(1, {0, 0})}, {"v", rows(1, {9, 1})}};
  results = interpreter->runEntry("f", inputs, next);
  ASSERT_TRUE(results.ok());
  expectValues((*results)[0], {5, 3, 5, 3});
  interpreter->reset();
  results = interpreter->runEntry("f", inputs, next);
  ASSERT_FALSE(results.ok());
  EXPECT_NE(results.status().message().find("reads position 0, which no step has written"),
            std::string::npos);
}

TEST_F(InterpreterTest, ChunkedAttentionSeesItsChunk) {
  std::string text = attentionOf("f32");
  text.replace(text.find("mask causal scale 0.5"), 21, "mask chunked scale 0.5 {chunk = 2}");
  // Zero queries: the mean of the values of positions 0, 0-1, 2, 2-3, 4.
  auto results = run(text,
                     {{"q", rows(5, std::vector<float>(20))},
                      {"k", rows(5, {1, 2, 3, 4, 5, 6, 7, 8, 9, 1})},
                      {"v", rows(5, {2, 4, 6, 8, 1, 3, 5, 7, 9, 9})}},
                     Batch{{0, 1, 2, 3, 4}, {0, 0, 0, 0, 0}});
  expectValues(results[0], {2, 4, 2, 4, 4, 6, 4, 6, 1, 3, 1, 3, 3, 5, 3, 5, 9, 9, 9, 9});
}

TEST_F(InterpreterTest, ReducesOverHeads) {
  const std::string text = R"(
    func.func @f(%x: tensor<?x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
      %0:2 = lm.row 6 {
        %a = lm.element %x : tensor<?x6xf32>
        %s = lm.reduce sum %a over DIM
        %m = lm.reduce max %a over 3
        lm.yield %s, %m : f32, f32
      } -> tensor<?x6xf32>, tensor<?x6xf32>
      return %0#0, %0#1 : tensor<?x6xf32>, tensor<?x6xf32>
    })";
  auto with = [&](const std::string &dim) {
    return std::string(text).replace(text.find("DIM"), 3, dim);
  };
  const NamedTensors inputs = {{"arg0", rows(1, {1, 2, 4, -8, -16, -32})}};
  auto results = run(with("2"), inputs);
  expectValues(results[0], {3, 3, -4, -4, -48, -48});
  expectValues(results[1], {4, 4, 4, -8, -8, -8});
  EXPECT_NE(error(with("4"), inputs).find("reduces heads of 4 in 6 columns"), std::string::npos);
}

TEST_F(InterpreterTest, StateIsRoundedToItsType) {
  Batch batch{{0}, {0}};
  auto results = run(
      attentionOf("bf16"),
      {{"q", rows(1, {0, 0, 0, 0})}, {"k", rows(1, {0, 0})}, {"v", rows(1, {1.005f, 3})}}, batch);
  expectValues(results[0], {1.0078125f, 3, 1.0078125f, 3}, 0);
}

TEST_F(InterpreterTest, RowRegionLoadsReducesAndRotates) {
  auto results = run(R"(
    func.func @f(%x: tensor<?x4xf32>, %c: tensor<?x2xf32>, %i: tensor<?xi32>) -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>) {
      %two = arith.constant 2.0 : f32
      %0:3 = lm.row 4 {
        %a = lm.element %x rows %i : tensor<?xi32> : tensor<?x4xf32>
        %b = lm.element %c rows %i : tensor<?xi32> at affine_map<(j) -> (j mod 2)> : tensor<?x2xf32>
        %p = arith.mulf %a, %two : f32
        %s = lm.reduce sum %p
        %m = lm.reduce max %a
        %d = arith.subf %s, %m : f32
        %h = lm.rotate half %a, 4
        %r = lm.rotate pairs %a, 2
        %t = arith.addf %r, %b : f32
        lm.yield %d, %h, %t : f32, f32, f32
      } -> tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
      return %0#0, %0#1, %0#2 : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>
    })",
                     {{"arg0", rows(2, {0, 0, 0, 0, 1, 2, 3, 4})},
                      {"arg1", rows(2, {0, 0, 10, 20})},
                      {"arg2", HostTensor::indices({1})}});
  expectValues(results[0], {16, 16, 16, 16}); // 2 * 10 - 4
  expectValues(results[1], {-3, -4, 1, 2});
  expectValues(results[2], {8, 21, 6, 23}); // (-2 1 -4 3) + (10 20 10 20)
}

TEST_F(InterpreterTest, ScalarOps) {
  auto results = run(R"(
    func.func @f(%x: tensor<?x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
      %0:2 = lm.row 3 {
        %a = lm.element %x : tensor<?x3xf32>
        %zero = arith.constant 0.0 : f32
        %n = arith.negf %a : f32
        %abs = math.absf %a : f32
        %root = math.sqrt %abs : f32
        %inverse = math.rsqrt %abs : f32
        %one = arith.mulf %root, %inverse : f32
        %e = math.exp %zero : f32
        %t = math.tanh %zero : f32
        %big = arith.maximumf %a, %n : f32
        %small = arith.minnumf %a, %n : f32
        %span = arith.subf %big, %small : f32
        %q = arith.divf %span, %abs : f32
        %c = arith.cmpf olt, %a, %zero : f32
        %pick = arith.select %c, %one, %q : f32
        %all = arith.addf %e, %t : f32
        lm.yield %pick, %all : f32, f32
      } -> tensor<?x3xf32>, tensor<?x3xf32>
      return %0#0, %0#1 : tensor<?x3xf32>, tensor<?x3xf32>
    })",
                     {{"arg0", rows(1, {-4, 9, 16})}});
  expectValues(results[0], {1, 2, 2});
  expectValues(results[1], {1, 1, 1});
}

TEST_F(InterpreterTest, KvPutWritesWhatAttentionReads) {
  Batch batch{{0, 1}, {0, 0}};
  auto results = run(R"(
    !kv = !lm.kv<"full", kind = 0, layers = 1, heads = 1, dim = 2, f32>
    !layer = !lm.kv_layer<kind = 0, heads = 1, dim = 2, f32>
    func.func @f(%x: tensor<?x2xf32>, %batch: !lm.batch, %kv: !kv) -> tensor<?x2xf32> {
      %l = lm.kv_layer %kv[0] : !kv -> !layer
      lm.row 2 {
        %a = lm.element %x : tensor<?x2xf32>
        %z = arith.constant 0.0 : f32
        lm.kv_put key %z into %l, %batch : !layer
        lm.kv_put value %a into %l, %batch : !layer
        lm.yield
      }
      %0 = lm.attention %x, %l, %batch mask causal scale 1.0 : tensor<?x2xf32>, !layer -> tensor<?x2xf32>
      return %0 : tensor<?x2xf32>
    })",
                     {{"arg0", rows(2, {2, 4, 6, 0})}}, batch);
  expectValues(results[0], {2, 4, 4, 2});
}

TEST_F(InterpreterTest, CosAndSinComeFromTheRopeTable) {
  const std::string text = R"(
    lm.rope_table @rope [1.0, 0.25]
    func.func @f(%x: tensor<?x4xf32>, %c: tensor<?x2xf32> {lm.role = "cos", lm.rope = @rope}, %s: tensor<?x2xf32> {lm.role = "sin", lm.rope = @rope}) -> (tensor<?x2xf32>, tensor<?x2xf32>) {
      return %c, %s : tensor<?x2xf32>, tensor<?x2xf32>
    })";
  Batch batch{{0, 3}, {0, 1}};
  auto results = run(text, {{"arg0", rows(2, std::vector<float>(8))}}, batch);
  expectValues(results[0], {1, 1, std::cos(3.0f), std::cos(0.75f)}, 1e-7f);
  expectValues(results[1], {0, 0, std::sin(3.0f), std::sin(0.75f)}, 1e-7f);
}

TEST_F(InterpreterTest, RopeAnglesAreRoundedToFloat) {
  // 100003 * 0.1f = 10000.30014..., which f32 rounds to 10000.2998046875.
  const float invFreq = 0.1f;
  const int64_t position = 100003;
  float cos = 0, sin = 0;
  fillRope({&invFreq, 1}, {&position, 1}, &cos, &sin, 1);
  const float angle = 100003.0f * 0.1f;
  EXPECT_EQ(cos, static_cast<float>(std::cos(static_cast<double>(angle))));
  EXPECT_EQ(sin, static_cast<float>(std::sin(static_cast<double>(angle))));
  EXPECT_NE(cos, static_cast<float>(std::cos(100003.0 * static_cast<double>(invFreq))));
}

TEST_F(InterpreterTest, ObserverSeesNamesInOrder) {
  parse(R"(
    func.func @f(%x: tensor<?x2xf32>) -> tensor<?x2xf32> {
      %0 = lm.silu %x : tensor<?x2xf32> loc("mlp.act"("models/m.cpp":3:4))
      %1 = lm.add %0, %x : tensor<?x2xf32> loc(fused["a.cpp":1:1, "layer"("b.cpp":2:1)])
      %2 = lm.add %1, %x : tensor<?x2xf32> loc("c.cpp":1:1)
      return %2 : tensor<?x2xf32>
    })");
  std::vector<std::string> names;
  interpreter->setObserver(
      [&](const TraceName &name, const HostTensor &) { names.push_back(traceText(name)); });
  ASSERT_TRUE(interpreter->runEntry("f", {{"arg0", rows(1, {1, 2})}}).ok());
  EXPECT_EQ(names, (std::vector<std::string>{"mlp.act/silu", "layer/add", "add"}));
}

TEST_F(InterpreterTest, ParametersAreReadOnce) {
  params.values["w"] = rows(1, {1, 2});
  parse(R"(
    lm.param @w : tensor<1x2xf32> from <"w">
    func.func @f(%x: tensor<?x2xf32>) -> tensor<?x1xf32> {
      %w = lm.load_param @w : tensor<1x2xf32>
      %0 = lm.linear %x, %w : tensor<?x2xf32>, tensor<1x2xf32> -> tensor<?x1xf32>
      return %0 : tensor<?x1xf32>
    })");
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(interpreter->runEntry("f", {{"arg0", rows(1, {1, 2})}}).ok());
  EXPECT_EQ(params.reads, 1);
}

TEST_F(InterpreterTest, Errors) {
  const std::string text = R"(
    func.func @f(%x: tensor<?x2xf32> {lm.name = "x"}, %y: tensor<?x2xf32> {lm.name = "y"}) -> tensor<?x2xf32> {
      %0 = lm.add %x, %y : tensor<?x2xf32> loc("layer"("models/m.cpp":3:4))
      return %0 : tensor<?x2xf32>
    })";
  const HostTensor one = rows(1, {1, 2}), two = rows(2, {1, 2, 3, 4});
  EXPECT_EQ(error(text, {{"x", one}}), "input \"y\" of entry \"f\" is missing.");
  EXPECT_EQ(error(text, {{"x", one}, {"y", rows(1, {1, 2, 3})}}),
            "input \"y\": found f32[1, 3], expected f32[?, 2].");
  EXPECT_EQ(error(text, {{"x", one}, {"y", two}}),
            "lm.add layer (models/m.cpp:3): operands have 1 and 2 rows");
  EXPECT_FALSE(interpreter->runEntry("g", {}).ok());
  EXPECT_NE(error("func.func @f() -> f32 { %0 = arith.constant 1.0 : f32\n"
                  "%1 = math.exp %0 : f32\n return %1 : f32 }",
                  {})
                .find("math.exp"),
            std::string::npos);
}

TEST(Rounding, BFloat16IsNearestEven) {
  EXPECT_EQ(roundToBFloat16(1.00390625f), 1.0f);      // half way, even below
  EXPECT_EQ(roundToBFloat16(1.01171875f), 1.015625f); // half way, even above
  EXPECT_EQ(roundToBFloat16(1.003907f), 1.0078125f);  // above half
  EXPECT_EQ(roundToBFloat16(-3.0e38f), -0x1.c4p127f); // 225.7 units of 2^120
  EXPECT_TRUE(std::isinf(roundToBFloat16(3.4e38f)));
  EXPECT_TRUE(std::isnan(roundToBFloat16(std::nanf(""))));
}

} // namespace
