//===- SchedulerTest.cpp - requests from many threads ---------------------===//

#include "runtime/engine/Scheduler.h"

#include "test/engine/TinyModel.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <gtest/gtest.h>
#include <random>

namespace llama4::test {
namespace {

/// Everything a listener heard of a request.
struct Heard {
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::optional<FinishReason>> reasons;
  std::vector<TokenLogprobs> logprobs;
  Status status;
};

/// Waits for the end of one request.
class Answer {
public:
  explicit Answer(uint32_t choices) : left_(choices) {
    heard_.tokens.resize(choices);
    heard_.reasons.resize(choices);
  }
  RequestListener listener() {
    return [this](const RequestEvent &event) { add(event); };
  }
  Heard &get() {
    auto future = done_.get_future();
    if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready)
      ADD_FAILURE() << "a request was never answered";
    return heard_;
  }

private:
  void add(const RequestEvent &event) {
    if (!event.status.ok()) {
      heard_.status = event.status;
      done_.set_value();
      return;
    }
    if (event.token)
      heard_.tokens[event.choice].push_back(*event.token);
    if (event.logprobs)
      heard_.logprobs.push_back(*event.logprobs);
    if (event.finish) {
      heard_.reasons[event.choice] = event.finish;
      if (--left_ == 0)
        done_.set_value();
    }
  }
  Heard heard_;
  uint32_t left_;
  std::promise<void> done_;
};

class SchedulerTest : public ::testing::Test {
protected:
  void SetUp() override {
    device_ = tinyDevice(2);
    soloDevice_ = tinyDevice(1); // the other one belongs to the scheduler's thread
    program_ = loadTiny(::testing::TempDir() + "scheduler.l4x");
  }
  std::unique_ptr<Engine> engine(const EngineOptions &options = {}) {
    Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
    EXPECT_TRUE(engine.ok()) << engine.status().message();
    return engine.take();
  }
  std::unique_ptr<Scheduler> start(SchedulerOptions options = {},
                                   const EngineOptions &limits = {}) {
    if (options.batcher.stopIds.empty())
      options.batcher.stopIds = {tinyEos};
    return Scheduler::create(engine(limits), options).take();
  }
  /// What the generator makes of the same request alone.
  Generation alone(const ScheduledRequest &request, uint32_t choice = 0) {
    SamplingParameters sampling = request.sampling;
    sampling.seed += choice;
    std::vector<GenerationRequest> one = {
        {request.prompt, request.maxNewTokens, sampling, request.stopIds, {}}};
    auto engine = Engine::create(program_, *soloDevice_, {});
    EXPECT_TRUE(engine.ok());
    auto all = generate(**engine, one, {{tinyEos}, request.ignoreStop, 0, nullptr});
    EXPECT_TRUE(all.ok());
    return (*all)[0];
  }
  static ScheduledRequest request(size_t prompt, uint32_t seed, uint64_t newTokens) {
    ScheduledRequest request;
    request.prompt = tinyText(prompt, seed);
    request.maxNewTokens = newTokens;
    return request;
  }
  /// Bytes that leave the cache so many pages of the full kind.
  EngineOptions tightCache(uint32_t pages) {
    EngineOptions options;
    uint64_t low = 1;
    for (uint64_t step = 1u << 28; step != 0; step /= 2) { // the least memory with that many pages
      options.memory = low + step;
      Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
      if (!engine.ok() || (*engine)->cache().pages(0) < pages)
        low += step;
    }
    options.memory = low + 1;
    return options;
  }
  /// Submits again while too many wait, for up to a minute.
  static void submitUntilTaken(Scheduler &scheduler, const ScheduledRequest &one,
                               const RequestListener &listener) {
    bool taken = false;
    for (int i = 0; i < 6000 && !taken; ++i) {
      taken = scheduler.submit(one, listener).ok();
      if (!taken)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(taken);
  }

  static void waitIdle(const Scheduler &scheduler) {
    for (int i = 0; i < 6000 && !scheduler.idle(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_TRUE(scheduler.idle());
  }

  std::unique_ptr<Device> device_, soloDevice_;
  std::shared_ptr<const Program> program_;
};

TEST_F(SchedulerTest, EveryAnswerEqualsItsSoloRun) {
  std::unique_ptr<Scheduler> scheduler = start({.batcher = {.promptTokensBesideDecode = 8}});
  std::vector<ScheduledRequest> requests;
  for (uint32_t i = 0; i < 24; ++i) { // more than the engine has slots
    // A prompt of one token overtakes longer ones that came before.
    requests.push_back(request(i % 6 == 5 ? 1 : 1 + i * 5, i + 1, 3 + i * 2));
    requests.back().ignoreStop = i % 3 == 0;
    requests.back().sampling.temperature = i % 2 ? 0.9f : 0.0f;
    requests.back().sampling.seed = i;
    requests.back().choices = i % 4 == 1 ? 3 : 1;
  }
  std::vector<std::unique_ptr<Answer>> answers;
  for (const ScheduledRequest &one : requests)
    answers.push_back(std::make_unique<Answer>(one.choices));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < requests.size(); i += 4)
        EXPECT_TRUE(scheduler->submit(requests[i], answers[i]->listener()).ok());
    });
  for (std::thread &thread : threads)
    thread.join();
  for (size_t i = 0; i < requests.size(); ++i) {
    Heard &heard = answers[i]->get();
    for (uint32_t choice = 0; choice < requests[i].choices; ++choice) {
      Generation wanted = alone(requests[i], choice);
      EXPECT_EQ(heard.tokens[choice], wanted.tokens) << "request " << i << " choice " << choice;
      EXPECT_EQ(heard.reasons[choice], wanted.reason);
    }
  }
  waitIdle(*scheduler);
  EXPECT_EQ(scheduler->stats().cacheUse, 0);
}

TEST_F(SchedulerTest, WithoutPagesTheYoungestWaitsAndLosesNothing) {
  // Two prompts fit at once, two whole answers don't: each needs 7 of these pages.
  std::unique_ptr<Scheduler> scheduler = start({}, tightCache(13));
  std::vector<ScheduledRequest> requests;
  std::vector<std::unique_ptr<Answer>> answers;
  for (uint32_t i = 0; i < 6; ++i) {
    requests.push_back(request(20 + i, i + 1, 90));
    requests.back().ignoreStop = true;
    requests.back().sampling = {.temperature = 1.0f, .frequencyPenalty = 0.5f, .seed = i};
    answers.push_back(std::make_unique<Answer>(1));
    ASSERT_TRUE(scheduler->submit(requests.back(), answers.back()->listener()).ok());
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    Heard &heard = answers[i]->get();
    EXPECT_TRUE(heard.status.ok()) << heard.status.message();
    EXPECT_EQ(heard.tokens[0], alone(requests[i]).tokens) << "request " << i;
  }
  EXPECT_GT(scheduler->stats().preemptions, 0u);
}

TEST_F(SchedulerTest, RefusesWhatCanNeverFit) {
  std::unique_ptr<Scheduler> scheduler = start({}, {.maxLength = 80});
  ASSERT_EQ(scheduler->maxLength(), 80u);
  auto kindOf = [&](ScheduledRequest one) {
    Answer answer(1);
    auto id = scheduler->submit(std::move(one), [](const RequestEvent &) {});
    return id.ok() ? StatusKind::Ok : id.status().kind();
  };
  EXPECT_EQ(kindOf(request(79, 1, 2)), StatusKind::Usage);
  EXPECT_EQ(kindOf(request(80, 1, 0)), StatusKind::Usage);
  EXPECT_EQ(kindOf(request(5, 1, ~0ull)), StatusKind::Usage);
  EXPECT_EQ(kindOf(request(0, 1, 1)), StatusKind::InvalidInput);
  ScheduledRequest odd = request(3, 1, 1);
  odd.prompt[1] = tinyVocab;
  EXPECT_EQ(kindOf(odd), StatusKind::InvalidInput);
  odd = request(3, 1, 1);
  odd.sampling.topP = 2;
  EXPECT_EQ(kindOf(odd), StatusKind::Usage);
  EXPECT_EQ(kindOf(request(79, 1, 1)), StatusKind::Ok);
  waitIdle(*scheduler);
  scheduler = start({}, tightCache(12)); // and 5 pages of the chunked kind, which are enough
  ASSERT_EQ(scheduler->maxLength(), 12u * 16u);
  EXPECT_EQ(kindOf(request(60, 1, 12 * 16 - 59)), StatusKind::Usage);
  EXPECT_EQ(kindOf(request(60, 1, 12 * 16 - 60)), StatusKind::Ok);
  waitIdle(*scheduler);
}

TEST_F(SchedulerTest, OverloadIsRefusedAtOnce) {
  std::unique_ptr<Scheduler> scheduler = start({.maxWaiting = 4});
  std::atomic<int> ended = 0;
  int taken = 0, refused = 0;
  for (uint32_t i = 0; i < 60; ++i) {
    ScheduledRequest one = request(30, i + 1, 100);
    one.ignoreStop = true;
    auto id = scheduler->submit(one, [&](const RequestEvent &event) { ended += !!event.finish; });
    ++(id.ok() ? taken : refused);
    if (!id.ok())
      EXPECT_EQ(id.status().kind(), StatusKind::Unavailable);
  }
  EXPECT_GT(refused, 0);
  EXPECT_GE(taken, 4);
  EXPECT_EQ(scheduler->stats().refused, static_cast<uint64_t>(refused));
  waitIdle(*scheduler);
  EXPECT_EQ(ended, taken);
  scheduler->close();
  EXPECT_FALSE(scheduler->submit(request(3, 1, 1), [](const RequestEvent &) {}).ok());
}

/// One key has filled the queue; another one still gets its share, and no more.
TEST_F(SchedulerTest, OneKeyDoesNotShutTheDoorForAnother) {
  std::unique_ptr<Scheduler> scheduler = start({.maxWaiting = 8}, {.maxSequences = 1});
  // The batch is held up until all have tried; what it took still counts as waiting.
  std::promise<void> begun, tried;
  std::shared_future<void> go = tried.get_future().share();
  ScheduledRequest first = request(3, 1, 1);
  first.key = "many";
  ASSERT_TRUE(scheduler
                  ->submit(first,
                           [&begun, go](const RequestEvent &) {
                             begun.set_value();
                             go.wait();
                           })
                  .ok());
  begun.get_future().wait();
  auto takenOf = [&](const char *key, int tries) {
    int taken = 0;
    for (int i = 0; i < tries; ++i) {
      ScheduledRequest one = request(3, 1, 1);
      one.key = key;
      taken += scheduler->submit(one, [](const RequestEvent &) {}).ok();
    }
    return taken;
  };
  EXPECT_EQ(takenOf("many", 20), 7);
  EXPECT_EQ(takenOf("other", 20), 4);
  EXPECT_EQ(takenOf("third", 20), 2);
  EXPECT_EQ(takenOf("many", 20), 0);
  tried.set_value();
  waitIdle(*scheduler);
}

TEST_F(SchedulerTest, CancelledWithinAStep) {
  std::unique_ptr<Scheduler> scheduler = start();
  ScheduledRequest one = request(10, 3, 0);
  one.ignoreStop = true;
  one.choices = 2;
  std::atomic<int> events = 0;
  std::atomic<uint64_t> id = 0;
  int atCancel = 0; // the listener's
  auto submitted = scheduler->submit(one, [&](const RequestEvent &) {
    if (++events == 11) {
      atCancel = events;
      while (id == 0)
        std::this_thread::yield();
      scheduler->cancel(id);
    }
  });
  ASSERT_TRUE(submitted.ok());
  id = *submitted;
  waitIdle(*scheduler);
  EXPECT_EQ(atCancel, 11);
  EXPECT_LE(events, 12); // the other answer's token of the same step
  EXPECT_EQ(scheduler->stats().cacheUse, 0);
  scheduler->cancel(*submitted); // no more known
  scheduler->cancel(12345);
}

TEST_F(SchedulerTest, AtLeastSoManyTokens) {
  std::unique_ptr<Scheduler> scheduler = start();
  ScheduledRequest one;
  for (uint32_t seed = 1;; ++seed) { // an answer that stops early by itself
    one = request(15, seed, 30);
    one.sampling = {.temperature = 1.5f, .seed = seed};
    ASSERT_LT(seed, 200u);
    Generation short_ = alone(one);
    if (short_.reason == FinishReason::Stop && short_.tokens.size() < 8)
      break;
  }
  one.minNewTokens = 12;
  Answer answer(1);
  ASSERT_TRUE(scheduler->submit(one, answer.listener()).ok());
  Heard &heard = answer.get();
  EXPECT_GE(heard.tokens[0].size(), 12u);
  for (size_t i = 0; i < 12; ++i)
    EXPECT_NE(heard.tokens[0][i], tinyEos);
}

TEST_F(SchedulerTest, LogprobsAreOfTheModel) {
  std::unique_ptr<Scheduler> scheduler = start();
  ScheduledRequest one = request(12, 4, 4);
  one.ignoreStop = true;
  one.topLogprobs = 3;
  one.sampling = {.temperature = 2.0f, .topK = 4, .seed = 5};
  Answer answer(1);
  ASSERT_TRUE(scheduler->submit(one, answer.listener()).ok());
  Heard &heard = answer.get();
  ASSERT_EQ(heard.logprobs.size(), 4u);
  std::vector<int32_t> ids = one.prompt;
  for (const TokenLogprobs &found : heard.logprobs) {
    std::vector<float> logits = tinyLogits(tinyReference(ids).back());
    double sum = 0;
    for (float logit : logits)
      sum += std::exp(static_cast<double>(logit));
    ASSERT_EQ(found.top.size(), 3u);
    for (const TokenLogprob &token : found.top)
      EXPECT_NEAR(token.logprob, logits[token.id] - std::log(sum), 1e-4);
    EXPECT_NEAR(found.chosen.logprob, logits[found.chosen.id] - std::log(sum), 1e-4);
    EXPECT_GE(found.top[0].logprob, found.top[1].logprob);
    EXPECT_EQ(found.top[0].logprob, tokenLogprobs(logits, 0, tinyVocab).top[0].logprob);
    ids.push_back(found.chosen.id);
  }
}

TEST_F(SchedulerTest, ListenersHearOfTheEnd) {
  Answer answer(1);
  {
    std::unique_ptr<Scheduler> scheduler = start();
    ScheduledRequest one = request(10, 3, 180);
    one.ignoreStop = true;
    for (int i = 0; i < 20; ++i)
      ASSERT_TRUE(scheduler->submit(one, [](const RequestEvent &) {}).ok());
    ASSERT_TRUE(scheduler->submit(one, answer.listener()).ok());
  }
  EXPECT_EQ(answer.get().status.kind(), StatusKind::Unavailable);
}

/// A prompt of 120 tokens beside an answer: no step takes more of it than allowed.
TEST_F(SchedulerTest, PromptsComeInPiecesBesideAnswers) {
  std::unique_ptr<Engine> small = engine();
  Batcher batcher(*small, {.stopIds = {}, .promptTokensBesideDecode = 10});
  int tokens = 0;
  batcher.add(1, request(4, 1, 60), [&](const RequestEvent &event) { tokens += !!event.token; });
  ASSERT_TRUE(batcher.step().ok());
  EXPECT_EQ(tokens, 1);
  batcher.add(2, request(120, 2, 1), [](const RequestEvent &) {});
  uint64_t before = batcher.totals().promptTokens;
  for (int steps = 1; batcher.running() + batcher.waiting() == 2; ++steps) {
    ASSERT_TRUE(batcher.step().ok());
    EXPECT_LE(batcher.totals().promptTokens - before, 10u);
    before = batcher.totals().promptTokens;
    EXPECT_EQ(tokens, 1 + steps);
  }
  EXPECT_EQ(tokens, 13);
}

/// Operations of all threads together: LLAMA4_SCHEDULER_OPERATIONS, or 1000.
int manyOperations() {
  const char *asked = std::getenv("LLAMA4_SCHEDULER_OPERATIONS");
  const int count = asked ? std::atoi(asked) : 0;
  return count > 0 ? count : 1000;
}

/// 8 threads of 5 keys submit, cancel and empty the cache at random, on so few pages that answers
/// are preempted and known texts evicted; whoever was not cancelled hears of an end.
TEST_F(SchedulerTest, ManyThreadsSubmitAndCancel) {
  constexpr int threadCount = 8;
  const int operations = manyOperations() / threadCount;
  std::unique_ptr<Scheduler> scheduler = start({.maxWaiting = 24}, tightCache(14));
  std::atomic<int> taken = 0, cancelled = 0, ended = 0, timedOut = 0, kept = 0;
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < threadCount; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<uint64_t> mine;
      for (int i = 0; i < operations; ++i) {
        if (!mine.empty() && random() % 3 == 0) {
          scheduler->cancel(mine[mine.size() - 1 - random() % std::min<size_t>(mine.size(), 4)]);
          ++cancelled;
          continue;
        }
        if (random() % 32 == 0)
          scheduler->dropPrefixCache();
        // Few beginnings, so that texts meet.
        ScheduledRequest one = request(1 + random() % 40, random() % 8, 1 + random() % 50);
        one.choices = 1 + random() % 3;
        one.key = std::to_string(random() % 5);
        one.sampling = {.temperature = 0.7f, .seed = random()};
        if (random() % 8 == 0)
          one.deadline =
              std::chrono::steady_clock::now() + std::chrono::microseconds(random() % 20000);
        auto left = std::make_shared<int>(static_cast<int>(one.choices));
        const RequestListener listener = [&ended, &timedOut, left](const RequestEvent &event) {
          EXPECT_TRUE(event.status.ok() || event.timedOut) << event.status.message();
          timedOut += event.timedOut;
          ended += event.finish && --*left == 0;
        };
        auto id = scheduler->submit(one, listener);
        for (int tries = 0; tries < 50 && !id.ok(); ++tries) { // so that few are never taken
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          id = scheduler->submit(one, listener);
        }
        if (id.ok())
          ++taken, mine.push_back(*id);
        (void)scheduler->stats();
      }
      submitUntilTaken(*scheduler, request(1 + t, t, 3),
                       [&kept](const RequestEvent &event) { kept += !!event.finish; });
    });
  for (std::thread &thread : threads)
    thread.join();
  waitIdle(*scheduler);
  EXPECT_GT(cancelled, 0);
  EXPECT_EQ(kept, threadCount); // nobody cancels these
  EXPECT_LE(ended + timedOut, taken);
  EXPECT_GE(ended + timedOut, taken - cancelled);
  EXPECT_EQ(scheduler->stats().timeouts, static_cast<uint64_t>(timedOut));
  const SchedulerStats stats = scheduler->stats();
  std::printf("%d operations: %d requests taken, %d cancellations, %d ended, %d timed out, "
              "%llu preemptions, %llu prompt tokens known of %llu\n",
              operations * threadCount, taken.load(), cancelled.load(), ended.load(),
              timedOut.load(), static_cast<unsigned long long>(stats.preemptions),
              static_cast<unsigned long long>(stats.prefixHits),
              static_cast<unsigned long long>(stats.prefixQueries));
  EXPECT_EQ(scheduler->stats().cacheUse, 0);
  scheduler->dropPrefixCache();
  waitIdle(*scheduler);
  EXPECT_EQ(scheduler->stats().cachedUse, 0);
  EXPECT_FALSE(scheduler->failed());
}

} // namespace
} // namespace llama4::test
