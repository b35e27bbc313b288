//===- Llama4Test.cpp - Llama 4 text declared, imported and interpreted ---===//
//
// Against outputs of an independent implementation (transformers, float32) on small checkpoints of
// the real layout. One of them is part of the tests; the others are looked for in LLAMA4_ORACLES.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"
#include "test/models/Support.h"

#include "mlir/Pass/PassManager.h"

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <list>
#include <regex>

using namespace llama4;
using namespace llama4::test;

namespace {

const std::string kOwn = LLAMA4_TEST_DATA "/oracles/llama4-text-f32";

/// The folder of a reference checkpoint; empty where it isn't there.
std::string folderOf(const std::string &model) {
  const char *given = std::getenv("LLAMA4_ORACLES");
  const std::string root = given ? given : LLAMA4_TEST_DATA "/../../../shared/oracles";
  const std::string folder = root + "/" + model;
  return fs::exists(folder + "/config.json") ? folder : std::string();
}

/// Skips a test, saying which reference outputs are missing.
#define NEED(folder, model)                                                                        \
  const std::string folder = folderOf(model);                                                      \
  if (folder.empty())                                                                              \
  GTEST_SKIP() << "no reference outputs " << (model) << " (LLAMA4_ORACLES)"

std::string graphOf(const std::string &folder, const models::ModelOptions &options = {}) {
  Checkpoint checkpoint = open(folder);
  auto graph = models::buildModel(checkpoint, options);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? dumpGraph(**graph) : std::string();
}

std::vector<std::string> remarksOf(const std::string &folder,
                                   const models::ModelOptions &options = {}) {
  Checkpoint checkpoint = open(folder);
  auto graph = models::buildModel(checkpoint, options);
  EXPECT_TRUE(graph.ok()) << graph.status().message();
  return graph.ok() ? (*graph)->remarks() : std::vector<std::string>();
}

//===----------------------------------------------------------------------===//
// Reference outputs
//===----------------------------------------------------------------------===//

struct Case {
  const char *model, *prompt;
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.model << ":" << c.prompt; }

class Llama4Oracle : public testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    const auto [name, prompt] = GetParam();
    const std::string own = LLAMA4_TEST_DATA "/oracles/" + std::string(name);
    const std::string file = std::string(prompt) + ".safetensors";
    const bool isOwn =
        fs::exists(own + "/golden/prefill." + file) && fs::exists(own + "/golden/greedy." + file);
    folder = isOwn ? own : folderOf(name);
    if (folder.empty())
      GTEST_SKIP() << "no reference outputs " << name << " (LLAMA4_ORACLES)";
  }
  NamedTensors golden(const std::string &kind) const {
    return readGolden(folder, kind + "." + GetParam().prompt);
  }
  std::string folder;
};

/// What a run computed, by module path.
struct Trace {
  HostTensor embedded;
  std::map<std::string, HostTensor> sums, attended, routed;

  Observer observer() {
    return [this](const TraceName &name, const HostTensor &value) {
      if (name.op == "embed")
        embedded = value;
      if (name.op == "add" && !name.path.ends_with("feed_forward"))
        sums[name.path] = value; // the second sum of a layer stays
      if (name.path.ends_with("self_attn.o_proj"))
        attended[name.path] = value;
      if (name.path.ends_with("feed_forward.router"))
        routed[name.path] = value;
    };
  }
};

TEST_P(Llama4Oracle, Prefill) {
  Model model(open(folder));
  NamedTensors expected = golden("prefill");
  Trace trace;
  model.interpreter->setObserver(trace.observer());
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
  expectNear(trace.embedded, expected.at("hidden.0"), 0, 0);
  ASSERT_GE(trace.sums.size(), 4u);
  size_t routers = 0;
  for (size_t layer = 0; layer < trace.sums.size(); ++layer) {
    const std::string path = "model.layers." + std::to_string(layer), n = std::to_string(layer);
    expectNear(trace.sums.at(path), expected.at("hidden." + std::to_string(layer + 1)), 1e-4f,
               1e-4f);
    if (expected.count("attn_out." + n))
      expectNear(trace.attended.at(path + ".self_attn.o_proj"), expected.at("attn_out." + n), 1e-4f,
                 1e-4f);
    if (!expected.count("router_logits." + n))
      continue;
    expectNear(trace.routed.at(path + ".feed_forward.router"), expected.at("router_logits." + n),
               1e-4f, 1e-4f);
    ++routers;
  }
  if (!folder.ends_with("llama4-vision")) { // which has fewer tensors
    EXPECT_EQ(routers, trace.routed.size());
    EXPECT_GE(routers, 3u);
  }
}

TEST_P(Llama4Oracle, GreedyWithCachedKeysAndValues) {
  Model model(open(folder));
  std::vector<int32_t> ids = golden("prefill").at("input_ids").ints;
  NamedTensors expected = golden("greedy");
  const std::vector<int32_t> &tokens = expected.at("tokens").ints;
  HostTensor logits = model.run(ids, 0);
  auto position = static_cast<int64_t>(ids.size());
  for (size_t step = 0; step < tokens.size(); ++step) {
    const int32_t next = argmax(logits.row(logits.rows() - 1));
    if (expected.at("margin").values[step] > 2e-3f)
      ASSERT_EQ(next, tokens[step]) << "at step " << step;
    logits = model.run({tokens[step]}, position++);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Text, Llama4Oracle,
    testing::Values(Case{"llama4-text-f32", "p5"}, Case{"llama4-text-f32", "p45"},
                    Case{"llama4-text-f32", "p72"}, Case{"llama4-text-scout", "p5"},
                    Case{"llama4-text-scout", "p45"}, Case{"llama4-text-scout", "p72"},
                    Case{"llama4-text-scout", "chat"}, Case{"llama4-text-maverick", "p5"},
                    Case{"llama4-text-maverick", "p45"}, Case{"llama4-text-maverick", "p72"},
                    Case{"llama4-text-maverick", "chat"}, Case{"llama4-fp8", "p5"},
                    Case{"llama4-fp8", "p45"}, Case{"llama4-fp8", "p72"},
                    Case{"llama4-fp8", "chat"}, Case{"llama4-vision", "text"}));

/// The row forms of head norms and temperatures compute what their names say.
TEST(Llama4, RowFormsGiveTheSameLogits) {
  Model model(open(kOwn));
  mlir::PassManager passes(&model.context);
  passes.addNestedPass<mlir::func::FuncOp>(createLmFormRows());
  ASSERT_TRUE(mlir::succeeded(passes.run(*model.module)));
  std::string text;
  llvm::raw_string_ostream(text) << *model.module;
  EXPECT_EQ(count(text, "lm.qk_norm") + count(text, "lm.temperature %"), 0u);
  EXPECT_EQ(count(text, "= lm.reduce "), 6u + 9u); // of q and k, and of the plain norms
  NamedTensors expected = readGolden(kOwn, "prefill.p45");
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
}

//===----------------------------------------------------------------------===//
// What is declared
//===----------------------------------------------------------------------===//

TEST(Llama4, LayersDiffer) {
  const std::string graph = graphOf(kOwn);
  EXPECT_EQ(count(graph, "= rope "), 6u); // q and k of three layers
  EXPECT_EQ(count(graph, " pairs :"), 6u);
  EXPECT_EQ(count(graph, "= qk_norm "), 6u);
  // The norm follows the rotation. No number shows it, for a rotation keeps a head's length.
  const std::regex normOfRotated("(%\\d+) = rope [^\n]*\n *%\\d+ = qk_norm \\1 ");
  EXPECT_EQ(std::distance(std::sregex_iterator(graph.begin(), graph.end(), normOfRotated), {}), 6);
  EXPECT_EQ(count(graph, "= temperature "), 1u);
  EXPECT_EQ(count(graph, " chunk 32 :"), 3u);
  EXPECT_EQ(count(graph, "= attention "), 4u);
  EXPECT_EQ(count(graph, " top 1 : i32[T, 1], f32[T, 1]"), 4u);
  expectContains(graph, "input %kv_chunked: kv \"chunked\" layers 3 heads 4 dim 24 f32 chunk 32");
  expectContains(graph, "input %kv_full: kv \"full\" layers 1 heads 4 dim 24 f32\n");
  expectContains(graph, "temperature_table temperature attn_scale 0.100000001 floor_scale 8");
  expectContains(graph, "param model.layers.1.feed_forward.experts.up_proj.weight: f32[4, 64, 64] "
                        "from \"model.layers.1.feed_forward.experts.gate_up_proj\" transposed "
                        "from row 64");
}

TEST(Llama4, ModuleNamesTables) {
  const std::string module = dump(kOwn);
  expectContains(module, "lm.role = \"temperature\", lm.temperature = @temperature");
  expectContains(module, "!lm.kv<\"chunked\", kind = 0, layers = 3, heads = 4, dim = 24, f32, "
                         "chunk = 32>");
  expectContains(module, "!lm.kv<\"full\", kind = 1, layers = 1, heads = 4, dim = 24, f32>");
  expectContains(module, " chunked scale 0.204124153 {chunk = 32 : i64}");
  expectContains(module, " causal scale 0.204124153 :");
  expectContains(module, "loc(\"models/llama4/Layers.cpp\":");
}

TEST(Llama4, BothConfigLayoutsGiveOneModule) {
  Copy copy(kOwn);
  const std::string expected = dump(copy.path());
  copy.write("config.json", copy.read("config.v4.json"));
  EXPECT_EQ(dump(copy.path()), expected);
  for (auto [name, other] :
       {std::pair("llama4-text-scout", "config.v5.json"),
        std::pair("llama4-text-maverick", "config.v4.json"),
        std::pair("llama4-fp8", "config.v5.json"), std::pair("llama4-vision", "config.v4.json")}) {
    const std::string folder = folderOf(name);
    if (folder.empty()) {
      std::cout << "skipped: " << name << " is not there\n";
      continue;
    }
    Copy more(folder);
    const std::string first = dump(more.path());
    more.write("config.json", more.read(other));
    EXPECT_EQ(dump(more.path()), first) << name;
  }
}

TEST(Llama4, EveryFieldIsKnown) {
  EXPECT_TRUE(remarksOf(kOwn).empty()) << remarksOf(kOwn)[0];
  for (const char *name : {"llama4-text-scout", "llama4-text-maverick"}) {
    const std::string folder = folderOf(name);
    if (!folder.empty())
      EXPECT_TRUE(remarksOf(folder).empty()) << remarksOf(folder)[0];
  }
}

//===----------------------------------------------------------------------===//
// Ways to write one configuration
//===----------------------------------------------------------------------===//

// Lists of the configuration as the file spells them.
const std::string kNoRope = "\"no_rope_layers\": [\n    1,\n    1,\n    1,\n    0\n  ]";
const std::string kTypes = "\"layer_types\": [\n    \"chunked_attention\",\n    "
                           "\"chunked_attention\",\n    \"chunked_attention\",\n    "
                           "\"full_attention\"\n  ]";
const std::string kMoe = "\"moe_layers\": [\n    0,\n    1,\n    2,\n    3\n  ]";

TEST(Llama4, EqualConfigurationsGiveOneModule) {
  const std::string expected = dump(kOwn);
  const std::pair<std::string, std::string> edits[] = {
      {kNoRope, "\"no_rope_layers\": []"},
      {kNoRope, "\"no_rope_layers\": null"},
      {"\"no_rope_layer_interval\": 4,", ""},
      {kTypes, "\"layer_types\": null"},
      {kMoe, "\"moe_layers\": null"},
      {"\"interleave_moe_layer_step\": 1", "\"interleave_moe_layer_step\": null"},
      {"\"attn_temperature_tuning\": true", "\"attn_temperature_tuning\": 4"},
      {"\"attn_temperature_tuning\": true", "\"attn_temperature_tuning\": null"},
      {"\"num_experts_per_tok\": 1", "\"num_experts_per_tok\": null"},
  };
  for (const auto &[from, to] : edits) {
    Copy copy(kOwn);
    copy.edit(from, to);
    EXPECT_EQ(dump(copy.path()), expected) << to;
  }
}

TEST(Llama4, Variations) {
  Copy copy(kOwn);
  copy.edit("\"attn_temperature_tuning\": true", "\"attn_temperature_tuning\": 0");
  EXPECT_EQ(count(graphOf(copy.path()), "temperature"), 0u);
  copy.edit("\"use_qk_norm\": true", "\"use_qk_norm\": false");
  EXPECT_EQ(count(graphOf(copy.path()), "qk_norm"), 0u);
  copy.edit("\"attention_chunk_size\": 32", "\"attention_chunk_size\": null");
  const std::string full = graphOf(copy.path());
  EXPECT_EQ(count(full, "chunk"), 0u);
  expectContains(full, "input %kv: kv \"full\" layers 4 ");
  copy.edit("\"attention_chunk_size\": null,", "");
  expectContains(graphOf(copy.path()), "chunk 8192"); // what an absent field means
  copy.edit("\"num_experts_per_tok\": 1", "\"num_experts_per_tok\": 3");
  EXPECT_EQ(count(graphOf(copy.path()), " top 3 : i32[T, 3], f32[T, 3]"), 4u);
}

/// moe_layers counts even where the step says something else; that is remarked.
TEST(Llama4, ListedMoeLayersCount) {
  Copy copy(kOwn);
  copy.edit("\"interleave_moe_layer_step\": 1", "\"interleave_moe_layer_step\": 2");
  const std::vector<std::string> remarks = remarksOf(copy.path());
  ASSERT_EQ(remarks.size(), 1u);
  expectContains(remarks[0], "moe_layers counts, interleave_moe_layer_step");
  EXPECT_EQ(count(graphOf(copy.path()), "= experts "), 4u);
}

TEST(Llama4, ContradictionsAreErrors) {
  const std::pair<std::pair<std::string, std::string>, const char *> cases[] = {
      {{kNoRope, "\"no_rope_layers\": [1, 1, 0, 1]"},
       "field \"no_rope_layers\": found 0 for layer 2, expected what no_rope_layer_interval, 4"},
      {{kNoRope, "\"no_rope_layers\": [1, 1, 0]"}, "none, or one for each of 4 layers"},
      {{kNoRope, "\"no_rope_layers\": [1, 1, 1, 2]"}, "from 0 to 1"},
      {{"\"full_attention\"", "\"chunked_attention\""}, "expected full_attention"},
      {{"\"attn_temperature_tuning\": true", "\"attn_temperature_tuning\": \"yes\""},
       "expected true, false or an integer"},
      {{"\"attention_chunk_size\": 32", "\"attention_chunk_size\": 0"}, "from 1 to"},
      {{"\"num_experts_per_tok\": 1", "\"num_experts_per_tok\": 5"}, "from 1 to 4"},
      {{"\"floor_scale\": 8", "\"floor_scale\": 0"}, "from 1 to"},
      {{kMoe, "\"moe_layers\": [0, 1, 2, 4]"}, "from 0 to 3"},
      {{kMoe, "\"moe_layers\": [0, 1, 3]"}, "feed_forward.gate_proj.weight"},
      {{"\"num_local_experts\": 4", "\"num_local_experts\": 8"}, "found [4, 64], expected [8, 64]"},
      {{"\"intermediate_size\": 64", "\"intermediate_size\": 60"}, "expected [60, 64]"},
      {{"\"num_hidden_layers\": 4", "\"num_hidden_layers\": 3"}, "\"moe_layers\""},
      {{"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\""}, "\"hidden_act\""},
  };
  for (const auto &[edit, expected] : cases) {
    Copy copy(kOwn);
    copy.edit(edit.first, edit.second);
    expectContains(errorOf(copy.path()), expected);
  }
}

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

TEST(Llama4, MissingTensorNamesTheNearest) {
  Copy copy(kOwn);
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == "model.layers.2.feed_forward.experts.gate_up_proj")
        tensor.name = "model.layers.2.feed_forward.experts.gateup_proj";
  });
  const std::string error = errorOf(copy.path());
  expectContains(error, "models/llama4/Layers.cpp:");
  expectContains(error, "no tensor \"model.layers.2.feed_forward.experts.gate_up_proj\"");
  expectContains(error, "nearest name is \"model.layers.2.feed_forward.experts.gateup_proj\"");
}

TEST(Llama4, FusedExpertsOfAnotherShapeAreAnError) {
  Copy copy(kOwn);
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == "model.layers.0.feed_forward.experts.gate_up_proj")
        tensor.shape = {4, 128, 64};
  });
  expectContains(errorOf(copy.path()), "found [4, 128, 64], expected [4, 64, 128]");
}

/// A slice [expert, :, from : from + outputs] of a fused tensor [E, inputs, columns], transposed.
std::vector<float> expertMatrix(const SafetensorsTensor &fused, int64_t expert, int64_t from,
                                int64_t outputs) {
  const int64_t inputs = fused.shape[1], columns = fused.shape[2];
  std::vector<float> matrix;
  for (int64_t out = 0; out < outputs; ++out)
    for (int64_t in = 0; in < inputs; ++in) {
      float value;
      const int64_t at = (expert * inputs + in) * columns + from + out;
      std::memcpy(&value, fused.bytes.data() + at * 4, 4);
      matrix.push_back(value);
    }
  return matrix;
}

/// The fused experts taken apart give the same logits.
TEST(Llama4, PerExpertTensors) {
  Copy copy(kOwn);
  std::list<std::vector<float>> storage;
  copy.rewrite([&](std::vector<SafetensorsTensor> &tensors) {
    std::vector<SafetensorsTensor> result;
    auto add = [&](const SafetensorsTensor &fused, const std::string &name, int64_t from,
                   int64_t outputs) {
      for (int64_t expert = 0; expert < fused.shape[0]; ++expert) {
        storage.push_back(expertMatrix(fused, expert, from, outputs));
        result.push_back({fused.name.substr(0, fused.name.rfind('.') + 1) + std::to_string(expert) +
                              "." + name + ".weight",
                          DType::F32,
                          {outputs, fused.shape[1]},
                          std::as_bytes(std::span(storage.back()))});
      }
    };
    for (const SafetensorsTensor &tensor : tensors) {
      if (tensor.name.ends_with("experts.gate_up_proj")) {
        add(tensor, "gate_proj", 0, tensor.shape[2] / 2);
        add(tensor, "up_proj", tensor.shape[2] / 2, tensor.shape[2] / 2);
      } else if (tensor.name.ends_with("experts.down_proj")) {
        add(tensor, "down_proj", 0, tensor.shape[2]);
      } else {
        result.push_back(tensor);
      }
    }
    tensors = result;
  });
  expectContains(graphOf(copy.path()), "\"model.layers.1.feed_forward.experts.*.up_proj.weight\"");
  NamedTensors expected = readGolden(kOwn, "prefill.p5");
  Model model(open(copy.path()));
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
}

TEST(Llama4, UnknownTensorNamesTheNearest) {
  Copy copy(kOwn);
  static const float kOne[1] = {1.0f};
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    tensors.push_back({"model.layers.1.feed_forward.router.bias",
                       DType::F32,
                       {1},
                       std::as_bytes(std::span(kOne))});
  });
  const std::string error = errorOf(copy.path());
  expectContains(error, "\"model.layers.1.feed_forward.router.bias\"");
  expectContains(error, "nearest name it uses is \"model.layers.1.feed_forward.router.weight\"");
}

TEST(Llama4, TextOfAMultimodalCheckpoint) {
  NEED(folder, "llama4-vision");
  const std::vector<std::string> remarks = remarksOf(folder);
  ASSERT_EQ(remarks.size(), 1u) << remarks[0];
  expectContains(remarks[0], "tensors of the vision part are left out (vision_model.*, "
                             "multi_modal_projector.*)");
  expectContains(graphOf(folder), "param model.norm.weight: bf16[96] from "
                                  "\"language_model.model.norm.weight\"");
  Copy copy(folder);
  copy.edit("\"tie_word_embeddings\": false,\n  \"transformers_version\"",
            "\"tie_word_embeddings\": true,\n  \"transformers_version\"");
  expectContains(errorOf(copy.path()), "what text_config says");
}

//===----------------------------------------------------------------------===//
// FP8
//===----------------------------------------------------------------------===//

TEST(Llama4, Fp8TakesTheComputeType) {
  NEED(folder, "llama4-fp8");
  const std::string param =
      "param model.layers.1.feed_forward.experts.up_proj.weight: f32[8, 64, 128] from "
      "\"model.layers.1.feed_forward.experts.*.up_proj.weight\" times "
      "\"model.layers.1.feed_forward.experts.*.up_proj.weight_scale\"";
  expectContains(graphOf(folder), param);
  models::ModelOptions options;
  options.compute = "bfloat16";
  expectContains(graphOf(folder, options),
                 "experts.up_proj.weight: bf16[8, 64, 128] from \"model.layers.1.");
  std::string all;
  for (const std::string &remark : remarksOf(folder))
    all += remark + "\n";
  expectContains(all, "72 tensors are stored as f8_e4m3, which the artifact doesn't have; they "
                      "become f32\n");
  EXPECT_EQ(count(all, "\n"), 2u) << all;
}

TEST(Llama4, Fp8ModulesMayBeIgnoredByPatterns) {
  NEED(folder, "llama4-fp8");
  const std::string expected = dump(folder);
  const std::string group = "{\"targets\": [\"re:.*none\"], \"weights\": {\"num_bits\": 8, "
                            "\"type\": \"float\", \"strategy\": \"tensor\"}}";
  for (const auto &[from, to] :
       {std::pair<std::string, std::string>("\"ignore\": [",
                                            "\"ignore\": [\"re:.*self_attn.*\", \"re:lm_head\","),
        {"\"group_0\": {", "\"group_1\": " + group + ", \"group_0\": {"}}) {
    Copy copy(folder);
    copy.edit(from, to);
    EXPECT_EQ(dump(copy.path()), expected) << to;
  }
}

TEST(Llama4, Fp8ContradictionsAreErrors) {
  NEED(folder, "llama4-fp8");
  const std::string expert = "model.layers.3.feed_forward.experts.5.up_proj.weight";
  const struct {
    const char *from, *to, *expected;
  } cases[] = {
      {"\"quant_method\": \"compressed-tensors\"", "\"quant_method\": \"other\"",
       "expected compressed-tensors"},
      {"\"format\": \"float-quantized\"", "\"format\": \"int-quantized\"",
       "expected float-quantized"},
      {"\"format\": \"float-quantized\"", "\"format\": \"pack-quantized\"",
       "found the text \"float\", expected int"},
      {"\"strategy\": \"channel\"", "\"strategy\": \"block\"", "expected channel or tensor"},
      {"\"quantization_config\"", "\"other_config\"", "that quantization_config describes"},
      {"\"ignore\": [", "\"ignore\": [\"model.layers.3.feed_forward.experts.5.up_proj\",",
       "lists its module in \"ignore\""},
      {"\"ignore\": [", "\"ignore\": [\"re:.*experts.\\\\d+.up_proj$\",",
       "lists its module in \"ignore\""},
      {"\"ignore\": [", "\"ignore\": [\"re:.*(up|down)_proj\",",
       "found the pattern \"re:.*(up|down)_proj\", expected characters"},
      {"\"group_0\": {", "\"group_1\": {\"weights\": {\"num_bits\": 4}}, \"group_0\": {",
       "group_1.weights.num_bits\": found 4"},
  };
  for (const auto &[from, to, expected] : cases) {
    Copy copy(folder);
    copy.edit(from, to);
    expectContains(errorOf(copy.path()), expected);
  }
  Copy copy(folder);
  copy.rewrite([&](std::vector<SafetensorsTensor> &tensors) {
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == expert + "_scale")
        tensor.name = expert + "_scales";
  });
  expectContains(errorOf(copy.path()), "no tensor \"" + expert + "_scale\"");
}

} // namespace
