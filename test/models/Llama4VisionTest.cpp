//===- Llama4VisionTest.cpp - Llama 4 with images, interpreted ------------===//
//
// Against outputs of an independent implementation (transformers, float32): features of every tile,
// hidden states and logits at every position, of one image, two, a tiled one and none.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/Images.h"
#include "passes/Passes.h"
#include "test/models/Support.h"

#include "mlir/Pass/PassManager.h"

#include <cstdlib>
#include <iostream>

using namespace llama4;
using namespace llama4::test;

namespace {

const std::string kOwn = LLAMA4_TEST_DATA "/oracles/llama4-vision";

/// The folder of the reference checkpoint with outputs for `prompt`; empty where it isn't there.
std::string folderWith(const std::string &prompt) {
  const char *given = std::getenv("LLAMA4_ORACLES");
  const std::string root = given ? given : LLAMA4_TEST_DATA "/../../../shared/oracles";
  for (const std::string &folder : {kOwn, root + "/llama4-vision"})
    if (fs::exists(folder + "/golden/prefill." + prompt + ".safetensors"))
      return folder;
  return {};
}

models::ModelOptions withVision(int64_t maxStepTiles = 4) {
  models::ModelOptions options;
  options.vision = true;
  options.maxStepTiles = maxStepTiles;
  return options;
}

std::string graphOf(const std::string &folder) {
  Checkpoint checkpoint = open(folder);
  auto graph = models::buildModel(checkpoint, withVision());
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? dumpGraph(**graph) : std::string();
}

class Llama4Vision : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    folder = folderWith(GetParam());
    if (folder.empty())
      GTEST_SKIP() << "no reference outputs llama4-vision " << GetParam() << " (LLAMA4_ORACLES)";
    expected = readGolden(folder, std::string("prefill.") + GetParam());
  }
  bool hasImages() const { return expected.count("pixel_values") != 0; }
  /// What the prompt's tokens see; features f32[tiles * tokens, H].
  StepImages encode(Model &model) const {
    StepImages images;
    if (!hasImages())
      return images;
    auto features = encodeTiles(*model.interpreter, expected.at("pixel_values"));
    EXPECT_TRUE(features.ok()) << features.status().message();
    if (features.ok())
      images.features = features.take();
    return images;
  }
  std::string folder;
  NamedTensors expected;
};

/// Every stage of the tower, all tiles in one call.
TEST_P(Llama4Vision, Features) {
  if (!hasImages())
    return;
  Model model(open(folder), withVision(64));
  std::map<std::string, HostTensor> seen;
  model.interpreter->setObserver([&](const TraceName &name, const HostTensor &value) {
    seen[traceText(name)] = value; // the second sum of a layer stays
  });
  HostTensor features = encode(model).features;
  features.shape = {features.rows(), features.columns()};
  const std::pair<std::string, std::string> stages[] = {
      {"patch_embed", "vision_model.patch_embedding.linear/linear"},
      {"vision_hidden.0", "vision_model.layernorm_pre/layer_norm"},
      {"vision_hidden.1", "vision_model.model.layers.0/add"},
      {"vision_hidden.2", "vision_model.model.layers.1/add"},
      {"vision_hidden.3", "vision_model.model.layers.2/add"},
      {"vision_post_ln", "vision_model.layernorm_post/layer_norm"},
      {"image_features", "vision_model.vision_adapter.mlp/gelu"},
  };
  for (const auto &[golden, stage] : stages) {
    SCOPED_TRACE(golden);
    ASSERT_TRUE(seen.count(stage));
    expectNear(seen.at(stage), expected.at(golden), 1e-4f, 0);
  }
  expectNear(features, expected.at("projected"), 1e-4f, 0);
}

/// The row forms of the tower's ops compute what their names say.
TEST_P(Llama4Vision, RowForms) {
  if (!hasImages())
    return;
  Model model(open(folder), withVision());
  mlir::PassManager passes(&model.context);
  passes.addNestedPass<mlir::func::FuncOp>(createLmFormRows());
  ASSERT_TRUE(mlir::succeeded(passes.run(*model.module)));
  std::string text;
  llvm::raw_string_ostream(text) << *model.module;
  for (const char *name :
       {"= lm.layer_norm ", "= lm.gelu ", "= lm.bias ", "= lm.rope ", "= lm.add "})
    EXPECT_EQ(count(text, name), 0u) << name;
  EXPECT_EQ(count(text, "math.erf"), 5u);
  const HostTensor features = encode(model).features;
  HostTensor expectedRows = expected.at("projected");
  expectedRows.shape = features.shape;
  expectNear(features, expectedRows, 1e-4f, 0);
}

/// Hidden states and logits, with tiles encoded one, two or four at a time.
TEST_P(Llama4Vision, Prefill) {
  for (int64_t maxStepTiles : {1, 2, 4}) {
    Model model(open(folder), withVision(maxStepTiles));
    const StepImages images = encode(model);
    HostTensor merged;
    std::map<std::string, HostTensor> sums;
    model.interpreter->setObserver([&](const TraceName &name, const HostTensor &value) {
      if (name.op == "merge_rows")
        merged = value;
      if (name.op == "add" && !name.path.ends_with("feed_forward"))
        sums[name.path] = value;
    });
    HostTensor logits = model.run(expected.at("input_ids").ints, 0, images);
    expectNear(logits, expected.at("logits"), 2e-4f, 0);
    expectNear(merged, expected.at("hidden.0"), 1e-4f, 0);
    ASSERT_EQ(sums.size(), 4u);
    for (size_t layer = 0; layer < sums.size(); ++layer)
      expectNear(sums.at("model.layers." + std::to_string(layer)),
                 expected.at("hidden." + std::to_string(layer + 1)), 1e-4f, 1e-4f);
  }
}

/// A prompt cut in two inside of an image, then every token by itself.
TEST_P(Llama4Vision, GreedyAfterACutImage) {
  NamedTensors greedy = readGolden(folder, std::string("greedy.") + GetParam());
  models::ModelOptions options = withVision();
  options.maxStepTokens = 13;
  Model model(open(folder), options);
  const StepImages images = encode(model);
  const std::vector<int32_t> &ids = expected.at("input_ids").ints;
  HostTensor logits = model.run(ids, 0, images);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
  auto position = static_cast<int64_t>(ids.size());
  for (size_t step = 0; step < greedy.at("tokens").ints.size(); ++step) {
    const int32_t token = greedy.at("tokens").ints[step];
    if (greedy.at("margin").values[step] > 2e-3f)
      ASSERT_EQ(argmax(logits.row(logits.rows() - 1)), token) << "at step " << step;
    logits = model.run({token}, position++);
  }
}

INSTANTIATE_TEST_SUITE_P(Oracle, Llama4Vision, testing::Values("one", "two", "tiled", "text"));

//===----------------------------------------------------------------------===//
// What is declared
//===----------------------------------------------------------------------===//

class Llama4VisionModel : public testing::Test {
protected:
  void SetUp() override {
    folder = folderWith("one");
    if (folder.empty())
      GTEST_SKIP() << "no reference outputs llama4-vision (LLAMA4_ORACLES)";
  }
  std::string folder;
};

TEST_F(Llama4VisionModel, Declares) {
  const std::string graph = graphOf(folder);
  expectContains(graph, "entry encode_image (N <= 4)\n  input %pixels: f32[N, 168, 56]\n"
                        "  input %cos: f32[17, 8] from vision_rope\n");
  expectContains(graph, "rope_grid vision_rope 4 by 4 [1, 0.100000001, 0.00999999978, ");
  expectContains(graph, "at 16 groups 1 : f32[N, 17, 64]");
  expectContains(graph, "columns 4 side 2 : f32[N, 4, 256]");
  expectContains(graph, "input %feature_row: i32[T]\n  input %features: f32[340, 96]\n");
  expectContains(graph, "model image_token_id = 639\n");
  expectContains(graph, "param vision_model.class_embedding: bf16[64] from "
                        "\"vision_model.class_embedding\"");
  EXPECT_EQ(count(graph, "= unit_attention "), 3u);
  EXPECT_EQ(count(graph, "= gelu "), 3u + 2u);
  Checkpoint checkpoint = open(folder);
  auto built = models::buildModel(checkpoint, withVision());
  ASSERT_TRUE(built.ok());
  EXPECT_TRUE((*built)->remarks().empty()) << (*built)->remarks()[0];
}

/// Without the option nothing of the image part is declared.
TEST_F(Llama4VisionModel, TextAloneIsTheDefault) {
  Checkpoint checkpoint = open(folder);
  auto graph = models::buildModel(checkpoint, {});
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const std::string text = dumpGraph(**graph);
  EXPECT_EQ(count(text, "vision"), 0u);
  EXPECT_EQ(count(text, "feature_row"), 0u);
  EXPECT_EQ((*graph)->remarks().size(), 1u);
}

TEST_F(Llama4VisionModel, BothConfigLayoutsGiveOneGraph) {
  Copy copy(folder);
  copy.write("config.json", copy.read("config.v4.json"));
  EXPECT_EQ(graphOf(copy.path()), graphOf(folder));
}

/// The tower of the published models.
TEST_F(Llama4VisionModel, PublishedSizes) {
  const std::string config =
      edited(Copy(folder).read("config.json"),
             {{"\"hidden_size\": 64", "\"hidden_size\": 1408"},
              {"\"image_size\": 56", "\"image_size\": 336"},
              {"\"intermediate_size\": 256", "\"intermediate_size\": 5632"},
              {"\"num_attention_heads\": 4,", "\"num_attention_heads\": 16,"},
              {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 34"}});
  const std::string graph = graphWithoutWeights(config, withVision());
  expectContains(graph, "input %pixels: f32[N, 1008, 336]\n  input %cos: f32[577, 44] from");
  expectContains(graph, "rope_grid vision_rope 24 by 24 [");
  expectContains(graph, "at 576 groups 1 : f32[N, 577, 1408]");
  expectContains(graph, "columns 24 side 2 : f32[N, 144, 5632]");
  expectContains(graph, "input %features: f32[12240, 96]\n");
  EXPECT_EQ(count(graph, "= unit_attention "), 34u);
}

TEST_F(Llama4VisionModel, ContradictionsAreErrors) {
  const struct {
    const char *from, *to, *expected;
  } cases[] = {
      {"\"num_attention_heads\": 4,", "\"num_attention_heads\": 6,", "heads of a multiple of 4"},
      {"\"patch_size\": 14", "\"patch_size\": 15", "a divisor of image_size, 56"},
      {"\"pixel_shuffle_ratio\": 0.5", "\"pixel_shuffle_ratio\": 0.4", "1 / n where n divides"},
      {"\"intermediate_size\": 256", "\"intermediate_size\": 128",
       "expected 256, the columns behind the pixel shuffle"},
      {"\"projector_output_dim\": 80", "\"projector_output_dim\": 96", "projector_input_dim, 80"},
      {"\"vision_output_dim\": 80", "\"vision_output_dim\": 96", "projector_output_dim, 80"},
      {"\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\"", "found \"gelu_new\""},
      {"\"multi_modal_projector_bias\": false", "\"multi_modal_projector_bias\": true",
       "expected false"},
      {"\"image_token_index\": 639", "\"image_token_index\": 640", "from 0 to 639"},
      {"\"image_size\": 56", "\"image_size\": 84", "expected [37, 64]"},
      {"\"vision_feature_select_strategy\": \"default\"",
       "\"vision_feature_select_strategy\": \"full\"", "expected default"},
  };
  for (const auto &[from, to, expected] : cases) {
    Copy copy(folder);
    copy.edit(from, to);
    expectContains(errorOf(copy.path(), withVision()), expected);
  }
}

TEST_F(Llama4VisionModel, FeaturesAndImageTokensMustAgree) {
  Model model(open(folder), withVision());
  NamedTensors golden = readGolden(folder, "prefill.one");
  std::vector<int32_t> ids = golden.at("input_ids").ints;
  Batch batch;
  for (size_t i = 0; i < ids.size(); ++i) {
    batch.positions.push_back(static_cast<int64_t>(i));
    batch.sequences.push_back(0);
  }
  auto none = runTokens(*model.interpreter, ids, batch);
  ASSERT_FALSE(none.ok());
  expectContains(none.status().message(), "found 4 image tokens, expected one for each of 0");
  auto wide = encodeTiles(*model.interpreter, HostTensor::zeros(Element::F32, {1, 168, 57}));
  ASSERT_FALSE(wide.ok());
  expectContains(wide.status().message(), "input \"pixels\": found f32[1, 168, 57]");
}

} // namespace
