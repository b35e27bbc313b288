//===- CompanyTest.cpp - the same bits whatever the company ---------------===//
//
// Texts are run alone, each as one prompt on one thread, and every logit is kept. Then come random
// schedules: who runs, who joins and leaves when, how many tokens each adds to a step, how many
// threads work, which pages are free. All logits must have the same bits as alone.
//
// A part of the schedules is run unless LLAMA4_PROMISE_FULL asks for all of them.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Greedy.h"
#include "test/promise/Models.h"

#include <cstring>
#include <gtest/gtest.h>
#include <random>

namespace llama4::test {
namespace {

constexpr size_t promptLengths[] = {1, 17, 33, 64, 97, 131};
constexpr uint32_t newTokens = 8;

/// A text with what the model says to each of its tokens when it is alone.
struct Text {
  std::vector<int32_t> ids; ///< the prompt and its greedy continuation
  size_t prompt = 0;
  std::vector<std::vector<float>> logits;
};

/// One engine and the texts that it runs.
class Schedules {
public:
  Schedules(std::shared_ptr<const Program> program, const std::string &level)
      : program_(std::move(program)), level_(level) {
    for (unsigned threads = 1; threads <= 3; ++threads) {
      devices_.push_back(openDevice(threads, level_).take());
      // Pages for half of what all texts need together: they are handed on all the time.
      EngineOptions options;
      options.maxSequences = modelBatch;
      Engine::Memory all = Engine::create(program_, *devices_.back(), options).take()->memory();
      options.memory = all.weights + all.arena + all.step + all.cache / 2;
      engines_.push_back(Engine::create(program_, *devices_.back(), options).take());
    }
  }

  void makeTexts();
  void run(uint32_t seed);
  uint64_t compared() const { return compared_; }

private:
  struct Running {
    std::unique_ptr<Sequence> sequence;
    size_t text = 0;
    uint64_t leaves = 0; ///< the length at which it goes
  };

  void join(Engine &engine, std::mt19937 &random);
  void step(Engine &engine, std::mt19937 &random);
  void compare(const Running &running, uint64_t position, std::span<const float> logits);
  void leave();

  std::shared_ptr<const Program> program_;
  std::string level_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<std::unique_ptr<Engine>> engines_; ///< of 1, 2, 3 threads
  std::vector<Text> texts_;
  std::vector<Running> running_;
  uint64_t compared_ = 0;
};

/// Each text alone: the prompt in as few steps as there can be, then token by token.
void Schedules::makeTexts() {
  Engine &engine = *engines_[0];
  for (size_t length : promptLengths) {
    Text text;
    text.ids = madeUpText(length, engine.vocabSize(), static_cast<uint32_t>(length));
    text.prompt = length;
    std::unique_ptr<Sequence> sequence = engine.createSequence(length + newTokens).take();
    ASSERT_TRUE(sequence->append(text.ids).ok());
    while (sequence->pending() > 0) {
      SequenceChunk chunk = {sequence.get(), static_cast<uint32_t>(std::min<uint64_t>(
                                                 sequence->pending(), engine.maxStepTokens()))};
      ASSERT_TRUE(engine.step({&chunk, 1}).ok());
      std::vector<uint32_t> rows(chunk.tokens);
      for (uint32_t i = 0; i < chunk.tokens; ++i)
        rows[i] = i;
      ASSERT_TRUE(engine
                      .logits(rows,
                              [&](size_t, std::span<const float> logits) {
                                text.logits.emplace_back(logits.begin(), logits.end());
                              })
                      .ok());
      if (sequence->pending() > 0 || sequence->length() == length + newTokens)
        continue;
      text.ids.push_back(greedyToken(text.logits.back()).value());
      ASSERT_TRUE(sequence->append({&text.ids.back(), 1}).ok());
    }
    texts_.push_back(std::move(text));
  }
}

void Schedules::join(Engine &engine, std::mt19937 &random) {
  Result<std::unique_ptr<Sequence>> sequence = engine.createSequence(modelLength);
  if (!sequence.ok())
    return; // as many as there may be
  Running running;
  running.text = random() % texts_.size();
  const Text &text = texts_[running.text];
  // Some leave in the middle of their prompt.
  running.leaves = random() % 3 == 0 ? 1 + random() % text.ids.size() : text.ids.size();
  running.sequence = sequence.take();
  ASSERT_TRUE(running.sequence->append(std::span(text.ids).first(text.prompt)).ok());
  running_.push_back(std::move(running));
}

void Schedules::compare(const Running &running, uint64_t position, std::span<const float> logits) {
  const std::vector<float> &alone = texts_[running.text].logits[position];
  ASSERT_EQ(logits.size(), alone.size());
  ASSERT_EQ(std::memcmp(logits.data(), alone.data(), alone.size() * sizeof(float)), 0)
      << "text of " << texts_[running.text].prompt << " tokens, position " << position;
  compared_ += logits.size();
}

/// One step of some of those who are there, in any order, of any number of tokens each.
void Schedules::step(Engine &engine, std::mt19937 &random) {
  std::shuffle(running_.begin(), running_.end(), random);
  std::vector<SequenceChunk> chunks;
  std::vector<size_t> owners;
  uint32_t room = 1 + random() % engine.maxStepTokens();
  for (size_t i = 0; i < running_.size() && room > 0; ++i) {
    const uint64_t pending = running_[i].sequence->pending();
    if (pending == 0 || random() % 4 == 0)
      continue;
    uint32_t most = static_cast<uint32_t>(std::min<uint64_t>(pending, room));
    uint32_t tokens = random() % 3 == 0 ? most : 1 + random() % most;
    chunks.push_back({running_[i].sequence.get(), tokens});
    owners.push_back(i);
    room -= tokens;
  }
  if (chunks.empty())
    return;
  Status status = engine.step(chunks);
  if (status.kind() == StatusKind::OutOfMemory && !status.ok()) {
    running_.pop_back(); // its pages go to the others
    return;
  }
  ASSERT_TRUE(status.ok()) << status.message();
  std::vector<uint32_t> rows;
  std::vector<std::pair<size_t, uint64_t>> places; // owner, position
  for (size_t c = 0, row = 0; c < chunks.size(); ++c)
    for (uint32_t i = 0; i < chunks[c].tokens; ++i, ++row) {
      rows.push_back(static_cast<uint32_t>(row));
      places.emplace_back(owners[c], chunks[c].sequence->processed() - chunks[c].tokens + i);
    }
  std::vector<int32_t> next(running_.size(), -1);
  status = engine.logits(rows, [&](size_t i, std::span<const float> logits) {
    const auto [owner, position] = places[i];
    compare(running_[owner], position, logits);
    next[owner] = greedyToken(logits).value_or(-1);
  });
  ASSERT_TRUE(status.ok()) << status.message();
  for (size_t owner : owners) {
    Sequence &sequence = *running_[owner].sequence;
    if (sequence.pending() == 0 && sequence.length() < texts_[running_[owner].text].ids.size())
      ASSERT_TRUE(sequence.append({&next[owner], 1}).ok());
  }
}

void Schedules::leave() {
  std::erase_if(running_, [](const Running &running) {
    return running.sequence->processed() >= running.leaves;
  });
}

void Schedules::run(uint32_t seed) {
  std::mt19937 random(seed);
  Engine &engine = *engines_[random() % engines_.size()];
  const uint32_t joins = 2 + random() % 6;
  for (uint32_t joined = 0, steps = 0; (joined < joins || !running_.empty()) && steps < 2000;
       ++steps) {
    if (joined < joins && (running_.empty() || random() % 4 == 0)) {
      ASSERT_NO_FATAL_FAILURE(join(engine, random));
      ++joined;
    }
    ASSERT_NO_FATAL_FAILURE(step(engine, random));
    if (::testing::Test::HasFatalFailure())
      return;
    leave();
  }
  ASSERT_TRUE(running_.empty()) << "a schedule that does not end";
}

/// Runs the schedules of one program at every level of this machine.
void runSchedules(const std::string &checkpoint, const std::string &encoding, uint32_t count) {
  Result<std::string> path = compileModel(checkpoint, encoding);
  if (!path.ok() && path.status().kind() == StatusKind::Unavailable)
    GTEST_SKIP() << "the compiler does not offer " << encoding;
  ASSERT_TRUE(path.ok()) << path.status().message();
  std::shared_ptr<const Program> program = Program::load(*path).take();
  std::vector<std::string> levels = runnableLevels(program);
  ASSERT_FALSE(levels.empty());
  for (const std::string &level : levels) {
    Schedules schedules(program, level);
    ASSERT_NO_FATAL_FAILURE(schedules.makeTexts());
    for (uint32_t seed = 0; seed < count; ++seed) {
      schedules.run(seed);
      if (::testing::Test::HasFatalFailure())
        FAIL() << checkpoint << ", " << encoding << ", " << level << ", schedule " << seed;
    }
    std::printf("%s %s %s: %u schedules, %llu logits compared\n", checkpoint.c_str(),
                encoding.c_str(), level.c_str(), count,
                static_cast<unsigned long long>(schedules.compared()));
  }
}

class Company : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {};

TEST_P(Company, SameBits) {
  const auto [checkpoint, encoding] = GetParam();
  // Without experts and with chunked attention and experts; one format of each kind of core.
  const std::string name = std::string(checkpoint) + " " + encoding;
  const bool quick = name == "llama3-text-tied q4_1" || name == "llama3-text-tied int4_g128" ||
                     name == "llama4-text-f32 bfloat16";
  if (!fullRun() && !quick)
    GTEST_SKIP() << "set LLAMA4_PROMISE_FULL";
  runSchedules(checkpoint, encoding, fullRun() ? 200 : 12);
}

INSTANTIATE_TEST_SUITE_P(
    Models, Company,
    ::testing::Combine(::testing::Values("llama3-text-tied", "llama4-text-f32"),
                       ::testing::ValuesIn(allEncodings().begin(), allEncodings().end())),
    [](const auto &info) {
      std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

} // namespace
} // namespace llama4::test
