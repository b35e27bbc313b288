//===- VisionOpsTest.cpp - the DSL: shapes and mistakes of image towers ---===//

#include "compiler/graph/VisionOps.h"
#include "compiler/graph/nn.h"

#include <gtest/gtest.h>

using namespace llama4;
using namespace llama4::graph;

namespace {

Result<StoredTensor> resolve(const std::string &name, std::span<const int64_t>) {
  return StoredTensor{Element::BF16, name, 0};
}

class VisionOpsTest : public testing::Test {
protected:
  Graph graph{resolve};
  Entry &entry = graph.addEntry("encode_image", "N", 4);
  Tensor pixels = entry.input("pixels", {Element::F32, {kSymbol, 24, 4}}, "pixels");
  Tensor x = entry.input("x", {Element::F32, {kSymbol, 8, 16}}, "x");
  Tensor rows = entry.input("rows", {Element::F32, {kSymbol, 16}}, "rows");
  Tensor ids = entry.input("ids", {Element::I32, {kSymbol}}, "ids");

  const Parameter *parameter(const std::string &name, std::vector<int64_t> dims) {
    return graph.parameter(name, std::move(dims), Location::current());
  }
  static TensorType units(int64_t count, int64_t columns) {
    return {Element::F32, {kSymbol, count, columns}};
  }
  /// The last mistake is the only new one and says `sentence`.
  void expectMistake(const Tensor &made, const std::string &sentence) {
    EXPECT_FALSE(made.valid());
    ASSERT_EQ(graph.mistakes().size(), ++mistakes_) << sentence;
    EXPECT_NE(graph.mistakes().back().find(sentence), std::string::npos) << graph.mistakes().back();
  }

private:
  size_t mistakes_ = 0;
};

TEST_F(VisionOpsTest, ResultTypes) {
  EXPECT_EQ(patches(pixels, 3, 2).type(), units(8, 12)); // two pictures of 2 by 2 patches
  EXPECT_EQ(Linear(Module(graph), "fc", 16, 32, /*withBias=*/true)(x).type(), units(8, 32));
  EXPECT_EQ(LayerNorm(Module(graph), "norm", 16, 1e-5)(x).type(), x.type());
  EXPECT_EQ((gelu(x) + x).type(), x.type());
  EXPECT_EQ(headNorm(x, parameter("head", {4}), 1e-5).type(), x.type());
  EXPECT_EQ(tanhGate(x, parameter("gate", {1})).type(), x.type());
  EXPECT_EQ(gatedBias(x, parameter("places", {4, 16}), parameter("gate", {1})).type(), x.type());
  EXPECT_EQ(bias(x, parameter("places", {4, 16})).type(), x.type());
  EXPECT_EQ(insertRow(x, parameter("token", {16}), 2, 4).type(), units(12, 16));
  EXPECT_EQ(fitRows(x, 2, 3).type(), units(6, 16));
  EXPECT_EQ(spreadRows(x, 3).type(), units(24, 16));
  EXPECT_EQ(reshape(rows, 2, 8).type(), units(2, 8));
  EXPECT_EQ(concat(std::vector<Tensor>{x, x}, true).type(), units(8, 32));
  EXPECT_EQ(pixelShuffle(x, 2, 2).type(), units(1, 64));
  EXPECT_EQ(unitAttention(x, x, x, 4, 0.5).type(), x.type());
  EXPECT_EQ(unitAttention(x, x, x, 4, 0.5, {ids, 2, 3}).type(), x.type());
  Tensor cos = entry.input("cos", {Element::F32, {8, 2}}, "cos", "grid");
  EXPECT_EQ(rope(x, cos, cos, RotateStyle::Pairs).type(), x.type());
  Tensor pool = entry.input("pool", {Element::F32, {5, 16}}, "features");
  EXPECT_EQ(mergeRows(rows, ids, pool).type(), rows.type());
  Tensor key = entry.input("key", {Element::F32, {5, 8, 4}}, "cross_key");
  Tensor tiles = entry.input("tiles", {Element::I32, {5}}, "image_tiles");
  EXPECT_EQ(crossAttention(rows, key, key, {ids, ids, tiles, 2}, 8, 0.5).type(), rows.type());
  EXPECT_TRUE(graph.status().ok()) << graph.status().message();
}

TEST_F(VisionOpsTest, MistakesOfRowWork) {
  expectMistake(layerNorm(x, parameter("w15", {15}), parameter("w16", {16}), 1e-5),
                "layer_norm: input has 16 columns, w15 expects 15");
  expectMistake(headNorm(x, parameter("w5", {5}), 1e-5), "head_norm: a head is 5");
  expectMistake(tanhGate(x, parameter("w16", {16})), "tanh_gate: w16 is bf16[16]");
  expectMistake(bias(x, parameter("w3", {3, 16})), "where R divides the 8 rows of a unit");
  Tensor cos = entry.input("cos", {Element::F32, {7, 2}}, "cos", "grid");
  expectMistake(rope(x, cos, cos, RotateStyle::Pairs),
                "rope: cos is f32[7, 2], expected f32[8, P]");
}

TEST_F(VisionOpsTest, MistakesOfRows) {
  expectMistake(patches(pixels, 4, 2),
                "patches: pixels is f32[?, 24, 4], expected square pictures");
  expectMistake(patches(pixels, 3, 3), "patches: patch is 3, expected a divisor of 4");
  expectMistake(patches(rows, 3, 2), "patches: pixels is f32[?, 16], expected f32[?, K, N]");
  expectMistake(insertRow(x, parameter("token", {16}), 3, 4), "the place is 3, expected 0 to 2");
  expectMistake(insertRow(x, parameter("token", {16}), 0, 3),
                "groups is 3, expected a divisor of 8");
  expectMistake(fitRows(x, 2, 0), "a group has 0 rows");
  expectMistake(spreadRows(x, 0), "repeats rows 0 times");
  expectMistake(reshape(rows, 3, 5), "expected 3 rows of 5 columns in a unit");
  expectMistake(concat(std::vector<Tensor>{x, fitRows(x, 1, 4)}, false),
                "concat: input is f32[?, 8, 16], input is f32[?, 4, 16]");
  expectMistake(pixelShuffle(x, 3, 1), "expected a grid of 3 by 3 rows in a unit");
  expectMistake(mergeRows(rows, ids, x),
                "merge_rows: source is f32[?, 8, 16], expected f32[M, 16]");
}

TEST_F(VisionOpsTest, MistakesOfAttention) {
  expectMistake(unitAttention(x, x, fitRows(x, 1, 4), 4, 0.5), "unit_attention: query is");
  expectMistake(unitAttention(x, x, x, 3, 0.5), "heads is 3, expected a divisor of 16");
  expectMistake(unitAttention(x, x, x, 4, 0.5, {ids, 2, 5}),
                "real rows are 5, expected 1 to the 4");
  Tensor key = entry.input("key", {Element::F32, {5, 8, 6}}, "cross_key");
  Tensor tiles = entry.input("tiles", {Element::I32, {5}}, "image_tiles");
  expectMistake(crossAttention(rows, key, key, {ids, ids, tiles, 2}, 4, 0.5),
                "cross_attention: key has 6 columns, expected KV heads of 4");
}

TEST_F(VisionOpsTest, Dump) {
  graph.addRopeGrid("grid", 2, 4, {1.0f, 0.5f});
  entry.output(unitAttention(x, x, x, 4, 0.5, {ids, 2, 3}));
  const std::string text = dumpGraph(graph);
  EXPECT_NE(text.find("rope_grid grid 2 by 4 [1, 0.5]  // test/graph/"), std::string::npos) << text;
  EXPECT_NE(text.find("%0 = unit_attention %x, %x, %x, %ids heads 4 groups 2 real 3 scale 0.5 : "
                      "f32[N, 8, 16]"),
            std::string::npos)
      << text;
}

} // namespace
