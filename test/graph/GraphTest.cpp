//===- GraphTest.cpp - the DSL: shapes, names, and lines of mistakes ------===//

#include "compiler/graph/nn.h"

#include <gtest/gtest.h>

using namespace llama4;
using namespace llama4::graph;

namespace {

/// Every name exists, as bf16, except those that contain "missing".
Result<StoredTensor> resolve(const std::string &name, std::span<const int64_t>) {
  if (name.find("missing") != std::string::npos)
    return Status::invalidInput("found no tensor " + name);
  return StoredTensor{Element::BF16, "stored." + name, 0};
}

class GraphTest : public testing::Test {
protected:
  Graph graph{resolve};
  Module root{graph, "model"};
  Entry &entry = graph.addEntry("step", "T", 512);
  Tensor ids = entry.input("ids", {Element::I32, {kSymbol}}, "ids");
  Tensor x = entry.input("x", {Element::F32, {kSymbol, 64}}, "x");

  /// "GraphTest.cpp:LINE: " of the only mistake, and its sentence.
  void expectMistake(unsigned line, const std::string &sentence) {
    ASSERT_EQ(graph.mistakes().size(), 1u);
    EXPECT_EQ(graph.mistakes()[0],
              "test/graph/GraphTest.cpp:" + std::to_string(line) + ": " + sentence);
    EXPECT_EQ(graph.status().message(), graph.mistakes()[0]);
    EXPECT_EQ(graph.status().kind(), StatusKind::InvalidInput);
  }
};

TEST_F(GraphTest, ResultTypes) {
  const TensorType rows64{Element::F32, {kSymbol, 64}};
  EXPECT_EQ(Embedding(root, "embed", 100, 64)(ids).type(), rows64);
  Tensor q = Linear(root, "q", 64, 128, /*withBias=*/true)(x);
  EXPECT_EQ(q.type(), (TensorType{Element::F32, {kSymbol, 128}}));
  EXPECT_EQ(RmsNorm(root, "norm", 64, 1e-5)(x).type(), rows64);
  EXPECT_EQ((silu(x) * x + x).type(), rows64);
  Tensor cos = entry.input("cos", {Element::F32, {kSymbol, 8}}, "cos", "rope");
  EXPECT_EQ(rope(q, cos, cos, RotateStyle::Half).type(), q.type());
  KvState kv = entry.kv({"full", 0, 2, 2, 16, Element::F32});
  Batch batch = entry.batch();
  Tensor k = Linear(root, "k", 64, 32, false)(x);
  kvWrite(k, k, kv.layer(1), batch);
  EXPECT_EQ(attention(q, kv.layer(1), batch, 0.25).type(), q.type());
  EXPECT_EQ(gather(x, ids).type(), rows64);
  EXPECT_TRUE(graph.status().ok()) << graph.status().message();
}

TEST_F(GraphTest, MistakeNamesTheLineAndTheWeight) {
  Linear wide(root, "wide", 128, 32, false);
  Tensor y = wide(x);
  const unsigned line = __LINE__ - 1;
  EXPECT_FALSE(y.valid());
  expectMistake(line, "linear: input has 64 columns, weight model.wide.weight expects 128");
}

TEST_F(GraphTest, OperatorsNameTheirLine) {
  Tensor y = Linear(root, "y", 64, 32, false)(x);
  Tensor sum = silu(x) + y;
  const unsigned line = __LINE__ - 1;
  EXPECT_FALSE(sum.valid());
  expectMistake(line, "add: left is f32[?, 64], right is f32[?, 32], expected one type");
}

TEST_F(GraphTest, OneMistakeIsReportedOnce) {
  Tensor bad = RmsNorm(root, "norm", 32, 1e-5)(x);
  const unsigned line = __LINE__ - 1;
  entry.output(Linear(root, "q", 64, 64, false)(silu(bad) * x));
  expectMistake(line, "rms_norm: input has 64 columns, weight model.norm.weight expects 32");
}

TEST_F(GraphTest, MissingWeight) {
  Linear missing(root, "missing", 64, 64, false);
  const unsigned line = __LINE__ - 1;
  EXPECT_FALSE(missing(x).valid());
  expectMistake(line, "found no tensor model.missing.weight");
}

TEST_F(GraphTest, StateMistakes) {
  KvState kv = entry.kv({"full", 0, 2, 2, 16, Element::F32});
  Batch batch = entry.batch();
  kvWrite(x, x, kv.layer(0), batch);
  const unsigned line = __LINE__ - 1;
  expectMistake(line, "kv_write: key has 64 columns, the state expects 2 heads of 16");
  EXPECT_FALSE(kv.layer(2).valid());
  EXPECT_NE(graph.mistakes()[1].find("kv_layer: layer is 2, state full has 2"), std::string::npos);
  Tensor cos = entry.input("cos", {Element::F32, {kSymbol, 24}}, "cos");
  EXPECT_FALSE(rope(x, cos, cos, RotateStyle::Half).valid());
  EXPECT_NE(graph.mistakes()[2].find("rope: input has 64 columns, expected heads of 48"),
            std::string::npos);
  EXPECT_NE(graph.status().message().find("(and 2 more like it)"), std::string::npos);
}

TEST_F(GraphTest, EntriesDontMix) {
  Entry &other = graph.addEntry("logits", "R", 8);
  Tensor y = other.input("y", {Element::F32, {kSymbol, 64}}, "y");
  EXPECT_FALSE((x + y).valid());
  const unsigned line = __LINE__ - 1;
  expectMistake(line, "add: operands belong to entry step and to entry logits");
}

TEST_F(GraphTest, ParameterIsDeclaredOnce) {
  const Parameter *first = Embedding(root, "embed", 100, 64).weight();
  EXPECT_EQ(Embedding(root, "embed", 100, 64).weight(), first);
  EXPECT_EQ(graph.parameters().size(), 1u);
  EXPECT_EQ(graph.parameterCount(), 6400);
  Embedding(root, "embed", 100, 32);
  const unsigned line = __LINE__ - 1;
  expectMistake(line, "parameter model.embed.weight: declared as bf16[100, 32], before as "
                      "bf16[100, 64]");
}

struct Block : Composite<Block> {
  Block(const Module &parent, const std::string &name)
      : Composite(parent, name), proj(*this, "proj", 64, 64, false) {}
  Tensor forward(Tensor x) const { return x + proj(x); }
  Linear proj;
};

TEST_F(GraphTest, PathsAreHierarchical) {
  Block block(root, "layers.3");
  entry.output(block(x));
  ASSERT_EQ(entry.nodes().size(), 2u);
  EXPECT_EQ(entry.nodes()[0].path, "model.layers.3.proj");
  EXPECT_EQ(entry.nodes()[0].parameter->name, "model.layers.3.proj.weight");
  EXPECT_EQ(entry.nodes()[0].parameter->stored.source, "stored.model.layers.3.proj.weight");
  EXPECT_EQ(entry.nodes()[1].path, "model.layers.3");
  EXPECT_EQ(graph.path(), "");
}

TEST_F(GraphTest, Dump) {
  graph.model["family"] = "test";
  graph.options["bounds"] = std::vector<int64_t>{1, 2};
  graph.addRopeTable("rope", {1.0f, 0.1f});
  entry.output(RmsNorm(root, "norm", 64, 1e-5)(x));
  const std::string text = dumpGraph(graph);
  EXPECT_NE(text.find("model family = \"test\"\noption bounds = [1, 2]\n"), std::string::npos);
  EXPECT_NE(text.find("rope_table rope [1, 0.100000001]"), std::string::npos);
  EXPECT_NE(text.find("param model.norm.weight: bf16[64] from \"stored.model.norm.weight\""),
            std::string::npos);
  EXPECT_NE(text.find("entry step (T <= 512)\n  input %ids: i32[T]\n  input %x: f32[T, 64]\n"
                      "  %0 = rms_norm %x, model.norm.weight eps 1e-05 : f32[T, 64]  // model.norm "
                      "test/graph/GraphTest.cpp:"),
            std::string::npos)
      << text;
}

} // namespace
