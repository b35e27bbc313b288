//===- CompressedTensorsTest.cpp - what quantization_config may say -------===//

#include "compiler/checkpoint/CompressedTensors.h"

#include <gtest/gtest.h>

using namespace llama4;

namespace {

const std::string kWeights = R"({"num_bits": 4, "type": "int", "symmetric": true, "dynamic": false,
    "strategy": "group", "group_size": 128, "actorder": "static", "observer": "mse",
    "observer_kwargs": {}, "block_structure": null})";

std::string group(const std::string &targets, const std::string &weights,
                  const std::string &more = "") {
  return R"({"targets": )" + targets + R"(, "weights": )" + weights +
         R"(, "input_activations": null, "output_activations": null)" + more + "}";
}

std::string quantization(const std::string &groups, const std::string &format = "pack-quantized",
                         const std::string &more = "") {
  return R"({"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "ignore": ["lm_head", "re:.*router"], "kv_cache_scheme": null,
      "sparsity_config": {}, "transform_config": {}, "version": "0.12", "config_groups": )" +
         groups + more + "}";
}

Result<std::optional<CompressedTensors>> read(const std::string &text) {
  auto config = Config::parse(R"({"quantization_config": )" + text + "}", "config.json");
  EXPECT_TRUE(config.ok()) << config.status().message();
  auto result = CompressedTensors::read(*config);
  if (result.ok())
    EXPECT_EQ(config->unreadFields(), std::vector<std::string>());
  return result;
}

/// `text` with the first `from` replaced.
std::string with(std::string text, const std::string &from, const std::string &to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(CompressedTensors, OneGroupDescribesWhatIsPacked) {
  // Which modules it names isn't looked at, so that any pattern may stand there.
  auto read4 = read(quantization(R"({"group_0": )" + group("[\"re:(a|b)\"]", kWeights) + "}"));
  ASSERT_TRUE(read4.ok()) << read4.status().message();
  const auto format = (*read4)->packedFormat("model.layers.3.mlp.up_proj");
  ASSERT_TRUE(format);
  EXPECT_EQ(format->bits, 4);
  EXPECT_EQ(format->groupColumns, 128);
  EXPECT_FALSE(format->hasZeroPoints);
  EXPECT_FALSE((*read4)->hasFloat8());
  EXPECT_TRUE((*read4)->isIgnored("model.layers.0.feed_forward.router"));
  EXPECT_FALSE((*read4)->isIgnored("model.layers.0.mlp.up_proj"));

  const std::string channel = with(with(kWeights, "\"group\"", "\"channel\""), "true", "false");
  auto read8 =
      read(quantization(R"({"g": )" + group(R"(["Linear"])", with(channel, "4", "8")) + "}"));
  ASSERT_TRUE(read8.ok()) << read8.status().message();
  EXPECT_EQ((*read8)->packedFormat("x")->bits, 8);
  EXPECT_EQ((*read8)->packedFormat("x")->groupColumns, 0);
  EXPECT_TRUE((*read8)->packedFormat("x")->hasZeroPoints);
}

TEST(CompressedTensors, OfSeveralGroupsNamesComeBeforePatternsAndClasses) {
  const std::string wide = with(kWeights, "128", "64"), eight = with(kWeights, "4", "8");
  auto several = read(quantization(R"({"a": )" + group(R"(["Linear"])", kWeights) + R"(, "b": )" +
                                   group(R"(["re:.*down_proj$"])", wide) + R"(, "c": )" +
                                   group(R"(["l.1.down_proj"])", eight) + "}"));
  ASSERT_TRUE(several.ok()) << several.status().message();
  EXPECT_EQ((*several)->packedFormat("l.1.up_proj")->groupColumns, 128);
  EXPECT_EQ((*several)->packedFormat("l.0.down_proj")->groupColumns, 64);
  EXPECT_EQ((*several)->packedFormat("l.1.down_proj")->bits, 8);

  auto none = read(quantization(R"({"a": )" + group(R"(["l.0"])", kWeights) + R"(, "b": )" +
                                group(R"(["l.1"])", wide) + "}"));
  ASSERT_TRUE(none.ok()) << none.status().message();
  EXPECT_FALSE((*none)->packedFormat("l.2"));
}

TEST(CompressedTensors, GroupsOfTheMixedFormatSayTheirOwn) {
  const std::string floats =
      R"({"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": true})";
  const std::string both =
      R"({"a": )" + group(R"(["Linear"])", kWeights, R"(, "format": "pack-quantized")") +
      R"(, "b": )" + group(R"(["re:.*o_proj"])", floats, R"(, "format": "float-quantized")") + "}";
  auto mixed = read(quantization(both, "mixed-precision"));
  ASSERT_TRUE(mixed.ok()) << mixed.status().message();
  EXPECT_TRUE((*mixed)->hasFloat8());
  EXPECT_TRUE((*mixed)->packedFormat("l.0.q_proj"));
  EXPECT_FALSE((*mixed)->packedFormat("l.0.o_proj"));
  EXPECT_FALSE(
      read(quantization(with(both, R"(, "format": "pack-quantized")", ""), "mixed-precision"))
          .ok());
}

TEST(CompressedTensors, RefusesWhatIsNotRead) {
  const std::string good = quantization(R"({"group_0": )" + group(R"(["Linear"])", kWeights) + "}");
  ASSERT_TRUE(read(good).ok());
  struct Case {
    const char *from, *to, *found;
  };
  const Case cases[] = {
      {"\"compressed-tensors\"", "\"gptq\"", "found the layout gptq, expected compressed-tensors"},
      {"\"compressed-tensors\"", "\"awq\"", "found the layout awq, expected compressed-tensors"},
      {"\"compressed-tensors\"", "\"bitsandbytes\"",
       "\"bitsandbytes\", expected compressed-tensors"},
      {"\"pack-quantized\"", "\"int-quantized\"", "pack-quantized or mixed-precision"},
      {"\"pack-quantized\"", "\"marlin-24\"", "pack-quantized or mixed-precision"},
      {"\"num_bits\": 4", "\"num_bits\": 3", "found 3, expected 4 or 8"},
      {"\"num_bits\": 4", "\"num_bits\": 16", "num_bits"},
      {"\"type\": \"int\"", "\"type\": \"float\"", "expected int"},
      {"\"dynamic\": false", "\"dynamic\": true", "found true, expected false"},
      {"\"strategy\": \"group\"", "\"strategy\": \"tensor\"", "group or channel"},
      {"\"strategy\": \"group\"", "\"strategy\": \"block\"", "group or channel"},
      {"\"group_size\": 128", "\"group_size\": 0", "group_size"},
      {"\"group_size\": 128", "\"group_size\": -1", "group_size"},
      {", \"group_size\": 128", "", "group_size"},
      {"\"kv_cache_scheme\": null", "\"kv_cache_scheme\": {\"num_bits\": 8}", "keys and values"},
      {"\"transform_config\": {}", "\"transform_config\": {\"config_groups\": {\"u\": {}}}",
       "found transforms"},
      {"\"sparsity_config\": {}", "\"sparsity_config\": {\"format\": \"sparse-24-bitmask\"}",
       "expected dense"},
      {"re:.*router", "re:(q|k)_proj", "the pattern"},
  };
  for (const Case &each : cases) {
    auto result = read(with(good, each.from, each.to));
    ASSERT_FALSE(result.ok()) << each.to;
    EXPECT_EQ(result.status().kind(), StatusKind::InvalidInput);
    EXPECT_NE(result.status().message().find(each.found), std::string::npos)
        << result.status().message();
  }
  EXPECT_TRUE(read(with(good, "\"sparsity_config\": {}",
                        "\"sparsity_config\": {\"format\": \"dense\", \"ignore\": []}"))
                  .ok());
}

} // namespace
