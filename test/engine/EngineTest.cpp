//===- EngineTest.cpp - steps of many sequences ---------------------------===//

#include "runtime/engine/Greedy.h"
#include "runtime/engine/StepPlanner.h"
#include "test/engine/TinyModel.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace llama4::test {
namespace {

class EngineTest : public ::testing::TestWithParam<unsigned> {
protected:
  void make(EngineOptions options = {}) {
    engine_.reset();
    device_.reset();
    device_ = tinyDevice(GetParam());
    program_ = loadTiny(::testing::TempDir() + "engine" + std::to_string(GetParam()) + ".l4x");
    Result<std::unique_ptr<Engine>> engine = Engine::create(program_, *device_, options);
    ASSERT_TRUE(engine.ok()) << engine.status().message();
    engine_ = engine.take();
  }
  std::unique_ptr<Sequence> sequence(std::span<const int32_t> ids) {
    Result<std::unique_ptr<Sequence>> made = engine_->createSequence(ids.size());
    EXPECT_TRUE(made.ok());
    Status status = (*made)->append(ids);
    EXPECT_TRUE(status.ok()) << status.message();
    return made.take();
  }
  /// Compares the rows of the last step that belong to a chunk with the reference.
  void expectRows(uint32_t firstRow, uint64_t from, uint32_t count,
                  const std::vector<Hidden> &reference) {
    for (uint32_t i = 0; i < count; ++i) {
      std::span<const float> row = engine_->hidden(firstRow + i);
      for (int d = 0; d < 8; ++d)
        ASSERT_EQ(row[d], reference[from + i][d]) << "token " << from + i << ", column " << d;
    }
  }
  /// Processes everything that is pending and compares every row.
  void runAll(std::span<const std::unique_ptr<Sequence>> sequences, uint32_t chunk,
              std::span<const std::vector<Hidden>> references) {
    StepPlanner planner(*engine_, chunk);
    while (planner.plan(sequences)) {
      Status status = engine_->step(planner.chunks());
      ASSERT_TRUE(status.ok()) << status.message();
      for (const PlannedChunk &part : planner.planned())
        ASSERT_NO_FATAL_FAILURE(expectRows(part.firstRow,
                                           sequences[part.sequence]->processed() - part.tokens,
                                           part.tokens, references[part.sequence]));
    }
  }

  std::unique_ptr<Device> device_;
  std::shared_ptr<const Program> program_;
  std::unique_ptr<Engine> engine_;
};

TEST_P(EngineTest, PromptWholeInChunksAndTokenByToken) {
  make();
  std::vector<int32_t> ids = tinyText(117, 3);
  std::vector<Hidden> reference[] = {tinyReference(ids)};
  for (uint32_t chunk : {0u, 7u, 1u}) {
    std::unique_ptr<Sequence> sequences[] = {sequence(ids)};
    ASSERT_NO_FATAL_FAILURE(runAll(sequences, chunk, reference)) << "chunks of " << chunk;
    EXPECT_EQ(sequences[0]->processed(), ids.size());
  }
  EXPECT_EQ(engine_->cache().freePages(0), engine_->cache().pages(0));
  EXPECT_EQ(engine_->cache().freePages(1), engine_->cache().pages(1));
}

TEST_P(EngineTest, RaggedMixesEqualSolo) {
  make();
  std::mt19937 random(7);
  for (int round = 0; round < 8; ++round) {
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<std::vector<Hidden>> references;
    for (uint32_t i = 0; i < tinyBatch; ++i) {
      std::vector<int32_t> ids = tinyText(1 + random() % 120, static_cast<uint32_t>(random()));
      references.push_back(tinyReference(ids));
      sequences.push_back(sequence(ids));
    }
    // Any order of any number of sequences, any number of tokens each.
    std::vector<size_t> order(sequences.size());
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = i;
    auto pending = [&] {
      return std::any_of(sequences.begin(), sequences.end(),
                         [](const auto &sequence) { return sequence->pending() > 0; });
    };
    while (pending()) {
      std::shuffle(order.begin(), order.end(), random);
      std::vector<SequenceChunk> chunks;
      std::vector<size_t> owners;
      uint32_t room = tinyStepTokens;
      for (size_t i : order) {
        uint32_t tokens = std::min<uint32_t>({static_cast<uint32_t>(sequences[i]->pending()), room,
                                              1 + static_cast<uint32_t>(random() % 20)});
        if (tokens == 0 || random() % 4 == 0)
          continue;
        chunks.push_back({sequences[i].get(), tokens});
        owners.push_back(i);
        room -= tokens;
      }
      if (chunks.empty())
        continue;
      ASSERT_TRUE(engine_->step(chunks).ok());
      uint32_t row = 0;
      for (size_t c = 0; c < chunks.size(); ++c) {
        ASSERT_NO_FATAL_FAILURE(expectRows(row, chunks[c].sequence->processed() - chunks[c].tokens,
                                           chunks[c].tokens, references[owners[c]]));
        row += chunks[c].tokens;
      }
    }
  }
}

TEST_P(EngineTest, LogitsOfAnyRowsInSlices) {
  make();
  std::vector<int32_t> ids = tinyText(30, 5);
  std::vector<Hidden> reference = tinyReference(ids);
  std::unique_ptr<Sequence> text = sequence(ids);
  SequenceChunk chunk = {text.get(), 30};
  ASSERT_TRUE(engine_->step({&chunk, 1}).ok());
  // More rows than one run of the entry takes, in no order, some twice.
  std::vector<uint32_t> rows = {29, 0, 7, 7, 13, 28, 1, 2, 3};
  size_t seen = 0;
  auto compare = [&](size_t i, std::span<const float> logits) {
    EXPECT_EQ(i, seen++);
    std::vector<float> expected = tinyLogits(reference[rows[i]]);
    EXPECT_TRUE(std::equal(logits.begin(), logits.end(), expected.begin(), expected.end()));
  };
  Status status = engine_->logits(rows, compare);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(seen, rows.size());
  uint32_t outside = 30;
  EXPECT_EQ(engine_->logits({&outside, 1}, [](size_t, std::span<const float>) {}).kind(),
            StatusKind::Internal);
}

TEST_P(EngineTest, TruncatedSequencesGoOnElsewhere) {
  make();
  std::vector<int32_t> ids = tinyText(50, 9);
  std::unique_ptr<Sequence> sequences[] = {sequence(ids)};
  std::vector<Hidden> reference[] = {tinyReference(ids)};
  ASSERT_NO_FATAL_FAILURE(runAll(sequences, 0, reference));
  ASSERT_TRUE(sequences[0]->truncate(37).ok());
  ids.resize(37);
  std::vector<int32_t> other = tinyText(40, 10);
  ids.insert(ids.end(), other.begin(), other.end());
  ASSERT_TRUE(sequences[0]->append(other).ok());
  reference[0] = tinyReference(ids);
  ASSERT_NO_FATAL_FAILURE(runAll(sequences, 5, reference));
  // 77 tokens: the chunk before position 64 is gone.
  EXPECT_EQ(sequences[0]->truncate(40).kind(), StatusKind::Internal);
  EXPECT_EQ(sequences[0]->processed(), 77u);
  EXPECT_TRUE(sequences[0]->truncate(64).ok());
  EXPECT_TRUE(sequences[0]->truncate(0).ok());
  ASSERT_TRUE(sequences[0]->append(ids).ok());
  ASSERT_NO_FATAL_FAILURE(runAll(sequences, 0, reference));
  EXPECT_EQ(sequences[0]->truncate(78).kind(), StatusKind::Internal);
}

TEST_P(EngineTest, ExhaustedPagesAreAnErrorAndNothingElse) {
  // Room for about 8 pages of each kind: the pages of two sequences of 64 tokens.
  make();
  Engine::Memory whole = engine_->memory();
  uint64_t perPage = program_->desc().kvKinds[0].pageBytes;
  // Equal texts would share their pages.
  make(
      {.maxSequences = 3, .memory = whole.arena + whole.step + 26 * perPage, .prefixCache = false});
  const uint32_t pages = engine_->cache().pages(0);
  ASSERT_GE(pages, 4u);
  ASSERT_LE(pages, 10u);
  std::vector<int32_t> ids = tinyText(pages / 2 * 16, 1);
  std::vector<Hidden> reference[] = {tinyReference(ids), tinyReference(ids), tinyReference(ids)};
  std::unique_ptr<Sequence> sequences[] = {sequence(std::span(ids).first(ids.size() - 16)),
                                           sequence(ids), sequence(ids)};
  ASSERT_NO_FATAL_FAILURE(runAll(std::span(sequences).first(2), 16, reference));
  uint32_t before[] = {engine_->cache().freePages(0), engine_->cache().freePages(1)};
  // One chunk could have its page, the other has none: neither is processed.
  ASSERT_TRUE(sequences[0]->append(std::span(ids).last(16)).ok());
  SequenceChunk chunks[] = {{sequences[0].get(), 16}, {sequences[2].get(), 20}};
  for (int attempt = 0; attempt < 3; ++attempt) {
    Status status = engine_->step(chunks);
    EXPECT_EQ(status.kind(), StatusKind::OutOfMemory) << status.message();
    EXPECT_EQ(sequences[0]->processed(), ids.size() - 16);
    EXPECT_EQ(sequences[2]->processed(), 0u);
    EXPECT_EQ(engine_->cache().freePages(0), before[0]);
    EXPECT_EQ(engine_->cache().freePages(1), before[1]);
  }
  // With the pages of another one the step is possible.
  sequences[1].reset();
  ASSERT_NO_FATAL_FAILURE(runAll(sequences, 16, reference));
}

TEST_P(EngineTest, DroppedPagesServeOthers) {
  make({.maxSequences = 1});
  const KvCache &cache = engine_->cache();
  // Far fewer pages than a whole text would need; a long text runs in them.
  ASSERT_LT(cache.pages(1), cache.pages(0));
  std::vector<int32_t> ids = tinyText(tinyLength, 2);
  std::unique_ptr<Sequence> sequences[] = {sequence(ids)};
  std::vector<Hidden> reference[] = {tinyReference(ids)};
  ASSERT_NO_FATAL_FAILURE(runAll(sequences, 0, reference));
  EXPECT_EQ(cache.freePages(0), 0u);
  EXPECT_GE(cache.freePages(1), cache.pages(1) - 1); // position 200 is in the chunk from 192
}

TEST_P(EngineTest, WhatIsNoStepIsRefused) {
  make();
  std::unique_ptr<Sequence> text = sequence(tinyText(30, 1));
  std::unique_ptr<Sequence> other = sequence(tinyText(30, 2));
  SequenceChunk none = {text.get(), 0}, tooMany = {text.get(), 31};
  SequenceChunk twice[] = {{text.get(), 1}, {text.get(), 1}};
  SequenceChunk large[] = {{text.get(), 21}, {other.get(), 20}};
  EXPECT_EQ(engine_->step({}).kind(), StatusKind::Internal);
  EXPECT_EQ(engine_->step({&none, 1}).kind(), StatusKind::Internal);
  EXPECT_EQ(engine_->step({&tooMany, 1}).kind(), StatusKind::Internal);
  EXPECT_EQ(engine_->step(twice).kind(), StatusKind::Internal);
  EXPECT_EQ(engine_->step(large).kind(), StatusKind::Internal);
  int32_t ids[] = {3, -1, static_cast<int32_t>(tinyVocab)};
  EXPECT_EQ(text->append({ids + 1, 1}).kind(), StatusKind::InvalidInput);
  EXPECT_EQ(text->append({ids + 2, 1}).kind(), StatusKind::InvalidInput);
  EXPECT_EQ(text->append(tinyText(tinyLength, 1)).kind(), StatusKind::Usage);
  EXPECT_EQ(text->length(), 30u);
}

TEST_P(EngineTest, LimitsMayOnlyBeLowered) {
  make();
  EXPECT_EQ(Engine::create(program_, *device_, {.maxLength = tinyLength + 1}).status().kind(),
            StatusKind::Usage);
  EXPECT_EQ(Engine::create(program_, *device_, {.maxSequences = tinyBatch + 1}).status().kind(),
            StatusKind::Usage);
  EXPECT_EQ(Engine::create(program_, *device_, {.memory = 1000}).status().kind(),
            StatusKind::OutOfMemory);
  make({.maxLength = 48, .maxSequences = 2});
  EXPECT_EQ(engine_->maxLength(), 48u);
  std::unique_ptr<Sequence> a = sequence(tinyText(48, 1)), b = sequence(tinyText(1, 1));
  EXPECT_EQ(engine_->createSequence().status().kind(), StatusKind::OutOfMemory);
  a.reset();
  EXPECT_TRUE(engine_->createSequence().ok());
}

INSTANTIATE_TEST_SUITE_P(Threads, EngineTest, ::testing::Values(1u, 2u, 3u));

TEST(Greedy, TiesGoToTheLowestId) {
  for (size_t size : {1u, 5u, 16u, 17u, 40u, 1000u})
    for (size_t at = 0; at < size; at += 3) {
      std::vector<float> logits(size, -1.0f);
      logits[at] = 2.0f;
      logits[size - 1] = 2.0f;
      EXPECT_EQ(greedyToken(logits), static_cast<int32_t>(at)) << size;
    }
}

TEST(Greedy, NotANumberNeverWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(greedyToken(std::vector<float>{nan, -3, nan, -2, nan}), 3);
  EXPECT_EQ(greedyToken(std::vector<float>(33, -infinity)), 0);
  EXPECT_EQ(greedyToken(std::vector<float>{0, infinity, infinity}), 1);
  EXPECT_EQ(greedyToken(std::vector<float>(20, nan)), std::nullopt);
  EXPECT_EQ(greedyToken({}), std::nullopt);
}

} // namespace
} // namespace llama4::test
