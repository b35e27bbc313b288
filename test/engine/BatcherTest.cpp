//===- BatcherTest.cpp - shared prompts, turns and deadlines --------------===//
//
// No threads and no clock: what a batcher does follows from what it was asked.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Batcher.h"

#include "test/engine/TinyModel.h"

#include <cmath>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// What was heard of one request.
struct Heard {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<TokenLogprobs> promptLogprobs;
  uint64_t cachedTokens = 0;
  uint32_t ended = 0;
  Status status;
  bool timedOut = false;

  RequestListener listener() {
    return [this](const RequestEvent &event) {
      if (event.choice >= tokens.size())
        tokens.resize(event.choice + 1);
      if (event.token)
        tokens[event.choice].push_back(*event.token);
      promptLogprobs.insert(promptLogprobs.end(), event.promptLogprobs.begin(),
                            event.promptLogprobs.end());
      cachedTokens = event.cachedTokens;
      ended += event.finish.has_value();
      status = event.status;
      timedOut = event.timedOut;
    };
  }
};

class BatcherTest : public ::testing::Test {
protected:
  void SetUp() override {
    device_ = tinyDevice(1);
    program_ = loadTiny(::testing::TempDir() + "batcher.l4x");
  }
  void make(const EngineOptions &limits = {}, const BatcherOptions &options = {}) {
    batcher_.reset();
    auto engine = Engine::create(program_, *device_, limits);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = engine.take();
    batcher_ = std::make_unique<Batcher>(*engine_, options);
  }
  /// Memory for so many pages of the kind with full attention.
  uint64_t memoryOf(uint32_t pages) {
    make();
    const Engine::Memory all = engine_->memory();
    const uint64_t page = all.cache / engine_->cache().pages(0);
    uint64_t memory = all.arena + all.step + pages * page;
    for (;; memory += page / 4) {
      make({.memory = memory});
      if (engine_->cache().pages(0) >= pages)
        return memory;
    }
  }
  static ScheduledRequest request(std::vector<int32_t> prompt, uint64_t newTokens) {
    ScheduledRequest request;
    request.prompt = std::move(prompt);
    request.maxNewTokens = newTokens;
    request.ignoreStop = true;
    return request;
  }
  Heard &add(const ScheduledRequest &request) {
    EXPECT_TRUE(batcher_->check(request).ok());
    heard_.push_back(std::make_unique<Heard>());
    batcher_->add(heard_.size(), request, heard_.back()->listener());
    return *heard_.back();
  }
  void runAll() {
    for (int steps = 0; !batcher_->idle(); ++steps) {
      ASSERT_LT(steps, 20000);
      Status status = batcher_->step();
      ASSERT_TRUE(status.ok()) << status.message();
    }
  }
  /// The same request on an engine that knows nothing and shares nothing.
  std::vector<int32_t> alone(const ScheduledRequest &request, uint32_t choice = 0) {
    SamplingParameters sampling = request.sampling;
    sampling.seed += choice;
    std::vector<GenerationRequest> one = {
        {request.prompt, request.maxNewTokens, sampling, request.stopIds, {}, {}}};
    auto engine = Engine::create(program_, *device_, {.prefixCache = false});
    return (*generate(**engine, one, {{}, true, 0, nullptr}))[0].tokens;
  }
  uint32_t heldPages(uint32_t kind) const {
    return engine_->cache().pages(kind) - engine_->cache().freePages(kind);
  }

  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Batcher> batcher_;
  std::vector<std::unique_ptr<Heard>> heard_;
};

std::vector<int32_t> joined(std::vector<int32_t> first, const std::vector<int32_t> &second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

TEST_F(BatcherTest, AnswersToOneRequestShareItsPrompt) {
  for (bool prefixCache : {true, false}) {
    make({.prefixCache = prefixCache});
    ScheduledRequest one = request(tinyText(90, 1), 20);
    one.choices = 5;
    one.sampling = {.temperature = 1.2f, .seed = 3};
    Heard &heard = add(one);
    EXPECT_EQ(batcher_->waiting(), 5u);
    while (batcher_->running() < 5)
      ASSERT_TRUE(batcher_->step().ok());
    EXPECT_EQ(batcher_->totals().promptTokens, 90u);
    EXPECT_EQ(batcher_->waiting(), 0u);
    EXPECT_EQ(heldPages(0), 6u);
    ASSERT_TRUE(batcher_->step().ok());
    EXPECT_EQ(heldPages(0), 5u + 5u); // five whole pages together, the last each its own
    runAll();
    EXPECT_EQ(batcher_->totals().promptTokens, 90u);
    for (uint32_t choice = 0; choice < 5; ++choice)
      EXPECT_EQ(heard.tokens[choice], alone(one, choice)) << choice;
    EXPECT_EQ(heldPages(0) + heldPages(1), 0u);
  }
}

/// More answers than run at once, and pages for few of them.
TEST_F(BatcherTest, ManyAnswersOnFewPages) {
  for (uint32_t pages : {14u, 18u, 30u})
    for (bool prefixCache : {true, false}) {
      make({.memory = memoryOf(pages), .prefixCache = prefixCache});
      std::vector<ScheduledRequest> requests;
      for (uint32_t i = 0; i < 3; ++i) {
        requests.push_back(request(tinyText(30 + i, i), 60));
        requests[i].choices = 4 + i;
        requests[i].sampling = {.temperature = 1.0f, .frequencyPenalty = 0.3f, .seed = i};
        add(requests[i]);
      }
      ASSERT_NO_FATAL_FAILURE(runAll());
      for (uint32_t i = 0; i < 3; ++i)
        for (uint32_t choice = 0; choice < requests[i].choices; ++choice)
          EXPECT_EQ(heard_[i]->tokens[choice], alone(requests[i], choice))
              << pages << " pages, request " << i << " choice " << choice;
      if (pages == 14)
        EXPECT_GT(batcher_->totals().preemptions, 0u);
      EXPECT_EQ(heldPages(0) + heldPages(1), 0u);
      engine_->dropPrefixCache();
      EXPECT_EQ(engine_->cache().unheldPages(0) + engine_->cache().unheldPages(1), 0u);
      heard_.clear();
    }
}

/// Beginnings that end before, at and behind the borders of attention chunks (of 32 tokens).
TEST_F(BatcherTest, WhatIsKnownIsNotProcessedAgainAndGivesTheSame) {
  const std::vector<int32_t> base = tinyText(120, 9);
  for (size_t common : {15u, 16u, 31u, 32u, 33u, 63u, 64u, 65u, 67u, 100u}) {
    make();
    const std::vector<int32_t> prefix(base.begin(), base.begin() + static_cast<ptrdiff_t>(common));
    add(request(joined(prefix, tinyText(30, 1)), 4));
    ASSERT_NO_FATAL_FAILURE(runAll());
    const uint64_t before = batcher_->totals().promptTokens;
    std::vector<int32_t> tail = tinyText(20, 2);
    ScheduledRequest one = request(joined(prefix, tail), 12);
    ASSERT_NE(tail[0], tinyText(30, 1)[0]);
    Heard &heard = add(one);
    ASSERT_NO_FATAL_FAILURE(runAll());
    EXPECT_EQ(heard.cachedTokens, common / 16 * 16) << common;
    EXPECT_EQ(batcher_->totals().promptTokens - before, one.prompt.size() - heard.cachedTokens);
    EXPECT_EQ(heard.tokens[0], alone(one)) << common;
    EXPECT_EQ(batcher_->totals().prefixHits, heard.cachedTokens);
  }
}

TEST_F(BatcherTest, AnAnswerIsKnownToTheNextTurn) {
  make();
  ScheduledRequest first = request(tinyText(50, 3), 40);
  Heard &answer = add(first);
  ASSERT_NO_FATAL_FAILURE(runAll());
  ScheduledRequest second =
      request(joined(joined(first.prompt, answer.tokens[0]), tinyText(10, 4)), 10);
  Heard &heard = add(second);
  ASSERT_NO_FATAL_FAILURE(runAll());
  EXPECT_EQ(heard.cachedTokens, 80u); // of 50 + 40 tokens, the last of which was never processed
  EXPECT_EQ(heard.tokens[0], alone(second));
}

TEST_F(BatcherTest, OtherSaltsShareNothing) {
  make();
  ScheduledRequest one = request(tinyText(70, 3), 2);
  auto cached = [&](std::optional<ContentKey> salt) {
    one.cacheSalt = salt;
    Heard &heard = add(one);
    runAll();
    return heard.cachedTokens;
  };
  EXPECT_EQ(cached({}), 0u);
  EXPECT_EQ(cached(ContentKey{1, 2}), 0u);
  EXPECT_EQ(cached(ContentKey{1, 3}), 0u);
  EXPECT_EQ(cached(ContentKey{1, 2}), 64u);
  EXPECT_EQ(cached({}), 64u);
}

TEST_F(BatcherTest, LogprobsOfThePrompt) {
  make({}, {.prefillChunk = 7});
  ScheduledRequest one = request(tinyText(30, 5), 2);
  add(one);
  ASSERT_NO_FATAL_FAILURE(runAll());
  one.promptLogprobs = true;
  one.topLogprobs = 2;
  one.choices = 2;
  Heard &heard = add(one);
  ASSERT_NO_FATAL_FAILURE(runAll());
  EXPECT_EQ(heard.cachedTokens, 0u);
  ASSERT_EQ(heard.promptLogprobs.size(), 2 * 29u); // with each of the answers
  const std::vector<Hidden> rows = tinyReference(one.prompt);
  for (size_t i = 0; i < 29; ++i) {
    const TokenLogprobs wanted = tokenLogprobs(tinyLogits(rows[i]), one.prompt[i + 1], 2);
    EXPECT_EQ(heard.promptLogprobs[i].chosen.id, wanted.chosen.id);
    EXPECT_EQ(heard.promptLogprobs[i].chosen.logprob, wanted.chosen.logprob) << i;
    EXPECT_EQ(heard.promptLogprobs[i].top[1].id, wanted.top[1].id);
  }
  EXPECT_EQ(heard.tokens[0], alone(one));
}

TEST_F(BatcherTest, DeadlinesEndWhatWaitsAndWhatRuns) {
  using Time = std::chrono::steady_clock::time_point;
  const Time start{std::chrono::seconds(100)};
  auto at = [&](int seconds) { return start + std::chrono::seconds(seconds); };
  make({.maxSequences = 2});
  std::vector<Heard *> heard;
  for (int i = 0; i < 4; ++i) {
    ScheduledRequest one = request(tinyText(20, 1), 50);
    if (i % 2 == 0)
      one.deadline = at(i);
    heard.push_back(&add(one));
  }
  ASSERT_TRUE(batcher_->step().ok());
  EXPECT_EQ(batcher_->running(), 2u);
  batcher_->expire(at(-1));
  EXPECT_EQ(batcher_->running() + batcher_->waiting(), 4u);
  batcher_->expire(at(0)); // the first, which runs
  EXPECT_EQ(batcher_->running(), 1u);
  EXPECT_TRUE(heard[0]->timedOut);
  EXPECT_EQ(heard[0]->status.kind(), StatusKind::Unavailable);
  batcher_->expire(at(5)); // the third, which waits
  EXPECT_EQ(batcher_->waiting(), 1u);
  EXPECT_TRUE(heard[2]->timedOut);
  ASSERT_NO_FATAL_FAILURE(runAll());
  EXPECT_EQ(batcher_->totals().timeouts, 2u);
  EXPECT_EQ(heard[1]->ended + heard[3]->ended, 2u);
  EXPECT_FALSE(heard[1]->timedOut || heard[3]->timedOut);
  EXPECT_EQ(heldPages(0) + heldPages(1), 0u);
}

TEST_F(BatcherTest, CancellingOneAnswersRequestLeavesTheOthers) {
  make();
  ScheduledRequest many = request(tinyText(40, 1), 100);
  many.choices = 3;
  add(many);
  ScheduledRequest other = request(tinyText(40, 1), 30);
  Heard &kept = add(other);
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(batcher_->step().ok());
  EXPECT_EQ(batcher_->running(), 4u);
  batcher_->cancel(1);
  EXPECT_EQ(batcher_->running(), 1u);
  const uint64_t events = heard_[0]->tokens[0].size();
  ASSERT_NO_FATAL_FAILURE(runAll());
  EXPECT_EQ(heard_[0]->tokens[0].size(), events);
  EXPECT_EQ(kept.tokens[0], alone(other));
}

/// A key with a thousand requests that came first does not keep out one that asks for little.
TEST_F(BatcherTest, OneKeyDoesNotStarveAnother) {
  make({.maxSequences = 2});
  for (uint32_t i = 0; i < 1000; ++i) {
    ScheduledRequest one = request(tinyText(10 + i % 20, i), 6);
    one.key = "many";
    add(one);
  }
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(batcher_->step().ok());
  std::vector<Heard *> few;
  for (uint32_t i = 0; i < 3; ++i) {
    ScheduledRequest one = request(tinyText(15, i), 6);
    one.key = "few";
    few.push_back(&add(one));
  }
  EXPECT_EQ(batcher_->waitingKeys(), 2u);
  // Two run at a time, seven steps each at most: by turns the three are through after six more.
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(batcher_->step().ok());
  for (Heard *heard : few)
    EXPECT_EQ(heard->ended, 1u);
  // Within a key the order is that of coming.
  uint32_t ended = 0;
  for (uint32_t i = 0; i < 1000; ++i) {
    if (heard_[i]->ended)
      EXPECT_LE(i, ++ended + 1);
  }
  EXPECT_GT(ended, 5u);
  EXPECT_LT(ended, 40u);
}

/// With a clock, prompts beside answers take only as long as is allowed.
TEST_F(BatcherTest, StepsLastNoLongerThanAllowed) {
  // A step lasts 10 seconds and each prompt token adds 0.25: 20 tokens make it half as long again.
  BatcherOptions options;
  options.promptTokensBesideDecode = 1000;
  options.stepCostFactor = 1.5;
  options.clock = [&] {
    const Batcher::Totals &totals = batcher_->totals();
    return 10.0 * static_cast<double>(totals.generatedTokens) +
           0.25 * static_cast<double>(totals.promptTokens);
  };
  make({}, options);
  add(request(tinyText(4, 1), 190));
  for (int i = 0; i < 5; ++i)
    ASSERT_TRUE(batcher_->step().ok());
  ScheduledRequest longOne = request(tinyText(150, 2), 1);
  Heard &heard = add(longOne);
  std::vector<uint64_t> pieces;
  while (!heard.ended) {
    const uint64_t before = batcher_->totals().promptTokens;
    ASSERT_TRUE(batcher_->step().ok());
    pieces.push_back(batcher_->totals().promptTokens - before);
  }
  EXPECT_EQ(pieces[0], 16u); // nothing is known of them yet
  for (size_t i = 1; i + 1 < pieces.size(); ++i)
    EXPECT_EQ(pieces[i], 20u) << i;
  EXPECT_EQ(heard.tokens[0], alone(longOne));
}

TEST(StepBudget, FollowsTheTimesOfSteps) {
  StepBudget budget(2, 64);
  EXPECT_EQ(budget.promptTokens(), 16u);
  for (int i = 0; i < 40; ++i) {
    budget.record(0, 1.0);
    budget.record(16, 1.0 + 16 * 0.04);
  }
  EXPECT_NEAR(budget.promptTokens(), 25u, 1);
  budget.record(16, 1000.0); // one slow step changes little
  EXPECT_GE(budget.promptTokens(), 20u);
  for (int i = 0; i < 60; ++i)
    budget.record(16, 1.0 + 16 * 0.001);
  EXPECT_EQ(budget.promptTokens(), 64u);
  for (int i = 0; i < 60; ++i)
    budget.record(16, 1.0 + 16 * 10);
  EXPECT_EQ(budget.promptTokens(), 16u);
  budget.record(0, std::nan(""));
  budget.record(8, -1);
  EXPECT_EQ(budget.promptTokens(), 16u);
  EXPECT_EQ(StepBudget(1, 64).promptTokens(), 64u);
  EXPECT_EQ(StepBudget(2, 10).promptTokens(), 10u);
}

std::string order(FairQueue<std::string> &queue, uint64_t cost, size_t count = 100) {
  std::string names;
  for (size_t i = 0; i < count && !queue.empty(); ++i) {
    const std::string name = queue.pop(), key = name.substr(0, 1);
    queue.enter(key);
    queue.charge(key, cost);
    names += name + " ";
    queue.leave(key);
  }
  return names;
}

TEST(FairQueue, KeysTakeTurnsAndEachKeepsItsOrder) {
  FairQueue<std::string> queue;
  for (const char *name : {"a1", "a2", "a3", "a4", "b1", "b2", "c1"})
    queue.push(std::string(1, name[0]), name);
  EXPECT_EQ(queue.keys(), 3u);
  EXPECT_EQ(order(queue, 10), "a1 b1 c1 a2 b2 a3 a4 ");
  EXPECT_TRUE(queue.empty());
}

TEST(FairQueue, TurnsAreMeasuredInWhatIsCharged) {
  FairQueue<std::string> queue;
  for (const char *name : {"a1", "a2", "b1", "b2", "b3", "b4", "b5"})
    queue.push(std::string(1, name[0]), name);
  queue.enter("a"); // something of it runs all the time
  queue.charge("a", 25);
  EXPECT_EQ(order(queue, 10), "b1 b2 b3 a1 b4 a2 b5 ");
}

TEST(FairQueue, WhoWasAwaySavesUpNothing) {
  FairQueue<std::string> queue;
  for (const char *name : {"a1", "a2", "a3", "a4", "a5"})
    queue.push("a", name);
  EXPECT_EQ(order(queue, 100, 2), "a1 a2 ");
  for (const char *name : {"b1", "b2", "b3"})
    queue.push("b", name);
  EXPECT_EQ(order(queue, 100), "a3 b1 a4 b2 a5 b3 ");
  queue.push("a", "a6");
  queue.pushFront("a", "a5");
  queue.push("b", "b4");
  queue.eraseIf([](const std::string &name) { return name == "a6"; });
  EXPECT_EQ(order(queue, 1), "a5 b4 ");
}

} // namespace
} // namespace llama4::test
