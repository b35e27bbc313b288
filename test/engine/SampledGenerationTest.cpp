//===- SampledGenerationTest.cpp - drawn tokens, stop strings, company ----===//

#include "runtime/engine/Generator.h"

#include "runtime/base/File.h"
#include "runtime/text/build/TokenizerBuilder.h"
#include "test/engine/TinyModel.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// More requests than the engine has slots, each chosen from in another way.
std::vector<GenerationRequest> mixedRequests() {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 11; ++i) {
    GenerationRequest request = {tinyText(1 + i * 7 % 45, i + 1), 6 + i * 5 % 17};
    SamplingParameters &p = request.sampling;
    p.temperature = i % 4 == 3 ? 0.0f : 0.5f + 0.4f * static_cast<float>(i);
    p.seed = 100 + i / 2;
    p.topK = i % 3 == 1 ? 9 : 0;
    p.topP = i % 3 == 2 ? 0.8f : 1.0f;
    p.minP = i % 5 == 4 ? 0.02f : 0.0f;
    p.frequencyPenalty = i % 2 ? 0.4f : 0.0f;
    p.repetitionPenalty = i % 5 == 0 ? 1.2f : 1.0f;
    if (i % 4 == 0)
      p.logitBias = {{3, 2.5f}, {static_cast<int32_t>(i), -4.0f}};
    requests.push_back(std::move(request));
  }
  return requests;
}

class SampledGenerationTest : public ::testing::Test {
protected:
  void SetUp() override { program_ = loadTiny(::testing::TempDir() + "sampled.l4x"); }

  std::vector<Generation> run(std::span<const GenerationRequest> requests, unsigned threads,
                              uint32_t maxSequences, uint32_t chunk, bool withText = false) {
    std::unique_ptr<Device> device = tinyDevice(threads);
    std::unique_ptr<Engine> engine =
        Engine::create(program_, *device, {.maxSequences = maxSequences}).take();
    GenerationOptions options = {{}, false, chunk};
    if (withText)
      options.tokenizer = &tokenizer();
    Result<std::vector<Generation>> found = generate(*engine, requests, options);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.take();
  }
  /// Ids 0 to 23 are the characters from '!' to '8'.
  const text::Tokenizer &tokenizer() {
    if (!tokenizer_) {
      std::string path = std::string(LLAMA4_TEST_DATA) + "/oracles/llama3-text-tied/tokenizer.json";
      section_ = text::buildFromHfJson(readTextFile(path, 1 << 26).take(), "").take();
      tokenizer_.emplace(text::Tokenizer::fromSection(section_).take());
    }
    return *tokenizer_;
  }
  std::shared_ptr<const Program> program_;
  std::vector<std::byte> section_;
  std::optional<text::Tokenizer> tokenizer_;
};

TEST_F(SampledGenerationTest, InAnyCompanyChunksAndThreadsAsAlone) {
  const std::vector<GenerationRequest> requests = mixedRequests();
  ASSERT_GT(requests.size(), tinyBatch);
  std::vector<Generation> alone;
  for (const GenerationRequest &request : requests)
    alone.push_back(run({&request, 1}, 1, 1, 0)[0]);
  struct Way {
    unsigned threads;
    uint32_t maxSequences, chunk;
  };
  for (Way way : {Way{1, tinyBatch, 0}, {3, tinyBatch, 7}, {2, 3, 1}, {4, 2, 0}}) {
    std::vector<Generation> together = run(requests, way.threads, way.maxSequences, way.chunk);
    ASSERT_EQ(together.size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(together[i].tokens, alone[i].tokens) << "request " << i;
      EXPECT_EQ(together[i].reason, alone[i].reason) << "request " << i;
    }
  }
}

TEST_F(SampledGenerationTest, OrderOfTheRequestsDoesNotMatter) {
  std::vector<GenerationRequest> requests = mixedRequests();
  std::vector<Generation> forth = run(requests, 2, tinyBatch, 0);
  std::reverse(requests.begin(), requests.end());
  std::vector<Generation> back = run(requests, 2, tinyBatch, 0);
  for (size_t i = 0; i < requests.size(); ++i)
    EXPECT_EQ(forth[i].tokens, back[requests.size() - 1 - i].tokens) << "request " << i;
}

TEST_F(SampledGenerationTest, OtherSeedsGiveOtherTokens) {
  GenerationRequest request = {tinyText(9, 1), 40};
  request.sampling.temperature = 5;
  std::vector<GenerationRequest> requests(3, request);
  requests[1].sampling.seed = 1;
  std::vector<Generation> found = run(requests, 1, 3, 0);
  EXPECT_EQ(found[0].tokens, found[2].tokens);
  EXPECT_NE(found[0].tokens, found[1].tokens);
}

TEST_F(SampledGenerationTest, BiasForcesAndForbids) {
  GenerationRequest request = {tinyText(9, 1), 12};
  request.sampling.logitBias = {{7, 100.0f}};
  EXPECT_EQ(run({&request, 1}, 1, 1, 0)[0].tokens, std::vector<int32_t>(12, 7));
  request.sampling.logitBias = {};
  int32_t first = run({&request, 1}, 1, 1, 0)[0].tokens[0];
  request.sampling.logitBias = {{first, -100.0f}};
  const std::vector<Generation> without = run({&request, 1}, 1, 1, 0);
  for (int32_t token : without[0].tokens)
    EXPECT_NE(token, first);
}

TEST_F(SampledGenerationTest, StopIdsOfOneRequest) {
  std::vector<GenerationRequest> requests(2, {tinyText(20, 4), 60});
  const std::vector<int32_t> all = run(requests, 1, 2, 0)[0].tokens;
  requests[1].stopIds = {all[17]};
  std::vector<Generation> found = run(requests, 1, 2, 0);
  EXPECT_EQ(found[0].tokens, all);
  EXPECT_EQ(found[1].reason, FinishReason::Stop);
  EXPECT_TRUE(std::equal(found[1].tokens.begin(), found[1].tokens.end(), all.begin()));
  EXPECT_LE(found[1].tokens.size(), 17u);
}

TEST_F(SampledGenerationTest, StopStringsAcrossTokens) {
  GenerationRequest request = {tinyText(20, 4), 60};
  request.sampling.temperature = 5;
  const Generation whole = run({&request, 1}, 1, 1, 0, true)[0];
  ASSERT_EQ(whole.text.size(), 60u); // one character a token
  // Three tokens' characters, at their first occurrence.
  const size_t at = whole.text.find(whole.text.substr(30, 3));
  std::vector<GenerationRequest> requests(3, request);
  requests[1].stopStrings = {"never there", whole.text.substr(at, 3)};
  std::vector<Generation> found = run(requests, 2, 2, 0, true);
  EXPECT_EQ(found[0].text, whole.text);
  EXPECT_EQ(found[0].reason, FinishReason::Length);
  EXPECT_EQ(found[1].text, whole.text.substr(0, at));
  EXPECT_EQ(found[1].reason, FinishReason::Stop);
  EXPECT_EQ(found[1].tokens.size(), at + 3); // those of the stop string are among them
  EXPECT_EQ(found[2].tokens, whole.tokens);
}

TEST_F(SampledGenerationTest, TextIsToldAsSoonAsItIsCertain) {
  GenerationRequest request = {tinyText(20, 4), 30};
  request.sampling.temperature = 5;
  const std::string whole = run({&request, 1}, 1, 1, 0, true)[0].text;
  // The last character begins a stop string that never comes: it is held back to the end.
  request.stopStrings = {whole.substr(29) + "\n"};
  std::unique_ptr<Device> device = tinyDevice(1);
  std::unique_ptr<Engine> engine = Engine::create(program_, *device).take();
  GenerationOptions options = {{}, false, 0};
  options.tokenizer = &tokenizer();
  std::string told;
  auto onToken = [&](size_t, int32_t, std::string_view text) { told += text; };
  Result<std::vector<Generation>> found = generate(*engine, {&request, 1}, options, onToken);
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)[0].text, whole);
  EXPECT_EQ(told, whole.substr(0, 29));
}

TEST_F(SampledGenerationTest, BadParametersAreRefused) {
  std::unique_ptr<Device> device = tinyDevice(1);
  std::unique_ptr<Engine> engine = Engine::create(program_, *device).take();
  GenerationRequest request = {tinyText(3, 1), 4};
  request.sampling.topP = 2;
  EXPECT_EQ(generate(*engine, {&request, 1}, {}).status().kind(), StatusKind::Usage);
  request.sampling = {};
  request.stopStrings = {"text without a tokenizer"};
  EXPECT_EQ(generate(*engine, {&request, 1}, {}).status().kind(), StatusKind::Usage);
}

} // namespace
} // namespace llama4::test
