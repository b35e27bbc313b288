//===- BatcherTest.cpp - shared prompts, turns and deadlines --------------===//
//
// No threads and no clock: what a batcher does follows from what it was asked.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Batcher.h"

#include "test/engine/TinyModel.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

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
  for (uint32_t pages : {13u, 18u, 30u})
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
      if (pages == 13)
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

/// What is generated counts as much as what is processed.
TEST_F(BatcherTest, LongAnswersCountLikeLongPrompts) {
  make({.maxSequences = 1});
  for (uint32_t i = 0; i < 20; ++i) {
    ScheduledRequest answers = request(tinyText(2, i), 40), prompts = request(tinyText(40, i), 2);
    answers.key = "long answers";
    prompts.key = "long prompts";
    add(answers);
    add(prompts);
  }
  uint32_t ended[2] = {0, 0};
  while (ended[0] + ended[1] < 8) {
    ASSERT_TRUE(batcher_->step().ok());
    ended[0] = ended[1] = 0;
    for (size_t i = 0; i < heard_.size(); ++i)
      ended[i % 2] += heard_[i]->ended;
  }
  EXPECT_EQ(ended[0], 4u);
  EXPECT_EQ(ended[1], 4u);
}

/// With a clock, prompts beside answers take only as long as is allowed.
TEST_F(BatcherTest, StepsLastNoLongerThanAllowed) {
  // A step lasts 10 seconds for each answer and each prompt token adds 0.33: beside one answer, 15
  // tokens make it half as long again.
  BatcherOptions options;
  options.promptTokensBesideDecode = 1000;
  options.stepCostFactor = 1.5;
  options.clock = [&] {
    const Batcher::Totals &totals = batcher_->totals();
    return 10.0 * static_cast<double>(totals.generatedTokens) +
           0.33 * static_cast<double>(totals.promptTokens);
  };
  for (const size_t longOnes : {1u, 2u}) {
    make({}, options);
    add(request(tinyText(4, 1), 190));
    for (int i = 0; i < 5; ++i)
      ASSERT_TRUE(batcher_->step().ok());
    std::vector<ScheduledRequest> requests;
    std::vector<Heard *> heard;
    for (uint32_t i = 0; i < longOnes; ++i) {
      requests.push_back(request(tinyText(150, 2 + i), 1));
      heard.push_back(&add(requests.back()));
    }
    std::vector<uint64_t> pieces;
    while (!heard[0]->ended) {
      const uint64_t before = batcher_->totals().promptTokens;
      ASSERT_TRUE(batcher_->step().ok());
      pieces.push_back(batcher_->totals().promptTokens - before);
    }
    EXPECT_EQ(pieces[0], 4u); // nothing is known of them yet
    // Where two wait for their prompts, prompts get twice the time.
    for (size_t i = 1; i + 1 < pieces.size(); ++i)
      EXPECT_EQ(pieces[i], longOnes == 1 ? 15u : 30u) << i;
    ASSERT_NO_FATAL_FAILURE(runAll());
    for (uint32_t i = 0; i < longOnes; ++i)
      EXPECT_EQ(heard[i]->tokens[0], alone(requests[i]));
    heard_.clear();
  }
}

/// As a batcher would: the step's tokens as they are said, at the costs that are given.
std::vector<uint32_t> stepsOf(StepBudget &budget, int count, uint32_t answers, double plain,
                              double perToken) {
  std::vector<uint32_t> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back(budget.promptTokens(answers, 1));
    budget.record(answers, tokens.back(), plain + tokens.back() * perToken);
  }
  return tokens;
}

TEST(StepBudget, FollowsTheTimesOfSteps) {
  StepBudget budget(2, 64, 8);
  std::vector<uint32_t> tokens = stepsOf(budget, 200, 1, 1.0, 0.3);
  EXPECT_EQ(tokens[0], 0u); // what the answer alone takes
  EXPECT_EQ(tokens[1], 4u);
  for (size_t i = 2; i < tokens.size(); ++i)
    EXPECT_TRUE(tokens[i] == 3 || (tokens[i] == 0 && tokens[i - 1] == 3)) << i;
  EXPECT_LT(std::count(tokens.begin(), tokens.end(), 0u), 200 / 12);
  EXPECT_EQ(budget.promptTokens(1, 4), 13u); // four wait for their prompts
  budget.record(1, 3, 1000.0);               // one slow step changes little
  EXPECT_GE(budget.promptTokens(1, 1), 2u);
  // The machine becomes three times slower in the middle of a prompt: the relation is the same.
  EXPECT_EQ(stepsOf(budget, 400, 1, 3.0, 0.9).back(), 3u);
  // Prompt tokens become cheap, then dear: never none for long, whatever they cost.
  EXPECT_EQ(stepsOf(budget, 300, 1, 3.0, 0.003).back(), 64u);
  tokens = stepsOf(budget, 300, 1, 3.0, 30);
  EXPECT_EQ(tokens[250], 1u);
  EXPECT_GT(std::count(tokens.begin(), tokens.end(), 1u), 100);
  // Of eight answers at once nothing is known yet; they take longer, and leave more room.
  tokens = stepsOf(budget, 300, 8, 24.0, 2.9);
  EXPECT_EQ(tokens[0], 0u);
  EXPECT_EQ(tokens.back(), 8u);
  EXPECT_EQ(budget.promptTokens(8, 4), 33u);
  EXPECT_EQ(budget.promptTokens(8, 24), 64u);
}

TEST(StepBudget, WithoutTimesThatTellPromptsGoOn) {
  StepBudget budget(2, 64, 8);
  for (double seconds : {std::nan(""), -1.0, 0.0, std::numeric_limits<double>::infinity()})
    for (int i = 0; i < 40; ++i) {
      const uint32_t tokens = budget.promptTokens(2, 1);
      budget.record(2, tokens, seconds);
      EXPECT_TRUE(tokens == 4 || budget.promptTokens(2, 1) == 4) << i;
    }
  EXPECT_EQ(StepBudget(1, 64, 8).promptTokens(1, 1), 64u);
  StepBudget few(2, 2, 8);
  few.record(1, 0, 1.0);
  EXPECT_EQ(few.promptTokens(1, 1), 2u);
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
