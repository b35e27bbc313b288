//===- Llama3Test.cpp - Llama 3 declared, imported and interpreted --------===//
//
// Against outputs of an independent implementation (transformers, float32) on small checkpoints of
// the real layout.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/PackRounding.h"
#include "models/Rope.h"
#include "models/llama3/Weights.h"
#include "test/models/Support.h"

#include <numbers>

using namespace llama4;
using namespace llama4::test;

namespace {

const std::string kOracles = LLAMA4_TEST_DATA "/oracles/";

NamedTensors golden(const std::string &model, const std::string &name) {
  return readGolden(kOracles + model, name);
}

struct Case {
  const char *model, *prompt;
};
void PrintTo(const Case &c, std::ostream *out) { *out << c.model << ":" << c.prompt; }

class Oracle : public testing::TestWithParam<Case> {};

TEST_P(Oracle, Prefill) {
  const auto [name, prompt] = GetParam();
  Model model(open(kOracles + name));
  NamedTensors expected = golden(name, std::string("prefill.") + prompt);
  // hidden.k: the embeddings, then the second sum of every layer.
  std::map<std::string, HostTensor> sums, attended;
  HostTensor embedded, normed;
  model.interpreter->setObserver([&](const TraceName &trace, const HostTensor &value) {
    if (trace.op == "embed")
      embedded = value;
    if (trace.op == "add")
      sums[trace.path] = value;
    if (trace.path.ends_with("self_attn.o_proj"))
      attended[trace.path] = value;
  });
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
  expectNear(embedded, expected.at("hidden.0"), 0, 0);
  ASSERT_GE(sums.size(), 4u);
  for (size_t layer = 0; layer < sums.size(); ++layer) {
    const std::string path = "model.layers." + std::to_string(layer);
    expectNear(sums.at(path), expected.at("hidden." + std::to_string(layer + 1)), 1e-4f, 1e-4f);
    expectNear(attended.at(path + ".self_attn.o_proj"),
               expected.at("attn_out." + std::to_string(layer)), 1e-4f, 1e-4f);
  }
}

TEST_P(Oracle, GreedyWithCachedKeysAndValues) {
  const auto [name, prompt] = GetParam();
  Model model(open(kOracles + name));
  std::vector<int32_t> ids = golden(name, std::string("prefill.") + prompt).at("input_ids").ints;
  NamedTensors expected = golden(name, std::string("greedy.") + prompt);
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
    Llama3, Oracle,
    testing::Values(Case{"llama3-text-tied", "p5"}, Case{"llama3-text-tied", "p45"},
                    Case{"llama3-text-tied", "chat"}, Case{"llama3-text-untied", "p5"},
                    Case{"llama3-text-untied", "p45"}, Case{"llama3-text-untied", "chat"}));

/// Chunks of several sequences in one step give what each sequence gives alone.
TEST(Llama3, RaggedStep) {
  Model model(open(kOracles + "llama3-text-untied"));
  const std::vector<int32_t> a = golden("llama3-text-untied", "prefill.p45").at("input_ids").ints;
  HostTensor expectedA = golden("llama3-text-untied", "prefill.p45").at("logits");
  const std::vector<int32_t> b = golden("llama3-text-untied", "prefill.p5").at("input_ids").ints;
  HostTensor expectedB = golden("llama3-text-untied", "prefill.p5").at("logits");
  // First step: 20 tokens of a. Second: 10 of a and all of b.
  auto step = [&](std::vector<int32_t> ids, Batch batch) {
    auto logits = runTokens(*model.interpreter, ids, batch);
    EXPECT_TRUE(logits.ok()) << logits.status().message();
    return logits.take();
  };
  Batch first, second;
  for (int64_t p = 0; p < 20; ++p)
    first.positions.push_back(p), first.sequences.push_back(7);
  step({a.begin(), a.begin() + 20}, first);
  std::vector<int32_t> ids(a.begin() + 20, a.begin() + 30);
  for (int64_t p = 20; p < 30; ++p)
    second.positions.push_back(p), second.sequences.push_back(7);
  ids.insert(ids.end(), b.begin(), b.end());
  for (size_t p = 0; p < b.size(); ++p)
    second.positions.push_back(static_cast<int64_t>(p)), second.sequences.push_back(2);
  HostTensor logits = step(ids, second);
  for (int64_t row = 0; row < 10; ++row)
    for (int64_t v = 0; v < logits.columns(); ++v)
      ASSERT_NEAR(logits.row(row)[v], expectedA.row(20 + row)[v], 2e-4f);
  for (size_t row = 0; row < b.size(); ++row)
    for (int64_t v = 0; v < logits.columns(); ++v)
      ASSERT_NEAR(logits.row(10 + static_cast<int64_t>(row))[v],
                  expectedB.row(static_cast<int64_t>(row))[v], 2e-4f);
}

//===----------------------------------------------------------------------===//
// Variations of a checkpoint folder
//===----------------------------------------------------------------------===//

TEST(Llama3, BothConfigLayoutsGiveOneModule) {
  for (auto [name, other] : {std::pair("llama3-text-tied", "config.v4.json"),
                             std::pair("llama3-text-untied", "config.v5.json")}) {
    Copy copy(kOracles + name);
    const std::string expected = dump(copy.path());
    copy.write("config.json", copy.read(other));
    EXPECT_EQ(dump(copy.path()), expected);
  }
}

TEST(Llama3, LocationsNameSourceAndModule) {
  const std::string text = dump(kOracles + "llama3-text-tied");
  expectContains(text, "loc(\"models/llama3/Layers.cpp\":");
  expectContains(text, "loc(\"model.layers.0.self_attn.q_proj\"(");
  EXPECT_EQ(text.find("/models/llama3"), std::string::npos) << "an absolute path";
}

TEST(Llama3, EveryFieldIsKnown) {
  for (const char *name : {"llama3-text-tied", "llama3-text-untied"}) {
    Checkpoint checkpoint = open(kOracles + name);
    auto graph = models::buildModel(checkpoint, {});
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    EXPECT_TRUE((*graph)->remarks().empty()) << (*graph)->remarks()[0];
    EXPECT_EQ(std::get<int64_t>((*graph)->model["bos_id"]), 501);
    EXPECT_EQ(std::get<std::vector<int64_t>>((*graph)->model["stop_ids"]),
              (std::vector<int64_t>{502, 509, 510}));
  }
}

TEST(Llama3, UnknownFieldIsARemark) {
  Copy copy(kOracles + "llama3-text-tied");
  copy.edit("\"mlp_bias\": false", "\"mlp_bias\": false, \"new_trick\": 3");
  Checkpoint checkpoint = open(copy.path());
  auto graph = models::buildModel(checkpoint, {});
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  ASSERT_EQ((*graph)->remarks().size(), 1u);
  expectContains((*graph)->remarks()[0], "\"new_trick\"");
}

TEST(Llama3, MissingTensorNamesTheNearest) {
  Copy copy(kOracles + "llama3-text-tied");
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == "model.layers.2.mlp.up_proj.weight")
        tensor.name = "model.layers.2.mlp.upp_proj.weight";
  });
  const std::string error = errorOf(copy.path());
  expectContains(error, "models/llama3/Layers.cpp:");
  expectContains(error, "no tensor \"model.layers.2.mlp.up_proj.weight\"");
  expectContains(error, "nearest name is \"model.layers.2.mlp.upp_proj.weight\"");
}

TEST(Llama3, UnknownTensorNamesTheNearest) {
  Copy copy(kOracles + "llama3-text-tied");
  static const float kOne[1] = {1.0f};
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    tensors.push_back({"model.layers.1.self_attn.q_norm.weight",
                       DType::F32,
                       {1},
                       std::as_bytes(std::span(kOne))});
  });
  const std::string error = errorOf(copy.path());
  expectContains(error, "\"model.layers.1.self_attn.q_norm.weight\"");
  expectContains(error, "nearest name it uses is \"model.layers.1.self_attn.q_proj.weight\"");
}

TEST(Llama3, SuperfluousTensorsAreIgnored) {
  Copy copy(kOracles + "llama3-text-tied");
  const std::string expected = dump(copy.path());
  static const float kOnes[16] = {};
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    tensors.push_back({"model.layers.1.self_attn.rotary_emb.inv_freq",
                       DType::F32,
                       {16},
                       std::as_bytes(std::span(kOnes))});
    tensors.push_back({"lm_head.weight", DType::F32, {16}, std::as_bytes(std::span(kOnes))});
  });
  EXPECT_EQ(dump(copy.path()), expected);
}

TEST(Llama3, ContradictionsAreErrors) {
  const struct {
    const char *from, *to, *expected;
  } cases[] = {
      {"\"intermediate_size\": 256", "\"intermediate_size\": 250",
       "found [256, 128], expected [250, 128]"},
      {"\"num_key_value_heads\": 1", "\"num_key_value_heads\": 3", "a divisor of"},
      {"\"num_hidden_layers\": 6", "\"num_hidden_layers\": 5", "model.layers.5."},
      {"\"head_dim\": 32", "\"head_dim\": 31", "an even number"},
      {"\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "\"hidden_act\""},
      {"\"attention_bias\": false", "\"attention_bias\": true", "q_proj.bias"},
      {"\"LlamaForCausalLM\"", "\"Other\"", "expected one of LlamaForCausalLM"},
      {"\"rope_type\": \"llama3\"", "\"rope_type\": \"yarn\"", "\"yarn\""},
  };
  for (const auto &[from, to, expected] : cases) {
    Copy copy(kOracles + "llama3-text-tied");
    copy.edit(from, to);
    expectContains(errorOf(copy.path()), expected);
  }
  models::ModelOptions options;
  options.maxLength = 1025;
  expectContains(errorOf(kOracles + "llama3-text-tied", options),
                 "max-length: found 1025, expected 1 to 1024");
}

/// head_dim absent: hidden_size / num_attention_heads, which it is here.
TEST(Llama3, HeadDimIsDerived) {
  Copy copy(kOracles + "llama3-text-tied");
  const std::string expected = dump(copy.path());
  copy.edit("\"head_dim\": 32,", "");
  EXPECT_EQ(dump(copy.path()), expected);
}

/// Biases on every projection: zero ones change nothing, others shift.
TEST(Llama3, Biases) {
  Copy copy(kOracles + "llama3-text-tied");
  copy.edit("\"attention_bias\": false", "\"attention_bias\": true");
  copy.edit("\"mlp_bias\": false", "\"mlp_bias\": true");
  static std::vector<float> zeros(512);
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    for (size_t i = 0, count = tensors.size(); i < count; ++i) {
      const std::string name = tensors[i].name;
      const size_t at = name.find("_proj.weight");
      if (at == std::string::npos)
        continue;
      const int64_t rows = tensors[i].shape[0];
      tensors.push_back({name.substr(0, at) + "_proj.bias",
                         DType::F32,
                         {rows},
                         std::as_bytes(std::span(zeros).first(static_cast<size_t>(rows)))});
    }
  });
  NamedTensors expected = golden("llama3-text-tied", "prefill.p5");
  Model model(open(copy.path()));
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  expectNear(logits, expected.at("logits"), 2e-4f, 0);
  copy.rewrite([](std::vector<SafetensorsTensor> &tensors) {
    static std::vector<float> ones(512, 0.5f);
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == "model.layers.0.mlp.down_proj.bias")
        tensor.bytes = std::as_bytes(std::span(ones)).first(tensor.bytes.size());
  });
  Model shifted(open(copy.path()));
  HostTensor other = shifted.run(expected.at("input_ids").ints, 0);
  EXPECT_GT(std::fabs(other.values[0] - logits.values[0]), 1e-3f);
}

//===----------------------------------------------------------------------===//
// Rotary frequencies
//===----------------------------------------------------------------------===//

TEST(Llama3, EqualFrequencyFactorsHaveNoBand) {
  RopeParameters rope;
  rope.scaling = RopeScaling::Llama3;
  rope.factor = 8;
  rope.lowFreqFactor = rope.highFreqFactor = 1;
  rope.originalMaxPositionEmbeddings = 100;
  std::vector<float> invFreq = {1.0f, 0.0628f, 0.0629f, 0.01f};
  models::scaleLlama3(rope, invFreq);
  // Wavelengths 6.28, 100.05, 99.9 and 628: those above 100 are divided.
  EXPECT_EQ(invFreq, (std::vector<float>{1.0f, 0.0628f / 8, 0.0629f, 0.01f / 8}));
  // A wavelength that is the limit itself: a band of no width divides nothing by its width.
  const float wavelength = 2 * std::numbers::pi_v<float>;
  rope.lowFreqFactor = rope.highFreqFactor = 100 / static_cast<double>(wavelength);
  invFreq = {1.0f};
  models::scaleLlama3(rope, invFreq);
  EXPECT_EQ(invFreq[0], 1.0f);
}

TEST(Llama3, SmoothBand) {
  RopeParameters rope;
  rope.scaling = RopeScaling::Llama3;
  rope.factor = 8;
  rope.lowFreqFactor = 1;
  rope.highFreqFactor = 4;
  rope.originalMaxPositionEmbeddings = 100;
  const float wavelength = 50.0f;
  std::vector<float> invFreq = {2 * 3.14159265f / wavelength};
  models::scaleLlama3(rope, invFreq);
  const double blend = (100.0 / 50.0 - 1) / 3;
  EXPECT_NEAR(invFreq[0], (1 - blend) * 0.12566371 / 8 + blend * 0.12566371, 1e-7);
}

//===----------------------------------------------------------------------===//
// GGUF
//===----------------------------------------------------------------------===//

TEST(Llama3, GgufNames) {
  EXPECT_EQ(llama3::ggufName("model.embed_tokens.weight"), "token_embd.weight");
  EXPECT_EQ(llama3::ggufName("model.norm.weight"), "output_norm.weight");
  EXPECT_EQ(llama3::ggufName("lm_head.weight"), "output.weight");
  EXPECT_EQ(llama3::ggufName("model.layers.12.self_attn.o_proj.bias"), "blk.12.attn_output.bias");
  EXPECT_EQ(llama3::ggufName("model.layers.3.post_attention_layernorm.weight"),
            "blk.3.ffn_norm.weight");
  EXPECT_EQ(llama3::ggufName("model.layers.3.other.weight"), "");
}

/// A linear weight as FP8 numbers, all of them 1.5, with one scale per row.
TEST(Llama3, Fp8WeightsAreNumbersTimesScales) {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  Copy copy(kOracles + "llama3-text-tied");
  copy.edit("\"hidden_act\"",
            "\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"format\": "
            "\"float-quantized\", \"ignore\": [\"lm_head\"], \"config_groups\": {\"group_0\": "
            "{\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": 8, \"type\": \"float\", "
            "\"strategy\": \"channel\"}}}}, \"hidden_act\"");
  const std::vector<std::byte> ones(256 * 128, std::byte{0x3c}); // 1.5 in e4m3
  const std::vector<float> scales(256, 0.25f);
  copy.rewrite([&](std::vector<SafetensorsTensor> &tensors) {
    for (SafetensorsTensor &tensor : tensors)
      if (tensor.name == name)
        tensor = {name, DType::F8E4M3, {256, 128}, ones};
    tensors.push_back({name + "_scale", DType::F32, {256, 1}, std::as_bytes(std::span(scales))});
  });
  Checkpoint checkpoint = open(copy.path());
  models::ModelOptions options;
  for (const auto &[compute, element] :
       {std::pair("float32", "f32"), std::pair("bfloat16", "bf16")}) {
    options.compute = compute;
    auto graph = models::buildModel(checkpoint, options);
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    expectContains(dumpGraph(**graph), "param " + name + ": " + element + "[256, 128] from \"" +
                                           name + "\" times \"" + name + "_scale\"");
    ASSERT_EQ((*graph)->remarks().size(), 1u);
    expectContains((*graph)->remarks()[0], "1 tensors are stored as f8_e4m3");
  }
  ParamRequest request{{name, name, 0, {256, 128}}, Element::F32};
  request.scale = name + "_scale";
  auto values = CheckpointParams(checkpoint).read(request);
  ASSERT_TRUE(values.ok()) << values.status().message();
  EXPECT_EQ(values->values, std::vector<float>(256 * 128, 1.5f * 0.25f));
}

/// GGUF row order undone: heads of 32, (first, second) halves stored side by side.
TEST(Llama3, UnpermutedRows) {
  Checkpoint checkpoint = open(kOracles + "llama3-text-tied");
  CheckpointParams params(checkpoint);
  ParamRequest request{{"q", "model.layers.0.self_attn.q_proj.weight", 0, {128, 128}},
                       Element::BF16};
  auto stored = params.read(request);
  request.unpermuteHeads = 4;
  auto rows = params.read(request);
  ASSERT_TRUE(stored.ok() && rows.ok()) << rows.status().message();
  const std::pair<int64_t, int64_t> expected[] = {{0, 0},  {1, 2},   {15, 30}, {16, 1},
                                                  {17, 3}, {31, 31}, {33, 34}, {48, 33}};
  for (auto [row, from] : expected)
    EXPECT_TRUE(std::ranges::equal(rows->row(row), stored->row(from))) << row;
  request.unpermuteHeads = 3;
  EXPECT_FALSE(params.read(request).ok());
}

TEST(Llama3, ParametersAreRoundedToTheirFormat) {
  Checkpoint checkpoint = open(kOracles + "llama3-text-tied");
  ParamRequest request{{"n", "model.layers.0.mlp.up_proj.weight", 0, {256, 128}}, Element::Q8_0};
  expectContains(CheckpointParams(checkpoint).read(request).status().message(),
                 "no quantizer for q8_0");
  auto rounded = CheckpointParams(checkpoint, packRounding()).read(request);
  request.element = Element::F32;
  auto stored = CheckpointParams(checkpoint).read(request);
  ASSERT_TRUE(rounded.ok() && stored.ok()) << rounded.status().message();
  float largest = 0;
  for (float value : stored->row(0).first(32))
    largest = std::max(largest, std::fabs(value));
  // Half a step of the block's scale, and the scale's own rounding to 16 bits.
  float error = 0;
  for (size_t j = 0; j < 32; ++j)
    error = std::max(error, std::fabs(rounded->row(0)[j] - stored->row(0)[j]));
  EXPECT_LE(error, largest / 127 * 0.51f + largest / 2048);
  EXPECT_GT(error, 0.0f);
  request.shape = {256, 127};
  expectContains(CheckpointParams(checkpoint).read(request).status().message(), "found [256, 128]");
}

/// SmolLM2 from its GGUF file; the hidden states come from transformers on the decoded weights.
TEST(Llama3, SmolLm2) {
  const char *path = std::getenv("LLAMA4_SMOLLM2");
  if (!path)
    GTEST_SKIP() << "LLAMA4_SMOLLM2 names no file";
  if (!fs::exists(kOracles + "smollm2/prefill.story.safetensors"))
    GTEST_SKIP() << "no expected values";
  Model model(open(path));
  auto read = readTensors(kOracles + "smollm2/prefill.story.safetensors");
  ASSERT_TRUE(read.ok()) << read.status().message();
  NamedTensors expected = read.take();
  HostTensor logits = model.run(expected.at("input_ids").ints, 0);
  const int64_t last = logits.rows() - 1;
  for (int64_t v = 0; v < logits.columns(); ++v)
    ASSERT_NEAR(logits.row(last)[v], expected.at("last_logits").values[v], 1e-3f);
}

} // namespace
