//===- PerplexityTest.cpp - perplexity against reference logits -----------===//
//
// The expected value is computed here from the logits that the reference implementation gave, by
// the definition of the method; test_perplexity.py in test/cli does it for whole texts.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Perplexity.h"

#include "test/promise/Models.h"

#include <cmath>
#include <gtest/gtest.h>

namespace llama4::test {
namespace {

/// -ln softmax(row)[id], in long double and without Perplexity.h.
long double likelihood(std::span<const float> row, int32_t id) {
  long double sum = 0;
  for (float value : row)
    sum += std::exp(static_cast<long double>(value));
  return std::log(sum) - static_cast<long double>(row[static_cast<size_t>(id)]);
}

class PerplexityTest : public ::testing::Test {
protected:
  void SetUp() override {
    Result<std::string> path = compileModel("llama3-text-tied", "float32");
    ASSERT_TRUE(path.ok()) << path.status().message();
    device_ = openDevice(1).take();
    engine_ = Engine::create(Program::load(*path).take(), *device_).take();
    golden_ = readGolden("llama3-text-tied", "prefill.p45");
    ASSERT_EQ(golden_.logits.size(), golden_.ids.size() * engine_->vocabSize());
  }
  std::span<const float> row(size_t position) const {
    return std::span(golden_.logits).subspan(position * engine_->vocabSize(), engine_->vocabSize());
  }

  std::unique_ptr<Device> device_;
  std::unique_ptr<Engine> engine_;
  Golden golden_;
};

TEST_F(PerplexityTest, FirstChunkFromGoldenLogits) {
  for (uint32_t context : {4u, 15u, 22u})
    for (uint32_t step : {0u, 1u, 7u}) {
      long double sum = 0, squares = 0;
      for (size_t at = context / 2; at + 1 < context; ++at) {
        long double value = likelihood(row(at), golden_.ids[at + 1]);
        sum += value;
        squares += value * value;
      }
      const auto count = static_cast<long double>(scoredPerChunk(context));
      PerplexityOptions options;
      options.context = context;
      options.maxChunks = 1;
      options.prefillChunk = step;
      Result<PerplexityEstimate> found = measurePerplexity(*engine_, golden_.ids, options);
      ASSERT_TRUE(found.ok()) << found.status().message();
      EXPECT_EQ(found->scored, scoredPerChunk(context));
      EXPECT_NEAR(std::log(found->perplexity()), static_cast<double>(sum / count), 2e-4);
      if (count > 1) {
        const long double mean = sum / count;
        const long double variance = squares / count - mean * mean;
        EXPECT_NEAR(found->error() / found->perplexity(),
                    static_cast<double>(std::sqrt(variance / (count - 1))), 2e-4);
      }
    }
}

/// BOS takes the place of a chunk's first token, and each chunk begins anew.
TEST_F(PerplexityTest, BosReplacesTheFirstToken) {
  constexpr uint32_t context = 20;
  std::vector<int32_t> ids(golden_.ids.begin(), golden_.ids.begin() + 2 * context);
  PerplexityOptions options;
  options.context = context;
  std::vector<double> running;
  auto keep = [&](const PerplexityEstimate &estimate) { running.push_back(estimate.sum); };
  // The first chunk twice, its first token spoilt: what was there must not count.
  std::copy_n(ids.begin(), context, ids.begin() + context);
  ids[context] = (ids[0] + 1) % static_cast<int32_t>(engine_->vocabSize());
  ASSERT_TRUE(measurePerplexity(*engine_, ids, options, keep).ok());
  EXPECT_NE(running[1], 2 * running[0]);
  running.clear();
  options.bos = ids[0];
  ASSERT_TRUE(measurePerplexity(*engine_, ids, options, keep).ok());
  ASSERT_EQ(running.size(), 2u);
  EXPECT_DOUBLE_EQ(running[1], 2 * running[0]);
}

TEST_F(PerplexityTest, RefusesWhatItCannotScore) {
  auto kind = [&](uint32_t context, size_t tokens) {
    PerplexityOptions options;
    options.context = context;
    return measurePerplexity(*engine_, std::span(golden_.ids).first(tokens), options)
        .status()
        .kind();
  };
  EXPECT_EQ(kind(3, 40), StatusKind::Usage);
  EXPECT_EQ(kind(modelLength + 1, 40), StatusKind::Usage);
  EXPECT_EQ(kind(20, 39), StatusKind::InvalidInput);
}

} // namespace
} // namespace llama4::test
