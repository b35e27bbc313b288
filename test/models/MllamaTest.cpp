//===- MllamaTest.cpp - Llama 3.2 Vision, interpreted ---------------------===//
//
// Against outputs of an independent implementation (float32; Meta's semantics, where transformers
// differs): every stage of the tower, hidden states and logits at every position, of images of one
// tile, of several, of two images in two turns, and of text alone.
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

/// The folder of the reference checkpoint; empty where it isn't there.
std::string oracle() {
  const char *given = std::getenv("LLAMA4_ORACLES");
  const std::string root = given ? given : LLAMA4_TEST_DATA "/../../../shared/oracles";
  return fs::exists(root + "/mllama/config.json") ? root + "/mllama" : std::string();
}

models::ModelOptions withVision(int64_t maxStepTiles = 16) {
  models::ModelOptions options;
  options.vision = true;
  options.maxStepTiles = maxStepTiles;
  return options;
}

std::string graphOf(const std::string &folder, const models::ModelOptions &options) {
  Checkpoint checkpoint = open(folder);
  auto graph = models::buildModel(checkpoint, options);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? dumpGraph(**graph) : std::string();
}

/// The same values in the shape of `like`.
HostTensor shapedLike(HostTensor tensor, const HostTensor &like) {
  EXPECT_EQ(tensor.values.size(), like.values.size());
  tensor.shape = like.shape;
  return tensor;
}

/// Runs tokens of several sequences in one step.
HostTensor runStep(Model &model, const std::vector<int32_t> &ids, const Batch &batch,
                   const StepImages &images) {
  auto logits = runTokens(*model.interpreter, ids, batch, images);
  EXPECT_TRUE(logits.ok()) << logits.status().message();
  return logits.ok() ? logits.take() : HostTensor();
}

class Mllama : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    folder = oracle();
    if (folder.empty())
      GTEST_SKIP() << "no reference outputs mllama (LLAMA4_ORACLES)";
    expected = readGolden(folder, std::string("prefill.") + GetParam());
  }
  bool hasImages() const { return expected.count("pixel_values") != 0; }
  StepImages encode(Model &model) const {
    if (!hasImages())
      return {};
    auto images = encodeImages(*model.interpreter, expected);
    EXPECT_TRUE(images.ok()) << images.status().message();
    return images.ok() ? images.take() : StepImages();
  }
  std::string folder;
  NamedTensors expected;
};

TEST_P(Mllama, Features) {
  if (!hasImages())
    return;
  Model model(open(folder), withVision());
  std::map<std::string, HostTensor> seen;
  model.interpreter->setObserver([&](const TraceName &name, const HostTensor &value) {
    seen[traceText(name)] = value; // the second sum of a layer stays
  });
  encode(model);
  const std::pair<std::string, std::string> stages[] = {
      {"patch_embed", "vision_model.patch_embedding/linear"},
      {"vision_pre_ln_out", "vision_model.layernorm_pre/layer_norm"},
      {"vision_hidden.1", "vision_model.transformer.layers.0/add"},
      {"vision_hidden.2", "vision_model.transformer.layers.1/add"},
      {"vision_hidden.3", "vision_model.transformer.layers.2/add"},
      {"vision_hidden.4", "vision_model.transformer.layers.3/add"},
      {"vision_post_ln", "vision_model.layernorm_post/layer_norm"},
      {"vision_global.1", "vision_model.global_transformer.layers.0/add"},
      {"vision_global.2", "vision_model.global_transformer.layers.1/add"},
      {"image_features", "vision_model/concat"},
      {"projected", "multi_modal_projector/bias"},
  };
  for (const auto &[golden, stage] : stages) {
    SCOPED_TRACE(golden);
    ASSERT_TRUE(seen.count(stage)) << stage;
    expectNear(shapedLike(seen.at(stage), expected.at(golden)), expected.at(golden), 1e-4f, 0);
  }
}

/// Hidden states and logits, with one image at a time or all in one call.
TEST_P(Mllama, Prefill) {
  for (int64_t maxStepTiles : {4, 16}) {
    Model model(open(folder), withVision(maxStepTiles));
    const StepImages images = encode(model);
    HostTensor embedded;
    std::map<std::string, HostTensor> sums;
    model.interpreter->setObserver([&](const TraceName &name, const HostTensor &value) {
      if (name.op == "embed")
        embedded = value;
      if (name.op == "add")
        sums[name.path] = value;
    });
    HostTensor logits = model.run(expected.at("input_ids").ints, 0, images);
    expectNear(logits, expected.at("logits"), 2e-4f, 0);
    expectNear(embedded, expected.at("hidden.0"), 0, 0);
    ASSERT_EQ(sums.size(), 8u);
    size_t compared = 0;
    for (size_t layer = 0; layer < sums.size(); ++layer) {
      const std::string golden = "hidden." + std::to_string(layer + 1);
      if (!expected.count(golden))
        continue; // text alone: the reference skips layers that read images
      expectNear(sums.at("model.layers." + std::to_string(layer)), expected.at(golden), 1e-4f,
                 1e-4f);
      ++compared;
    }
    EXPECT_GE(compared, 5u);
  }
}

/// A prompt in slices of 13 tokens, then every token by itself, which sees what the last one did.
TEST_P(Mllama, GreedyInSlices) {
  NamedTensors greedy = readGolden(folder, std::string("greedy.") + GetParam());
  models::ModelOptions options = withVision();
  options.maxStepTokens = 13;
  Model model(open(folder), options);
  StepImages images = encode(model);
  const std::vector<int32_t> &ids = expected.at("input_ids").ints;
  HostTensor logits = model.run(ids, 0, images);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
  if (hasImages()) {
    images.first = {images.first.back()};
    images.count = {images.count.back()};
  }
  auto position = static_cast<int64_t>(ids.size());
  for (size_t step = 0; step < greedy.at("tokens").ints.size(); ++step) {
    const int32_t token = greedy.at("tokens").ints[step];
    if (greedy.at("margin").values[step] > 2e-3f)
      ASSERT_EQ(argmax(logits.row(logits.rows() - 1)), token) << "at step " << step;
    logits = model.run({token}, position++, images);
  }
}

INSTANTIATE_TEST_SUITE_P(Oracle, Mllama,
                         testing::Values("one_tile", "four_tiles", "wide", "twoturn", "text"));

//===----------------------------------------------------------------------===//
// Mixed steps and what is declared
//===----------------------------------------------------------------------===//

class MllamaModel : public testing::Test {
protected:
  void SetUp() override {
    folder = oracle();
    if (folder.empty())
      GTEST_SKIP() << "no reference outputs mllama (LLAMA4_ORACLES)";
  }
  std::string folder;
};

/// Appends the images and ranges of one sequence to those of others.
void join(StepImages &all, const StepImages &own) {
  const auto before =
      static_cast<int32_t>(all.pools.empty() ? 0 : all.pools.at("image_tiles").rows());
  for (const auto &[name, pool] : own.pools) {
    auto [it, isNew] = all.pools.try_emplace(name, pool);
    if (isNew)
      continue;
    it->second.shape[0] += pool.shape[0];
    it->second.values.insert(it->second.values.end(), pool.values.begin(), pool.values.end());
    it->second.ints.insert(it->second.ints.end(), pool.ints.begin(), pool.ints.end());
  }
  for (size_t i = 0; i < own.first.size(); ++i) {
    all.first.push_back(own.first[i] + before);
    all.count.push_back(own.count[i]);
  }
}

/// Prompts without image, with one tile, four tiles and two images in one step: each row as if its
/// prompt were alone, bit by bit.
TEST_F(MllamaModel, MixedStepEqualsSoloRuns) {
  Model model(open(folder), withVision());
  StepImages all;
  Batch batch;
  std::vector<int32_t> ids;
  std::vector<float> solo;
  int32_t sequence = 0;
  for (const char *prompt : {"text", "one_tile", "twoturn", "four_tiles"}) {
    NamedTensors golden = readGolden(folder, std::string("prefill.") + prompt);
    const std::vector<int32_t> &own = golden.at("input_ids").ints;
    StepImages images;
    if (golden.count("pixel_values")) {
      auto encoded = encodeImages(*model.interpreter, golden);
      ASSERT_TRUE(encoded.ok()) << encoded.status().message();
      images = encoded.take();
    } else {
      images.first = images.count = std::vector<int32_t>(own.size(), 0);
    }
    Model alone(open(folder), withVision());
    const HostTensor logits = alone.run(own, 0, images);
    solo.insert(solo.end(), logits.values.begin(), logits.values.end());
    join(all, images);
    ids.insert(ids.end(), own.begin(), own.end());
    for (size_t i = 0; i < own.size(); ++i) {
      batch.positions.push_back(static_cast<int64_t>(i));
      batch.sequences.push_back(sequence);
    }
    ++sequence;
  }
  EXPECT_EQ(runStep(model, ids, batch, all).values, solo);
}

/// The row forms of gates, head norms and the rest compute what their names say.
TEST_F(MllamaModel, RowForms) {
  Model model(open(folder), withVision());
  mlir::PassManager passes(&model.context);
  passes.addNestedPass<mlir::func::FuncOp>(createLmFormRows());
  ASSERT_TRUE(mlir::succeeded(passes.run(*model.module)));
  std::string text;
  llvm::raw_string_ostream(text) << *model.module;
  for (const char *name :
       {"= lm.tanh_gate ", "= lm.gated_bias ", "= lm.head_norm ", "= lm.temperature "})
    EXPECT_EQ(count(text, name), 0u) << name;
  NamedTensors expected = readGolden(folder, "prefill.twoturn");
  auto images = encodeImages(*model.interpreter, expected);
  ASSERT_TRUE(images.ok()) << images.status().message();
  expectNear(model.run(expected.at("input_ids").ints, 0, *images), expected.at("logits"), 2e-4f, 0);
}

/// Declared without images it is a text model that gives the text-only outputs.
TEST_F(MllamaModel, TextAloneIsTheDefault) {
  Model model(open(folder));
  NamedTensors expected = readGolden(folder, "prefill.text");
  expectNear(model.run(expected.at("input_ids").ints, 0), expected.at("logits"), 2e-4f, 0);
  const std::string graph = graphOf(folder, {});
  EXPECT_EQ(count(graph, "cross_attn"), 0u);
  EXPECT_EQ(count(graph, "entry "), 2u);
  expectContains(graph, "kv \"full\" layers 5 heads 2 dim 16 f32");
  Checkpoint checkpoint = open(folder);
  auto built = models::buildModel(checkpoint, {});
  ASSERT_TRUE(built.ok());
  ASSERT_EQ((*built)->remarks().size(), 1u);
  expectContains((*built)->remarks()[0], "layers of cross-attention): only text is compiled");
}

TEST_F(MllamaModel, Declares) {
  const std::string graph = graphOf(folder, withVision());
  expectContains(graph, "entry encode_image (N <= 4)\n  input %pixels: f32[N, 672, 56]\n"
                        "  input %aspect_ratio_ids: i32[N]\n  input %tiles: i32[N]\n");
  expectContains(graph, "entry cross_kv (N <= 4)\n  input %features: f32[N, 68, 128]\n");
  expectContains(graph, "input %cross_key_2: f32[5, 68, 32]\n");
  expectContains(graph, "param vision_model.patch_embedding.weight: bf16[64, 588] from ");
  expectContains(graph, "param model.embed_tokens.weight: bf16[520, 128] from ");
  EXPECT_EQ(count(graph, "= unit_attention "), 6u);
  EXPECT_EQ(count(graph, " groups 4 real 17 "), 6u);
  EXPECT_EQ(count(graph, "= cross_attention "), 3u);
}

TEST_F(MllamaModel, BothConfigLayoutsGiveOneGraph) {
  Copy copy(folder);
  copy.write("config.json", copy.read("config.v4.json"));
  EXPECT_EQ(graphOf(copy.path(), withVision()), graphOf(folder, withVision()));
}

/// The tower of the published models.
TEST_F(MllamaModel, PublishedSizes) {
  const std::string config = edited(Copy(folder).read("config.v4.json"),
                                    {{"\"attention_heads\": 4", "\"attention_heads\": 16"},
                                     {"\"hidden_size\": 64", "\"hidden_size\": 1280"},
                                     {"\"image_size\": 56", "\"image_size\": 560"},
                                     {"\"intermediate_size\": 160", "\"intermediate_size\": 5120"},
                                     {"\"vision_output_dim\": 256", "\"vision_output_dim\": 5120"},
                                     {"\"num_global_layers\": 2", "\"num_global_layers\": 8"}});
  const std::string graph = graphWithoutWeights(config, withVision());
  expectContains(graph, "input %pixels: f32[N, 6720, 560]\n");
  expectContains(graph, "at 0 groups 4 : f32[N, 6404, 1280]");
  expectContains(graph, "groups 4 : f32[N, 6432, 1280]");
  expectContains(graph, "interleaved 0 : f32[N, 6404, 5120]");
  expectContains(graph, "gated_positional_embedding.tile_embedding.weight: bf16[9, 8197120]");
}

TEST_F(MllamaModel, ContradictionsAreErrors) {
  const struct {
    const char *from, *to, *expected;
  } cases[] = {
      {"\"vision_output_dim\": 256", "\"vision_output_dim\": 192", "expected 256, the hidden_size"},
      {"\"max_num_tiles\": 4", "\"max_num_tiles\": 3", "expected [6, 192]"},
      {"\"attention_heads\": 4", "\"attention_heads\": 5", "a divisor of hidden_size, 64"},
      {"\"patch_size\": 14", "\"patch_size\": 15", "a divisor of image_size, 56"},
      {"\"hidden_act\": \"gelu\"", "\"hidden_act\": \"gelu_new\"", "expected gelu"},
      {"\"image_token_index\": 512", "\"image_token_index\": 520", "from 0 to 519"},
      {"\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true",
       "more rows than the head"},
      {"\"model_type\": \"mllama_text_model\"", "\"model_type\": \"llama\"", "mllama_text_model"},
  };
  for (const auto &[from, to, expected] : cases) {
    Copy copy(folder);
    copy.edit(from, to);
    expectContains(errorOf(copy.path(), withVision()), expected);
  }
}

TEST_F(MllamaModel, MasksMustBeRunsOfImages) {
  Model model(open(folder), withVision());
  NamedTensors golden = readGolden(folder, "prefill.wide");
  HostTensor &mask = golden.at("cross_attention_mask");
  mask.ints[mask.ints.size() - 2] = 0; // the last row sees two of three tiles
  auto images = encodeImages(*model.interpreter, golden);
  ASSERT_FALSE(images.ok());
  expectContains(images.status().message(), "token 21 sees part of image 0");
}

} // namespace
