//===- SamplerTest.cpp - from logits to a token ---------------------------===//
//
// test/data/sampler holds what the definitions say, computed by tools/dev/sampler_cases.py.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Sampler.h"

#include "runtime/base/File.h"
#include "runtime/engine/Greedy.h"
#include "runtime/engine/Philox.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <nlohmann/json.hpp>

namespace llama4::test {
namespace {

using nlohmann::json;

json recorded() {
  Result<std::string> text =
      readTextFile(std::string(LLAMA4_TEST_DATA) + "/sampler/cases.json", 1 << 24);
  EXPECT_TRUE(text.ok()) << text.status().message();
  return json::parse(*text);
}

std::vector<float> logitsOf(const json &list) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> logits;
  for (const json &value : list)
    logits.push_back(value.is_null()     ? std::nanf("")
                     : value.is_string() ? (value == "inf" ? infinity : -infinity)
                                         : value.get<float>());
  return logits;
}

SamplingParameters parametersOf(const json &p) {
  SamplingParameters result;
  result.temperature = p["temperature"];
  result.topK = p["top_k"];
  result.topP = p["top_p"];
  result.minP = p["min_p"];
  result.frequencyPenalty = p["frequency_penalty"];
  result.presencePenalty = p["presence_penalty"];
  result.repetitionPenalty = p["repetition_penalty"];
  for (const auto &[id, bias] : p["logit_bias"].items())
    result.logitBias.push_back({std::stoi(id), bias});
  return result;
}

/// A sampler that has chosen `answer` already.
Sampler samplerAfter(const SamplingParameters &parameters, const std::vector<int32_t> &prompt,
                     const std::vector<int32_t> &answer, uint32_t vocabSize) {
  Sampler sampler = Sampler::create(parameters, vocabSize).take();
  sampler.addPrompt(prompt);
  Sampler::Scratch scratch(vocabSize);
  for (int32_t id : answer) { // the only token there is
    std::vector<float> logits(vocabSize, -std::numeric_limits<float>::infinity());
    logits[static_cast<size_t>(id)] = 0;
    EXPECT_EQ(sampler.sample(logits, scratch), id);
  }
  return sampler;
}

TEST(Sampler, ChoosesFromWhatTheDefinitionsSay) {
  json all = recorded();
  ASSERT_GT(all["cases"].size(), 50u);
  for (const json &one : all["cases"]) {
    SCOPED_TRACE(one["name"].get<std::string>() + " " + one["parameters"].dump());
    std::vector<float> logits = logitsOf(one["logits"]);
    const auto vocabSize = static_cast<uint32_t>(logits.size());
    Sampler sampler =
        samplerAfter(parametersOf(one["parameters"]), one["prompt"], one["answer"], vocabSize);
    Sampler::Scratch scratch(vocabSize);
    std::vector<int32_t> ids;
    double sum = 0, furthest = 0;
    std::span<const Candidate> found = sampler.distribution(logits, scratch);
    ASSERT_EQ(found.size(), one["ids"].size());
    for (size_t i = 0; i < found.size(); ++i) {
      ids.push_back(found[i].id);
      sum += found[i].probability;
      furthest = std::max(furthest,
                          std::abs(found[i].probability - one["probabilities"][i].get<double>()));
    }
    EXPECT_EQ(ids, one["ids"].get<std::vector<int32_t>>());
    EXPECT_LE(furthest, 1e-6);
    EXPECT_NEAR(sum, 1, 1e-12);
  }
}

TEST(Sampler, DrawsArePhilox) {
  // The published test vectors of philox4x32-10.
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  json all = recorded();
  ASSERT_GT(all["draws"].size(), 10u);
  for (const json &draw : all["draws"])
    EXPECT_EQ(uniformDraw(std::stoull(draw["seed"].get<std::string>()),
                          std::stoull(draw["index"].get<std::string>())),
              draw["value"].get<double>());
}

/// Chi-square of `draws` samples against the distribution that they should have.
double chiSquare(const SamplingParameters &parameters, const std::vector<float> &logits,
                 uint32_t draws, size_t &freedom) {
  const auto vocabSize = static_cast<uint32_t>(logits.size());
  Sampler sampler = Sampler::create(parameters, vocabSize).take();
  Sampler::Scratch scratch(vocabSize);
  std::vector<double> expected(vocabSize);
  for (const Candidate &candidate : sampler.distribution(logits, scratch))
    expected[static_cast<size_t>(candidate.id)] = candidate.probability * draws;
  std::vector<uint32_t> seen(vocabSize);
  for (uint32_t i = 0; i < draws; ++i)
    ++seen[static_cast<size_t>(sampler.sample(logits, scratch).value())];
  double sum = 0;
  freedom = 0;
  for (size_t id = 0; id < logits.size(); ++id) {
    EXPECT_EQ(seen[id] == 0, expected[id] == 0) << id;
    if (expected[id] > 0) {
      sum += (seen[id] - expected[id]) * (seen[id] - expected[id]) / expected[id];
      ++freedom;
    }
  }
  --freedom;
  return sum;
}

TEST(Sampler, DrawsInProportion) {
  const std::vector<float> logits = {1.0f, -0.5f, 2.0f, 0.0f, 2.0f, 1.5f, -1.0f, 0.7f};
  SamplingParameters all, filtered;
  all.temperature = 1.0f;
  filtered.temperature = 0.7f;
  filtered.topK = 6;
  filtered.topP = 0.95f;
  filtered.minP = 0.05f;
  for (uint64_t seed : {0u, 1u, 2u, 3u, 4u}) {
    size_t freedom = 0;
    all.seed = filtered.seed = seed;
    // 99.99% quantiles of chi-square with 7 and 5 (or fewer) degrees of freedom.
    EXPECT_LT(chiSquare(all, logits, 100000, freedom), 29.9) << "seed " << seed;
    EXPECT_EQ(freedom, 7u);
    EXPECT_LT(chiSquare(filtered, logits, 100000, freedom), 25.8) << "seed " << seed;
    EXPECT_GE(freedom, 2u);
    EXPECT_LE(freedom, 5u);
  }
}

TEST(Sampler, TheSeedIsTheAnswer) {
  const std::vector<float> logits(64, 1.0f);
  auto draw = [&](uint64_t seed) {
    SamplingParameters parameters;
    parameters.temperature = 1;
    parameters.seed = seed;
    Sampler sampler = Sampler::create(parameters, 64).take();
    Sampler::Scratch scratch(64);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 40; ++i)
      tokens.push_back(sampler.sample(logits, scratch).value());
    return tokens;
  };
  EXPECT_EQ(draw(7), draw(7));
  EXPECT_NE(draw(7), draw(8));
  EXPECT_NE(draw(7), draw(7 + (uint64_t{1} << 32)));
}

TEST(Sampler, NothingToChooseFromIsSaid) {
  Sampler::Scratch scratch(4);
  for (float temperature : {0.0f, 1.0f}) {
    SamplingParameters parameters;
    parameters.temperature = temperature;
    Sampler sampler = Sampler::create(parameters, 4).take();
    EXPECT_EQ(sampler.sample(std::vector<float>(4, std::nanf("")), scratch), std::nullopt);
  }
}

TEST(Sampler, ParametersOutOfRangeAreRefused) {
  auto refused = [](auto change, const char *part) {
    SamplingParameters parameters;
    change(parameters);
    Status status = parameters.check(100);
    EXPECT_EQ(status.kind(), StatusKind::Usage) << part;
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  };
  EXPECT_TRUE(SamplingParameters().check(1).ok());
  for (float bad : {-0.1f, 1001.0f, std::nanf("")})
    refused([=](SamplingParameters &p) { p.temperature = bad; }, "temperature");
  for (float bad : {-0.1f, 1.1f, std::nanf("")}) {
    refused([=](SamplingParameters &p) { p.topP = bad; }, "top-p");
    refused([=](SamplingParameters &p) { p.minP = bad; }, "min-p");
  }
  for (float bad : {-2.1f, 2.1f, std::nanf("")}) {
    refused([=](SamplingParameters &p) { p.frequencyPenalty = bad; }, "frequency penalty");
    refused([=](SamplingParameters &p) { p.presencePenalty = bad; }, "presence penalty");
  }
  for (float bad : {0.0f, -1.0f, 1001.0f, std::nanf("")})
    refused([=](SamplingParameters &p) { p.repetitionPenalty = bad; }, "repetition penalty");
  refused([](SamplingParameters &p) { p.logitBias = {{100, 1.0f}}; }, "0 to 99");
  refused([](SamplingParameters &p) { p.logitBias = {{-1, 1.0f}}; }, "0 to 99");
  refused([](SamplingParameters &p) { p.logitBias = {{5, 101.0f}}; }, "-100 to 100");
  refused([](SamplingParameters &p) { p.logitBias = {{5, 1.0f}, {5, 2.0f}}; }, "twice");
}

} // namespace
} // namespace llama4::test
