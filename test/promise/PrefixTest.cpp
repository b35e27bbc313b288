//===- PrefixTest.cpp - the same bits when a beginning is known -----------===//
//
// A text is run alone on an engine that remembers nothing, and every logit is kept. On another
// engine a text that begins the same way went before it, so that its pages are taken over: the
// logits of all that is still processed must have the same bits. The common beginnings end before,
// at and behind the borders of attention chunks.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Greedy.h"
#include "test/promise/Models.h"

#include <cstring>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

using Rows = std::vector<std::vector<float>>;

constexpr size_t textTokens = 100, newTokens = 12;

/// Processes what is pending in steps of at most `atOnce` tokens; the logits of each token.
void process(Engine &engine, Sequence &sequence, uint32_t atOnce, Rows &rows) {
  while (sequence.pending() > 0) {
    SequenceChunk chunk = {&sequence,
                           static_cast<uint32_t>(std::min<uint64_t>(sequence.pending(), atOnce))};
    Status status = engine.step({&chunk, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    std::vector<uint32_t> wanted(chunk.tokens);
    for (uint32_t i = 0; i < chunk.tokens; ++i)
      wanted[i] = i;
    ASSERT_TRUE(engine
                    .logits(wanted,
                            [&](size_t, std::span<const float> logits) {
                              rows.emplace_back(logits.begin(), logits.end());
                            })
                    .ok());
  }
}

/// The same and then a greedy answer.
void answer(Engine &engine, Sequence &sequence, uint32_t atOnce, Rows &rows) {
  ASSERT_NO_FATAL_FAILURE(process(engine, sequence, atOnce, rows));
  for (size_t i = 0; i < newTokens; ++i) {
    const int32_t token = greedyToken(rows.back()).value();
    ASSERT_TRUE(sequence.append({&token, 1}).ok());
    ASSERT_NO_FATAL_FAILURE(process(engine, sequence, 1, rows));
  }
}

std::unique_ptr<Sequence> begin(Engine &engine, const std::vector<int32_t> &tokens) {
  std::unique_ptr<Sequence> sequence = engine.createSequence().take();
  EXPECT_TRUE(sequence->append(tokens).ok());
  return sequence;
}

class Prefix : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {
protected:
  void SetUp() override {
    const auto [checkpoint, encoding] = GetParam();
    Result<std::string> path = compileModel(checkpoint, encoding);
    ASSERT_TRUE(path.ok()) << path.status().message();
    program_ = Program::load(*path).take();
    device_ = openDevice(2).take();
    auto forgetful = Engine::create(program_, *device_, {.prefixCache = false});
    ASSERT_TRUE(forgetful.ok()) << forgetful.status().message();
    text_ = madeUpText(textTokens, (*forgetful)->vocabSize(), 3);
    std::unique_ptr<Sequence> sequence = begin(**forgetful, text_);
    EXPECT_EQ(sequence->reusePrefix(), 0u);
    ASSERT_NO_FATAL_FAILURE(answer(**forgetful, *sequence, modelStepTokens, alone_));
    answered_.assign(sequence->tokens().begin(), sequence->tokens().end());
  }
  /// The text or its answer from its first processed token on.
  void compare(const Rows &rows, const Sequence &sequence, uint64_t reused) {
    ASSERT_EQ(rows.size() + reused, alone_.size());
    for (size_t i = 0; i < rows.size(); ++i)
      ASSERT_EQ(
          std::memcmp(rows[i].data(), alone_[reused + i].data(), rows[i].size() * sizeof(float)), 0)
          << "position " << reused + i;
    EXPECT_TRUE(std::ranges::equal(sequence.tokens(), answered_));
  }

  std::shared_ptr<const Program> program_;
  std::unique_ptr<Device> device_;
  std::vector<int32_t> text_, answered_;
  Rows alone_;
};

TEST_P(Prefix, KnownBeginningsGiveTheSameBits) {
  constexpr size_t chunk = 32; // of the model with chunked attention
  auto engine = Engine::create(program_, *device_).take();
  for (size_t common : {chunk - 1, chunk, chunk + 1, 2 * chunk - 1, 2 * chunk, 2 * chunk + 3}) {
    for (uint32_t atOnce : {modelStepTokens, 7u}) {
      engine->dropPrefixCache();
      std::vector<int32_t> other(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(common));
      other.push_back((text_[common] + 1) % static_cast<int32_t>(engine->vocabSize()));
      Rows ignored;
      ASSERT_NO_FATAL_FAILURE(
          answer(*engine, *begin(*engine, other), modelStepTokens - 5, ignored));
      std::unique_ptr<Sequence> sequence = begin(*engine, text_);
      const uint64_t reused = sequence->reusePrefix();
      EXPECT_EQ(reused, common / L4_PAGE_TOKENS * L4_PAGE_TOKENS) << common;
      Rows rows;
      ASSERT_NO_FATAL_FAILURE(answer(*engine, *sequence, atOnce, rows));
      ASSERT_NO_FATAL_FAILURE(compare(rows, *sequence, reused)) << "common tokens: " << common;
    }
  }
}

/// A text whose answer another one has in the same steps, on pages that they share.
TEST_P(Prefix, ForksGiveTheSameBits) {
  auto engine = Engine::create(program_, *device_).take();
  std::unique_ptr<Sequence> first = begin(*engine, text_);
  Rows rows;
  ASSERT_NO_FATAL_FAILURE(process(*engine, *first, modelStepTokens, rows));
  std::unique_ptr<Sequence> other = engine->fork(*first).take();
  Rows otherRows = rows;
  for (size_t i = 0; i < newTokens; ++i) { // turn by turn: each writes behind the same page
    const int32_t token = greedyToken(rows.back()).value(), wrong = (token + 1) % 100;
    ASSERT_TRUE(first->append({&token, 1}).ok());
    ASSERT_TRUE(other->append({&wrong, 1}).ok());
    ASSERT_NO_FATAL_FAILURE(process(*engine, *other, 1, otherRows));
    ASSERT_NO_FATAL_FAILURE(process(*engine, *first, 1, rows));
  }
  ASSERT_NO_FATAL_FAILURE(compare(rows, *first, 0));
}

INSTANTIATE_TEST_SUITE_P(Models, Prefix,
                         ::testing::Values(std::tuple("llama3-text-tied", "q4_1"),
                                           std::tuple("llama4-text-f32", "bfloat16")));

} // namespace
} // namespace llama4::test
