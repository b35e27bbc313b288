//===- ConfigTest.cpp - typed access to configurations --------------------===//

#include "compiler/checkpoint/Config.h"
#include "compiler/checkpoint/Gguf.h"
#include "compiler/checkpoint/Json.h"
#include "test/checkpoint/TestFiles.h"

#include <cmath>

using namespace llama4;
using namespace llama4::test;

namespace {

Config parse(const std::string &text) {
  auto config = Config::parse(text, "config.json");
  EXPECT_TRUE(config.ok()) << config.status().message();
  return config.take();
}

TEST(Config, ReadsTypedFields) {
  Config config = parse(R"({"n": 6, "eps": 1e-05, "one": 1, "tie": true, "act": "silu",
                            "eos": [502, 509], "bos": 501, "none": null, "names": ["a", "b"]})");
  EXPECT_EQ(*config.integer("n", 1, 10), 6);
  EXPECT_EQ(*config.integer("absent", 1, 10, 3), 3);
  EXPECT_EQ(*config.integer("none", 1, 10, 3), 3);
  EXPECT_DOUBLE_EQ(*config.number("eps", 0, 1), 1e-5);
  EXPECT_DOUBLE_EQ(*config.number("one", 0, 1), 1.0);
  EXPECT_TRUE(*config.boolean("tie"));
  EXPECT_EQ(*config.string("act"), "silu");
  EXPECT_EQ(*config.integers("eos", 0, 1000), (std::vector<int64_t>{502, 509}));
  EXPECT_EQ(*config.integers("bos", 0, 1000), (std::vector<int64_t>{501}));
  EXPECT_TRUE(config.integers("absent", 0, 1)->empty());
  EXPECT_EQ(*config.strings("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(config.has("n"));
  EXPECT_FALSE(config.has("none"));
}

TEST(Config, RefusesValuesOutsideTheirRange) {
  Config config = parse(R"({"num_hidden_layers": 1000000000, "head_dim": 0, "neg": -1,
      "big": 18446744073709551615, "frac": 1.5, "text": "7", "list": [1, 2, "x"], "o": {}})");
  struct Case {
    Status status;
    const char *part;
  };
  const Case cases[] = {
      {config.integer("num_hidden_layers", 1, 1024).status(),
       "\"num_hidden_layers\": found 1000000000"},
      {config.integer("head_dim", 1, 1024).status(), "\"head_dim\": found 0"},
      {config.integer("neg", 0, 9).status(), "found -1"},
      {config.integer("big", 0, 9).status(), "found 18446744073709551615"},
      {config.integer("frac", 0, 9).status(), "found 1.5"},
      {config.integer("text", 0, 9).status(), "found the text \"7\""},
      {config.integer("list", 0, 9).status(), "found a list"},
      {config.integer("absent", 0, 9).status(), "no such field"},
      {config.integers("list", 0, 9).status(), "found the text \"x\""},
      {config.integers("o", 0, 9).status(), "found an object"},
      {config.number("neg", 0, 1).status(), "found -1"},
      {config.number("text", 0, 1).status(), "expected a number"},
      {config.boolean("neg").status(), "true or false"},
      {config.string("neg").status(), "expected a text"},
      {config.strings("list").status(), "list of texts"},
      {config.section("neg").status(), "expected an object"},
      {config.section("absent").status(), "no such field"},
  };
  for (const Case &c : cases) {
    expectRefused(c.status, c.part, c.part);
    expectRefused(c.status, "config.json: field", "file and field");
    EXPECT_EQ(c.status.exitCode(), 65);
  }
}

TEST(Config, RefusesHostileDocuments) {
  std::string deep;
  for (int i = 0; i < 100000; ++i)
    deep += "{\"a\":";
  struct Case {
    const char *what;
    std::string text;
    const char *part;
  };
  const Case cases[] = {
      {"empty", "", "not JSON"},
      {"a list", "[1]", "no object"},
      {"cut", "{\"a\": 1", "not JSON"},
      {"NaN theta", "{\"rope_theta\": NaN}", "NaN"},
      {"infinite theta", "{\"rope_theta\": 1e999}", "not JSON"},
      {"depth bomb", deep, "nesting"},
      {"duplicate key", "{\"head_dim\": 16, \"head_dim\": 64}", "twice"},
      {"NUL", std::string("{\"a\": 1}\0{", 10), "NUL"},
      {"trailing text", "{} {}", "not JSON"},
      {"bad UTF-8", "{\"a\": \"\xff\"}", "not JSON"},
      {"comment", "{/* */}", "not JSON"},
  };
  for (const Case &c : cases)
    expectRefused(Config::parse(c.text, "config.json").status(), c.part, c.what);
}

TEST(Config, JsonKeepsNestingOrderAndSiblings) {
  auto root = parseJsonObject(R"({"a": [{"b": [1, [2, 3]]}, {"c": {}}, []], "d": "e"})", "x");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->dump(), R"({"a":[{"b":[1,[2,3]]},{"c":{}},[]],"d":"e"})");
}

TEST(Config, NamesFieldsNobodyRead) {
  Config config = parse(R"({"read": 1, "left": 2, "known": 3, "empty": null,
      "text_config": {"n": 1, "m": 2, "rope": {"x": 1}}, "vision_config": {"a": 1, "b": 2}})");
  EXPECT_EQ(*config.integer("read", 0, 9), 1);
  config.acknowledge({"known", "not_there"});
  auto text = config.section("text_config");
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(*text->integer("n", 0, 9), 1);
  ASSERT_TRUE(text->section("rope").ok());
  EXPECT_EQ(
      config.unreadFields(),
      (std::vector<std::string>{"left", "text_config.m", "text_config.rope.x", "vision_config"}));
  expectRefused(text->integer("m", 5, 9).status(), "\"text_config.m\"", "path of a section");
}

TEST(Config, BothRopeLayoutsMeanTheSame) {
  for (const char *name : {"llama3-text-tied/config.json", "llama3-text-tied/config.v4.json"}) {
    Config config = parse(readFile(std::string(LLAMA4_TEST_DATA "/oracles/") + name));
    auto rope = config.rope(500000);
    ASSERT_TRUE(rope.ok()) << rope.status().message();
    EXPECT_EQ(rope->theta, 10000);
    EXPECT_EQ(rope->scaling, RopeScaling::Llama3);
    EXPECT_EQ(rope->factor, 32);
    EXPECT_EQ(rope->lowFreqFactor, 1);
    EXPECT_EQ(rope->highFreqFactor, 4);
    EXPECT_EQ(rope->originalMaxPositionEmbeddings, 64);
    EXPECT_EQ(**config.dtype(), DType::BF16);
    for (const std::string &field : config.unreadFields())
      EXPECT_TRUE(field.find("rope") == std::string::npos &&
                  field.find("dtype") == std::string::npos)
          << field;
  }
}

TEST(Config, RopeCornerCases) {
  EXPECT_EQ(parse("{}").rope(500000)->theta, 500000);
  EXPECT_EQ(parse("{\"rope_scaling\": null}").rope(1e4)->scaling, RopeScaling::None);
  EXPECT_EQ(parse("{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2}}").rope(1e4)->factor,
            2);
  auto scout = parse(R"({"rope_scaling": {"factor": 16.0, "high_freq_factor": 1.0,
      "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}})")
                   .rope(5e5);
  ASSERT_TRUE(scout.ok()) << "an empty band is legal";
  struct Case {
    const char *text;
    const char *part;
  };
  const Case cases[] = {
      {R"({"rope_theta": 0})", "\"rope_theta\": found 0"},
      {R"({"rope_theta": -10000.0})", "found -10000.0"},
      {R"({"rope_theta": "10000"})", "found the text"},
      {R"({"rope_parameters": {"rope_theta": 1e-9}})", "\"rope_parameters.rope_theta\""},
      {R"({"rope_theta": 10000, "rope_parameters": {"rope_theta": 500000}})", "outer"},
      {R"({"rope_scaling": {"rope_type": "yarn", "factor": 4}})", "\"yarn\""},
      {R"({"rope_scaling": {"rope_type": "llama3"}})", "\"rope_scaling.factor\""},
      {R"({"rope_scaling": {"rope_type": "linear", "factor": 0}})", "found 0"},
      {R"({"rope_scaling": 7})", "an object"},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
           "high_freq_factor": 1, "original_max_position_embeddings": 32}})",
       "at most high_freq_factor"},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1,
           "high_freq_factor": 4, "original_max_position_embeddings": 0}})",
       "original_max_position_embeddings"},
  };
  for (const Case &c : cases)
    expectRefused(parse(c.text).rope(1e4).status(), c.part, c.text);
  expectRefused(parse(R"({"torch_dtype": "int3"})").dtype().status(), "int3", "dtype");
}

/// The configuration of a GGUF file that `builder` makes.
Result<Config> fromGguf(const GgufBuilder &builder) {
  const std::string file = builder.bytes();
  auto gguf = Gguf::parse(bytesOf(file));
  EXPECT_TRUE(gguf.ok()) << gguf.status().message();
  return Config::fromGguf(*gguf, "m.gguf");
}

TEST(ConfigGguf, MapsToHuggingFaceFields) {
  auto config = fromGguf(llamaGguf());
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(*config->strings("architectures"), (std::vector<std::string>{"LlamaForCausalLM"}));
  EXPECT_EQ(*config->integer("num_hidden_layers", 1, 99), 2);
  EXPECT_EQ(*config->integer("hidden_size", 1, 99), 64);
  EXPECT_EQ(*config->integer("intermediate_size", 1, 99), 96);
  EXPECT_EQ(*config->integer("num_attention_heads", 1, 99), 4);
  EXPECT_EQ(*config->integer("num_key_value_heads", 1, 99), 2);
  EXPECT_EQ(*config->integer("max_position_embeddings", 1, 999), 128);
  EXPECT_EQ(*config->integer("vocab_size", 1, 99), 3) << "from the embedding table";
  EXPECT_FLOAT_EQ(static_cast<float>(*config->number("rms_norm_eps", 0, 1)), 1e-5f);
  EXPECT_EQ(config->rope(500000)->theta, 10000);
  EXPECT_TRUE(*config->boolean("tie_word_embeddings"));
  EXPECT_FALSE(*config->boolean("attention_bias"));
  EXPECT_EQ(*config->integers("eos_token_id", 0, 9), (std::vector<int64_t>{2}));
  EXPECT_FALSE(config->has("head_dim")) << "hidden_size / num_attention_heads, as usual";
  expectRefused(config->integer("hidden_size", 1, 32).status(),
                "m.gguf: field \"hidden_size\" (from \"llama.embedding_length\"): found 64",
                "origin");
}

TEST(ConfigGguf, OptionalKeys) {
  GgufBuilder b = llamaGguf();
  b.u32("llama.attention.key_length", 16).u32("llama.attention.value_length", 16);
  b.u32("llama.vocab_size", 5).u32("tokenizer.ggml.eot_token_id", 1);
  b.u32("llama.attention.sliding_window", 512);
  b.tensor("output.weight", {64, 3}, 0, std::string(64 * 3 * 4, 'z'));
  b.tensor("rope_freqs.weight", {8}, 0, std::string(32, 'f'));
  auto config = fromGguf(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(*config->integer("head_dim", 1, 99), 16);
  EXPECT_EQ(*config->integer("vocab_size", 1, 99), 5);
  EXPECT_FALSE(*config->boolean("tie_word_embeddings"));
  EXPECT_EQ(*config->integers("eos_token_id", 0, 9), (std::vector<int64_t>{2, 1}));
  auto rope = config->rope(1e4);
  ASSERT_TRUE(rope.ok());
  EXPECT_EQ(rope->scaling, RopeScaling::FrequencyFactors);
  EXPECT_EQ(rope->factorsTensor, "rope_freqs.weight");
  auto unread = config->unreadFields();
  EXPECT_NE(std::find(unread.begin(), unread.end(), "llama.attention.sliding_window"),
            unread.end());
}

TEST(ConfigGguf, LinearScaling) {
  GgufBuilder b = llamaGguf();
  b.str("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 4.0f);
  auto config = fromGguf(b);
  ASSERT_TRUE(config.ok()) << config.status().message();
  EXPECT_EQ(config->rope(1e4)->scaling, RopeScaling::Linear);
  EXPECT_EQ(config->rope(1e4)->factor, 4);
}

TEST(ConfigGguf, RefusesWhatItCannotHonour) {
  auto refused = [](const GgufBuilder &builder, const char *part) {
    expectRefused(fromGguf(builder).status(), part, part);
  };
  GgufBuilder other;
  refused(other.str("general.architecture", "qwen2"), "\"qwen2\"");
  refused(GgufBuilder(), "no text");
  refused(llamaGguf().u32("llama.expert_count", 8), "mixture of experts");
  refused(llamaGguf().u32("llama.attention.value_length", 32), "the head size, 16");
  refused(llamaGguf().str("llama.rope.scaling.type", "yarn"), "\"yarn\"");
  refused(llamaGguf().str("llama.vocab_size", "3"), "a value of type string");
  refused(llamaGguf().key("llama.vocab_size", 10, raw<uint64_t>(~0ull)), "below 2^63");
  refused(llamaGguf().key("split.count", 2, raw<uint16_t>(3)), "gguf-split --merge");
  refused(llamaGguf().key("tokenizer.ggml.eot_token_id", 9, raw<uint32_t>(4) + raw<uint64_t>(0)),
          "an array of u32");
}

TEST(ConfigGguf, NotANumberIsRefusedByItsAccessor) {
  GgufBuilder b;
  b.str("general.architecture", "llama").f32("llama.rope.freq_base", std::nanf(""));
  b.f32("llama.attention.layer_norm_rms_epsilon", INFINITY).u32("llama.block_count", 1000000000);
  auto config = fromGguf(b);
  ASSERT_TRUE(config.ok());
  expectRefused(config->rope(1e4).status(), "found NaN", "theta");
  expectRefused(config->number("rms_norm_eps", 0, 1).status(), "an infinity", "eps");
  expectRefused(config->integer("num_hidden_layers", 1, 1024).status(), "llama.block_count",
                "layers");
  expectRefused(config->integer("hidden_size", 1, 1024).status(), "no such field", "hidden");
}

} // namespace
