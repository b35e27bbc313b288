//===- DepthTest.cpp - the same bits at depth -----------------------------===//
//
// Where a token sees so many keys that they are divided into parts, decoding divides the parts
// among threads while a prompt does them one after the other. A text is run as one prompt on one
// thread, and then in other steps on 1, 2 and 3 threads: all logits must have the same bits.
//
//===----------------------------------------------------------------------===//

#include "test/promise/Models.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

using Rows = std::vector<std::vector<float>>;

constexpr size_t textTokens = 1000;
constexpr uint32_t textLength = 1024;

/// Processes up to `atOnce` tokens of each sequence in a step until none has any left; the logits
/// of every token.
void process(Engine &engine, std::span<std::unique_ptr<Sequence>> sequences, uint32_t atOnce,
             std::span<Rows> rows) {
  while (true) {
    std::vector<SequenceChunk> chunks;
    std::vector<size_t> owners;
    for (size_t i = 0; i < sequences.size(); ++i)
      if (uint64_t pending = sequences[i]->pending()) {
        const auto tokens = static_cast<uint32_t>(std::min<uint64_t>(pending, atOnce));
        chunks.push_back({sequences[i].get(), tokens});
        owners.insert(owners.end(), tokens, i);
      }
    if (chunks.empty())
      return;
    Status status = engine.step(chunks);
    ASSERT_TRUE(status.ok()) << status.message();
    std::vector<uint32_t> wanted(owners.size());
    for (uint32_t i = 0; i < wanted.size(); ++i)
      wanted[i] = i;
    status = engine.logits(wanted, [&](size_t i, std::span<const float> logits) {
      rows[owners[i]].emplace_back(logits.begin(), logits.end());
    });
    ASSERT_TRUE(status.ok()) << status.message();
  }
}

/// `rows` are the first of `alone`.
void compare(const Rows &rows, const Rows &alone) {
  ASSERT_LE(rows.size(), alone.size());
  for (size_t i = 0; i < rows.size(); ++i)
    ASSERT_EQ(std::memcmp(rows[i].data(), alone[i].data(), rows[i].size() * sizeof(float)), 0)
        << "position " << i;
}

std::unique_ptr<Sequence> begin(Engine &engine, std::span<const int32_t> text) {
  std::unique_ptr<Sequence> sequence = engine.createSequence(textLength).take();
  EXPECT_TRUE(sequence->append(text).ok());
  return sequence;
}

class Depth : public ::testing::TestWithParam<std::tuple<const char *, const char *>> {};

TEST_P(Depth, SameBits) {
  const auto [checkpoint, encoding] = GetParam();
  Result<std::string> path = compileModel(checkpoint, encoding, textLength);
  ASSERT_TRUE(path.ok()) << path.status().message();
  std::shared_ptr<const Program> program = Program::load(*path).take();
  for (const std::string &level : runnableLevels(program)) {
    SCOPED_TRACE(level);
    std::unique_ptr<Device> one = openDevice(1, level).take();
    auto alone = Engine::create(program, *one, {.prefixCache = false}).take();
    const std::vector<int32_t> text = madeUpText(textTokens, alone->vocabSize(), 5);
    std::unique_ptr<Sequence> whole[] = {begin(*alone, text)};
    Rows expected[1];
    ASSERT_NO_FATAL_FAILURE(process(*alone, whole, modelStepTokens, expected));
    for (unsigned threads = 1; threads <= 3; ++threads) {
      SCOPED_TRACE(std::to_string(threads) + " threads");
      std::unique_ptr<Device> device = openDevice(threads, level).take();
      auto engine = Engine::create(program, *device, {.prefixCache = false}).take();
      // Three texts of different lengths, to the end token by token, all in the same steps.
      std::unique_ptr<Sequence> sequences[3];
      Rows rows[3];
      const size_t prompts[] = {250, 500, 900};
      for (size_t i = 0; i < 3; ++i) {
        sequences[i] = begin(*engine, std::span(text).first(prompts[i]));
        ASSERT_NO_FATAL_FAILURE(process(*engine, {&sequences[i], 1}, 16, {&rows[i], 1}));
        ASSERT_TRUE(
            sequences[i]->append(std::span(text).subspan(prompts[i], i == 0 ? 300 : 100)).ok());
      }
      ASSERT_NO_FATAL_FAILURE(process(*engine, sequences, 1, rows));
      for (size_t i = 0; i < 3; ++i) {
        ASSERT_EQ(rows[i].size(), sequences[i]->length());
        ASSERT_NO_FATAL_FAILURE(compare(rows[i], expected[0])) << "text " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Depth,
                         ::testing::Values(std::tuple("llama3-text-tied", "q4_1"),
                                           std::tuple("llama3-text-tied", "float32"),
                                           std::tuple("llama4-text-f32", "bfloat16")),
                         [](const auto &info) {
                           std::string name =
                               std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

} // namespace
} // namespace llama4::test
