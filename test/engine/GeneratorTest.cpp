//===- GeneratorTest.cpp - prompts in, generated tokens out ---------------===//

#include "runtime/engine/Generator.h"

#include "runtime/engine/Greedy.h"
#include "test/engine/TinyModel.h"

#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// What greedy decoding gives, computed without an engine.
Generation expected(std::vector<int32_t> ids, uint64_t maxNewTokens, bool ignoreStop) {
  Generation generation;
  while (generation.tokens.size() < maxNewTokens) {
    std::vector<float> logits = tinyLogits(tinyReference(ids).back());
    int32_t token = 0;
    for (int32_t v = 1; v < static_cast<int32_t>(tinyVocab); ++v)
      if (logits[v] > logits[token])
        token = v;
    if (!ignoreStop && token == tinyEos) {
      generation.reason = FinishReason::Stop;
      break;
    }
    generation.tokens.push_back(token);
    if (ids.size() == tinyLength)
      break;
    ids.push_back(token);
  }
  return generation;
}

class GeneratorTest : public ::testing::Test {
protected:
  void SetUp() override {
    device_ = tinyDevice(2);
    program_ = loadTiny(::testing::TempDir() + "generator.l4x");
    make({});
  }
  void make(const EngineOptions &options) {
    engine_.reset();
    Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = engine.take();
  }
  void expectEqual(std::span<const GenerationRequest> requests, const GenerationOptions &options) {
    Result<std::vector<Generation>> found = generate(*engine_, requests, options);
    ASSERT_TRUE(found.ok()) << found.status().message();
    ASSERT_EQ(found->size(), requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      Generation wanted =
          expected(requests[i].prompt, requests[i].maxNewTokens, options.ignoreStop);
      EXPECT_EQ((*found)[i].tokens, wanted.tokens) << "request " << i;
      EXPECT_EQ((*found)[i].reason, wanted.reason) << "request " << i;
    }
  }
  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(GeneratorTest, ManyRequestsAtOnceEqualEachAlone) {
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 10; ++i) // more than the engine has slots
    requests.push_back({tinyText(1 + i * 9, i + 1), 3 + i * 2});
  for (uint32_t chunk : {0u, 7u, 1u})
    for (bool ignoreStop : {true, false})
      expectEqual(requests, {{tinyEos}, ignoreStop, chunk});
}

TEST_F(GeneratorTest, StopsAndSaysWhy) {
  // The tied pair of ids 4 and 5 never gives 5; a text that comes to 4 does end at 4.
  std::vector<GenerationRequest> requests = {{tinyText(20, 4), 60}};
  Result<std::vector<Generation>> all = generate(*engine_, requests, {{}, false, 0});
  ASSERT_TRUE(all.ok());
  ASSERT_EQ((*all)[0].tokens.size(), 60u);
  EXPECT_EQ((*all)[0].reason, FinishReason::Length);
  int32_t stop = (*all)[0].tokens[17];
  size_t first = static_cast<size_t>(
      std::find((*all)[0].tokens.begin(), (*all)[0].tokens.end(), stop) - (*all)[0].tokens.begin());
  Result<std::vector<Generation>> cut = generate(*engine_, requests, {{stop}, false, 0});
  ASSERT_TRUE(cut.ok());
  EXPECT_EQ((*cut)[0].reason, FinishReason::Stop);
  EXPECT_EQ((*cut)[0].tokens.size(), first);
  Result<std::vector<Generation>> whole = generate(*engine_, requests, {{stop}, true, 0});
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ((*whole)[0].tokens, (*all)[0].tokens);
}

TEST_F(GeneratorTest, EndsAtTheEnginesLength) {
  std::vector<GenerationRequest> requests = {{tinyText(tinyLength - 3, 4), 60}};
  Result<std::vector<Generation>> found = generate(*engine_, requests, {{}, true, 0});
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ((*found)[0].tokens.size(), 4u); // the last one is not processed any more
  EXPECT_EQ((*found)[0].tokens, expected(requests[0].prompt, 60, true).tokens);
}

TEST_F(GeneratorTest, TokensAreToldAsTheyComeAndTimed) {
  std::vector<GenerationRequest> requests = {{tinyText(50, 1), 5}, {tinyText(3, 2), 9}};
  std::vector<std::vector<int32_t>> told(2);
  GenerationTimings timings;
  Result<std::vector<Generation>> found = generate(
      *engine_, requests, {{}, true, 10},
      [&](size_t request, int32_t token, std::string_view) { told[request].push_back(token); },
      &timings);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(told[0], (*found)[0].tokens);
  EXPECT_EQ(told[1], (*found)[1].tokens);
  EXPECT_EQ(timings.promptTokens, 53u);
  EXPECT_GT(timings.prompt, 0);
  EXPECT_EQ(timings.steps.size() > 0, timings.decodedTokens > 0);
  double sum = 0;
  for (double step : timings.steps)
    sum += step;
  EXPECT_LE(sum, timings.decode * 1.001 + 1e-6);
}

TEST_F(GeneratorTest, BadRequestsAreRefused) {
  auto kindOf = [&](GenerationRequest request) {
    return generate(*engine_, {&request, 1}, {}).status().kind();
  };
  EXPECT_EQ(kindOf({{}, 5}), StatusKind::InvalidInput);
  EXPECT_EQ(kindOf({{1, 99}, 5}), StatusKind::InvalidInput);
  EXPECT_EQ(kindOf({{1}, 0}), StatusKind::Usage);
  EXPECT_EQ(kindOf({tinyText(tinyLength + 1, 1), 5}), StatusKind::Usage);
  // Nothing of them is left behind.
  EXPECT_EQ(engine_->cache().freePages(0), engine_->cache().pages(0));
  expectEqual(std::vector<GenerationRequest>(6, {tinyText(10, 1), 3}), {});
}

} // namespace
} // namespace llama4::test
