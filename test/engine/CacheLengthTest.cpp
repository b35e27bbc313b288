//===- CacheLengthTest.cpp - the length that a cache is said to take ------===//
//
// Whatever the memory: a text of the announced length is taken and none that is longer, with full
// attention and with chunks of which the cache holds few pages.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Batcher.h"
#include "runtime/engine/Generator.h"
#include "test/engine/TinyModel.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace llama4::test {
namespace {

constexpr uint64_t pageTokens = L4_PAGE_TOKENS;

/// The test model with chunks of another length.
ProgramDesc withChunks(uint32_t tokens) {
  ProgramDesc program = tinyProgram();
  program.kvKinds[1].chunkTokens = tokens;
  for (Entry &entry : program.entries)
    for (Command &command : entry.commands)
      if (command.constants.size() == 2 && command.constants[0] == 1)
        command.constants[1] = tokens;
  return program;
}

/// How long a text becomes on so many pages, a token at a time.
uint64_t lengthOn(uint64_t pages, uint64_t chunk, uint64_t most) {
  for (uint64_t length = 0; length < most; ++length) {
    const uint64_t visible = chunk == 0 ? 0 : length / chunk * chunk;
    if (length / pageTokens + 1 - visible / pageTokens > pages)
      return length;
  }
  return most;
}

using Chunks = std::vector<uint32_t>; ///< of the kinds; 0: full attention

class CacheLength : public ::testing::TestWithParam<Chunks> {
protected:
  /// One text of all the length there is, in steps of up to so many tokens.
  void fill(KvCache &cache, uint64_t stepTokens, bool isRandom) {
    std::mt19937 random(static_cast<uint32_t>(stepTokens));
    const uint32_t slot = *cache.acquire();
    for (uint64_t length = 0, tokens; length < cache.maxLength(); length += tokens) {
      tokens =
          std::min(isRandom ? 1 + random() % stepTokens : stepTokens, cache.room(slot, length));
      ASSERT_GT(tokens, 0u) << "at " << length << " of " << cache.maxLength();
      const Status status = cache.reserve(slot, length + tokens, length);
      ASSERT_TRUE(status.ok()) << "at " << length << ": " << status.message();
      cache.retire(slot, length + tokens);
    }
    EXPECT_EQ(cache.room(slot, cache.maxLength()), 0u);
    EXPECT_EQ(cache.reserve(slot, cache.maxLength() + 1).kind(), StatusKind::Usage);
    cache.release(slot);
  }
};

TEST_P(CacheLength, IsWhatThePagesTake) {
  const std::unique_ptr<Device> device = tinyDevice(1);
  ProgramDesc program = tinyProgram();
  const KvKind pattern = program.kvKinds[1];
  program.kvKinds.clear();
  for (uint32_t chunk : GetParam()) {
    program.kvKinds.push_back(pattern);
    program.kvKinds.back().chunkTokens = chunk;
  }
  std::set<uint64_t> lengths;
  for (uint32_t sequences : {1u, 3u})
    for (uint64_t pages = GetParam().size(); pages < 90; ++pages) {
      Result<std::unique_ptr<KvCache>> made = KvCache::create(
          program, *device, {tinyLength, sequences, tinyStepTokens, pages * pattern.pageBytes});
      if (!made.ok()) // a kind without a page
        continue;
      uint64_t expected = tinyLength;
      for (uint32_t kind = 0; kind < (*made)->kinds(); ++kind)
        expected = lengthOn((*made)->pages(kind), GetParam()[kind], expected);
      ASSERT_EQ((*made)->maxLength(), expected) << pages << " pages";
      lengths.insert(expected);
      for (uint64_t stepTokens : {uint64_t{1}, uint64_t{tinyStepTokens}, uint64_t{tinyLength}})
        for (bool isRandom : {false, true})
          ASSERT_NO_FATAL_FAILURE(fill(**made, stepTokens, isRandom)) << pages << " pages";
    }
  EXPECT_GE(lengths.size(), 2u);
  EXPECT_EQ(*lengths.rbegin(), tinyLength);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CacheLength,
                         ::testing::Values(Chunks{0}, Chunks{0, 32}, Chunks{32, 0}, Chunks{0, 24},
                                           Chunks{64}, Chunks{40}, Chunks{0, 128},
                                           Chunks{0, 32, 64}, Chunks{0, 500}));

/// Engines with little memory for a model with chunks of so many tokens.
class RequestLength : public ::testing::TestWithParam<uint32_t> {
protected:
  void SetUp() override {
    device_ = tinyDevice(1);
    program_ = loadProgram(withChunks(GetParam()), ::testing::TempDir() + "cache_length_" +
                                                       std::to_string(GetParam()) + ".l4x");
  }
  Result<std::unique_ptr<Engine>> engine(uint64_t memory = 0, uint32_t sequences = tinyBatch) {
    return Engine::create(program_, *device_, {.maxSequences = sequences, .memory = memory});
  }
  /// The answer to a text on all the memory that there can be.
  const std::vector<int32_t> &expected(size_t prompt, uint64_t newTokens) {
    std::vector<int32_t> &known = known_[{prompt, newTokens}];
    if (known.empty())
      known = answer(*engine().take(), prompt, newTokens);
    return known;
  }
  std::vector<int32_t> answer(Engine &engine, size_t prompt, uint64_t newTokens) {
    const std::vector<GenerationRequest> one = {{tinyText(prompt, 1), newTokens, {}, {}, {}, {}}};
    Result<std::vector<Generation>> made = generate(engine, one, {{}, true, 0, nullptr});
    EXPECT_TRUE(made.ok()) << made.status().message();
    return made.ok() ? (*made)[0].tokens : std::vector<int32_t>();
  }
  static ScheduledRequest request(size_t prompt, uint64_t newTokens) {
    ScheduledRequest request;
    request.prompt = tinyText(prompt, 1);
    request.maxNewTokens = newTokens;
    request.ignoreStop = true;
    return request;
  }
  /// Requests of this length at once are answered, longer ones are refused.
  void check(Engine &engine) {
    const uint64_t most = engine.maxLength();
    Batcher batcher(engine, {});
    std::vector<ScheduledRequest> requests;
    for (uint64_t prompt : {uint64_t{1}, most / 2, most - 1})
      requests.push_back(request(prompt, most - prompt));
    std::vector<std::vector<int32_t>> heard(requests.size());
    for (size_t i = 0; i < requests.size(); ++i) {
      const Status status = batcher.check(requests[i]);
      ASSERT_TRUE(status.ok()) << status.message();
      ++requests[i].maxNewTokens;
      ASSERT_EQ(batcher.check(requests[i]).kind(), StatusKind::Usage);
      --requests[i].maxNewTokens;
      batcher.add(i, requests[i], [&, i](const RequestEvent &event) {
        EXPECT_TRUE(event.status.ok()) << event.status.message();
        if (event.token)
          heard[i].push_back(*event.token);
      });
    }
    for (int steps = 0; !batcher.idle(); ++steps) {
      ASSERT_LT(steps, 5000);
      ASSERT_TRUE(batcher.step().ok());
    }
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(heard[i], expected(requests[i].prompt.size(), requests[i].maxNewTokens));
  }

  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::map<std::pair<size_t, uint64_t>, std::vector<int32_t>> known_;
};

TEST_P(RequestLength, WhatIsAnnouncedIsTaken) {
  const std::unique_ptr<Engine> whole = engine().take();
  const Engine::Memory all = whole->memory();
  const uint64_t page = program_->desc().kvKinds[0].pageBytes;
  std::set<uint64_t> lengths;
  for (uint32_t sequences : {1u, 3u, tinyBatch})
    for (uint64_t pages = 2; pages < 90; pages += 1 + pages / 16) {
      Result<std::unique_ptr<Engine>> small =
          engine(all.arena + all.step + pages * page, sequences);
      if (!small.ok() || (*small)->maxLength() < 2)
        continue;
      SCOPED_TRACE(std::to_string(pages) + " pages, " + std::to_string(sequences) + " sequences");
      lengths.insert((*small)->maxLength());
      ASSERT_NO_FATAL_FAILURE(check(**small));
      const uint64_t prompt = (*small)->maxLength() - 1;
      EXPECT_EQ(answer(**small, prompt, 1),
                expected(prompt, 1)); // by a generator, which waits for nobody
    }
  EXPECT_GE(lengths.size(), 4u);
  EXPECT_EQ(*lengths.rbegin(), tinyLength);
}

/// Pages of a kind that a text holds at most, from `begin` to `end` in steps of up to `step`
/// tokens.
uint64_t mostHeld(const KvKind &kind, uint64_t begin, uint64_t end, uint64_t step) {
  uint64_t most = 0;
  for (uint64_t at = begin; at < end; ++at) {
    const uint64_t visible = kind.chunkTokens == 0 ? 0 : at / kind.chunkTokens * kind.chunkTokens;
    const uint64_t last = (std::min(at + step, end) + pageTokens - 1) / pageTokens;
    most = std::max(most, last - visible / pageTokens);
  }
  return most;
}

/// A text that generates and a prompt beside it, on less and less memory: what is let in processes
/// its prompt and takes nobody's pages, and what has to wait does so for pages that are missing.
TEST_P(RequestLength, WhatIsLetInTakesNobodysPages) {
  const std::unique_ptr<Engine> whole = engine().take();
  const Engine::Memory all = whole->memory();
  const std::vector<KvKind> &kinds = program_->desc().kvKinds;
  uint32_t letIn = 0, waited = 0;
  for (const auto [first, second] : {std::pair<uint64_t, uint64_t>{20, 90},
                                     {70, 30},
                                     {33, 150},
                                     {100, 65},
                                     {5, 41},
                                     {25, 60},
                                     {41, 120},
                                     {90, 33}})
    for (uint64_t pages = 90; pages > 10; --pages) {
      SCOPED_TRACE(std::to_string(first) + " and " + std::to_string(second) + " tokens on " +
                   std::to_string(pages) + " pages");
      Result<std::unique_ptr<Engine>> small = Engine::create(
          program_, *device_,
          {.memory = all.arena + all.step + pages * kinds[0].pageBytes, .prefixCache = false});
      if (!small.ok() || (*small)->maxLength() < std::max(first + 40, second + 1))
        continue;
      Batcher batcher(**small, {});
      batcher.add(1, request(first, 40), [](const RequestEvent &) {});
      for (int steps = 0; steps < 8; ++steps)
        ASSERT_TRUE(batcher.step().ok());
      const uint64_t before = batcher.totals().generatedTokens;
      ASSERT_GT(before, 0u);
      bool isAnswered = false;
      batcher.add(2, request(second, 1),
                  [&](const RequestEvent &event) { isAnswered |= event.finish.has_value(); });
      ASSERT_TRUE(batcher.step().ok());
      if (batcher.running() < 2 && !isAnswered) {
        bool isMissing = false;
        for (uint32_t kind : {0u, 1u}) {
          const uint64_t processed = first + before - 1;
          const uint64_t needed = mostHeld(kinds[kind], processed, processed + 1 + pageTokens, 1) +
                                  std::max(mostHeld(kinds[kind], 0, second + 1, 1),
                                           mostHeld(kinds[kind], 0, second, tinyStepTokens - 1));
          isMissing |= (*small)->cache().pages(kind) < needed + 1; // where chunks begin in a page
        }
        EXPECT_TRUE(isMissing);
        ++waited;
        continue;
      }
      ++letIn;
      for (int steps = 0; !isAnswered; ++steps) {
        ASSERT_LT(steps, 100);
        ASSERT_TRUE(batcher.step().ok());
      }
      ASSERT_LT(batcher.totals().generatedTokens - before, pageTokens);
      EXPECT_EQ(batcher.totals().preemptions, 0u);
    }
  EXPECT_GE(letIn, 10u);
  EXPECT_GE(waited, 10u);
}

INSTANTIATE_TEST_SUITE_P(Chunks, RequestLength, ::testing::Values(24u, 32u, 48u, 128u));

} // namespace
} // namespace llama4::test
