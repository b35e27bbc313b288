//===- AttentionTest.cpp - paged attention against a double reference -----===//
#include "test/kernels/KvPlaces.h"
#include "test/microkernels/Support.h"

#include "compiler/microkernels/cpu/Sizes.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

namespace llama4::microkernels {
namespace {

/// `count` tokens of a sequence, the first of them at `position`.
struct Run {
  int64_t position;
  int64_t count;
};

struct Shape {
  KvType type;
  int64_t kvHeads, group, headDim;
  int64_t chunk = 0;
};

/// A step of ragged sequences over a pool with pages in random order; slots that no token has
/// written, and pages of nobody, hold large finite numbers. Table entries of pages in which no
/// token of the step sees a key lead nowhere.
class Step {
public:
  Step(const Shape &shape, const std::vector<Run> &runs, uint32_t seed);

  const Shape &shape() const { return shape_; }
  int64_t tokens() const { return static_cast<int64_t>(position_.size()); }
  int64_t width() const { return shape_.kvHeads * shape_.group * shape_.headDim; }

  /// Output rows [tokens][width] in calls of `split` tokens; what a call must not touch stays 7.
  std::vector<float> run(const NativeLevel &level, int64_t split) const;
  /// The same by the core that divides a token's keys: `threads` threads take all tiles in an order
  /// by `seed`. Each result is written once, and the counters end as zero.
  std::vector<float> runDivided(const NativeLevel &level, int threads, uint32_t seed) const;
  void check(const NativeLevel &level, const std::vector<float> &out) const;

private:
  static constexpr float kScale = 0.171f;
  static constexpr int64_t kKind = 2;

  float key(int64_t sequence, int64_t j, int64_t head, int64_t d) const {
    return load(page(sequence, j) + places().key(head, j % 16, d));
  }
  float value(int64_t sequence, int64_t j, int64_t head, int64_t d) const {
    return load(page(sequence, j) + places().value(head, j % 16, d));
  }
  KvPlaces places() const {
    return {shape_.kvHeads, shape_.headDim, shape_.type == KvType::BFloat16};
  }
  int64_t page(int64_t sequence, int64_t j) const {
    return table_[static_cast<size_t>(sequence * stride_ + j / 16)] *
           l4_kv_page_elements(shape_.kvHeads, shape_.headDim);
  }
  float load(int64_t element) const {
    const auto i = static_cast<size_t>(element);
    return shape_.type == KvType::Float32 ? pool_[i] : bfloat16ToFloat(pool16_[i]);
  }
  void fillStale(const std::vector<Run> &runs);
  l4_step stepBuffer() const;
  const void *pool() const {
    return shape_.type == KvType::Float32 ? static_cast<const void *>(pool_.data())
                                          : static_cast<const void *>(pool16_.data());
  }

  Shape shape_;
  std::vector<int64_t> position_, length_;
  std::vector<int32_t> sequence_, start_, table_;
  int64_t stride_ = 0;
  std::vector<float> pool_, q_;
  std::vector<uint16_t> pool16_;
};

Step::Step(const Shape &shape, const std::vector<Run> &runs, uint32_t seed) : shape_(shape) {
  start_.push_back(0);
  int64_t longest = 0;
  for (size_t s = 0; s < runs.size(); ++s) {
    for (int64_t i = 0; i < runs[s].count; ++i) {
      position_.push_back(runs[s].position + i);
      sequence_.push_back(static_cast<int32_t>(s));
    }
    start_.push_back(static_cast<int32_t>(position_.size()));
    length_.push_back(runs[s].position + runs[s].count);
    longest = std::max(longest, length_.back());
  }
  stride_ = (longest + 15) / 16;
  const int64_t pages = stride_ * static_cast<int64_t>(runs.size()) + 3;
  std::vector<int32_t> order(static_cast<size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  // Entries beyond a sequence's pages are never to be followed.
  table_.assign(static_cast<size_t>(stride_) * runs.size(), 0x7fffffff);
  size_t next = 0;
  for (size_t s = 0; s < runs.size(); ++s)
    for (int64_t p = l4_first_visible(runs[s].position, shape.chunk) / 16; p * 16 < length_[s]; ++p)
      table_[s * static_cast<size_t>(stride_) + static_cast<size_t>(p)] = order[next++];
  const auto elements =
      static_cast<size_t>(pages * l4_kv_page_elements(shape.kvHeads, shape.headDim));
  pool_ = randomFloats(elements, seed, 1.5f);
  fillStale(runs);
  for (float x : pool_)
    pool16_.push_back(pack::floatToBFloat16(x));
  q_ = randomFloats(static_cast<size_t>(tokens() * width()), seed + 1, 2.0f);
}

/// Overwrites the slots beyond each sequence's end.
void Step::fillStale(const std::vector<Run> &runs) {
  const int64_t padded = l4_padded_head(shape_.headDim);
  for (size_t s = 0; s < runs.size(); ++s)
    for (int64_t j = length_[s]; j % 16 != 0; ++j)
      for (int64_t head = 0; head < shape_.kvHeads; ++head) {
        float *base = pool_.data() + page(static_cast<int64_t>(s), j);
        for (int64_t d = 0; d < shape_.headDim; ++d)
          base[places().key(head, j % 16, d)] = -3e30f;
        for (int64_t d = 0; d < padded; ++d)
          base[places().value(head, j % 16, d)] = 3e30f;
      }
}

l4_step Step::stepBuffer() const {
  l4_step step = {};
  step.symbol = static_cast<uint32_t>(tokens());
  step.sequences = static_cast<uint32_t>(length_.size());
  step.position = position_.data();
  step.sequence = sequence_.data();
  step.start = start_.data();
  step.length = length_.data();
  step.page_table[kKind] = table_.data();
  step.page_stride[kKind] = static_cast<uint32_t>(stride_);
  return step;
}

std::vector<float> Step::run(const NativeLevel &level, int64_t split) const {
  const l4_step step = stepBuffer();
  const int64_t outStride = width() + 5;
  std::vector<float> out(static_cast<size_t>(tokens() * outStride), 7.0f);
  // The scratch starts as NaN, and ends where the declared size ends.
  std::vector<float> scratch(
      static_cast<size_t>(attentionScratchBytes(shape_.group, shape_.headDim, split)) / 4,
      std::nanf(""));
  for (int64_t head = 0; head < shape_.kvHeads; ++head)
    for (int64_t t = 0; t < tokens(); t += split)
      level.cores->find(shape_.type)(
          out.data() + t * outStride + head * shape_.group * shape_.headDim, outStride, q_.data(),
          width(), &step, kKind, pool(), head, t, std::min(t + split, tokens()), shape_.kvHeads,
          shape_.group, shape_.headDim, shape_.chunk, kScale, scratch.data());
  return out;
}

std::vector<float> Step::runDivided(const NativeLevel &level, int threads, uint32_t seed) const {
  const l4_step step = stepBuffer();
  const int64_t heads = shape_.kvHeads, count = tokens() * heads * kAttentionParts;
  const int64_t each = splitAttentionFloats(shape_.group, shape_.headDim);
  const int64_t outStride = width() + 5;
  std::vector<float> out(static_cast<size_t>(tokens() * outStride), 7.0f);
  std::vector<float> parts(static_cast<size_t>(tokens() * heads * each), std::nanf(""));
  std::vector<int32_t> counters(static_cast<size_t>(tokens() * heads * splitAttentionCounters()));
  std::vector<std::atomic<int>> written(static_cast<size_t>(tokens() * heads));
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  std::atomic<size_t> taken = 0;
  const auto work = [&] {
    std::vector<float> scratch(
        static_cast<size_t>(attentionScratchBytes(shape_.group, shape_.headDim, 1)) / 4,
        std::nanf(""));
    for (size_t i = taken++; i < order.size(); i = taken++) {
      const int64_t tile = order[i] % kAttentionParts, row = order[i] / kAttentionParts;
      const int64_t head = row % heads, t = row / heads;
      written[static_cast<size_t>(row)] +=
          level.cores->splitAttention[static_cast<size_t>(shape_.type)](
              out.data() + t * outStride + head * shape_.group * shape_.headDim, q_.data(), width(),
              &step, kKind, pool(), head, t, tile, heads, shape_.group, shape_.headDim,
              shape_.chunk, kScale, parts.data() + row * each,
              counters.data() + row * splitAttentionCounters(), scratch.data());
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i)
    others.emplace_back(work);
  work();
  for (std::thread &other : others)
    other.join();
  for (const std::atomic<int> &times : written)
    EXPECT_EQ(times, 1);
  for (int32_t counter : counters)
    EXPECT_EQ(counter, 0);
  return out;
}

void Step::check(const NativeLevel &level, const std::vector<float> &out) const {
  // Levels that multiply pairs of bfloat16 round the query and the weights as well.
  const bool rounds =
      shape_.type == KvType::BFloat16 && level.level->name.find("+bf16") != std::string_view::npos;
  const int64_t heads = shape_.kvHeads * shape_.group;
  for (int64_t t = 0; t < tokens(); ++t) {
    const auto at = static_cast<size_t>(t);
    const int64_t keys = position_[at] + 1;
    const int64_t from = shape_.chunk == 0 ? 0 : position_[at] - position_[at] % shape_.chunk;
    for (int64_t h = 0; h < heads; ++h) {
      const float *q = q_.data() + t * width() + h * shape_.headDim;
      std::vector<double> weights(static_cast<size_t>(keys),
                                  -std::numeric_limits<double>::infinity());
      for (int64_t j = from; j < keys; ++j) {
        double score = 0;
        for (int64_t d = 0; d < shape_.headDim; ++d)
          score += kScale * (rounds ? bfloat16ToFloat(pack::floatToBFloat16(q[d])) : double{q[d]}) *
                   key(sequence_[at], j, h / shape_.group, d);
        weights[static_cast<size_t>(j)] = score;
      }
      const double largest = *std::max_element(weights.begin(), weights.end());
      double sum = 0;
      for (double &weight : weights)
        sum += weight = std::exp(weight - largest);
      for (int64_t d = 0; d < shape_.headDim; ++d) {
        const auto part = [&](int64_t j) { return weights[static_cast<size_t>(j)] / sum; };
        const auto valueAt = [&](int64_t j) {
          return value(sequence_[at], j, h / shape_.group, d);
        };
        double expected = 0, spread = 0;
        for (int64_t j = from; j < keys; ++j)
          expected += part(j) * valueAt(j);
        for (int64_t j = from; j < keys; ++j)
          spread += part(j) * std::abs(valueAt(j) - expected);
        // Scores of this spread carry rounding errors of up to 1e-5, which the values (up to 6)
        // multiply. A weight in bfloat16 is off by at most 2^-8 of itself.
        ASSERT_NEAR(out[static_cast<size_t>(t * (width() + 5) + h * shape_.headDim + d)], expected,
                    6e-5 + (rounds ? spread / 255 : 0))
            << "token " << t << " head " << h << " d " << d;
      }
    }
    for (int64_t i = 0; i < 5; ++i)
      ASSERT_EQ(out[static_cast<size_t>(t * (width() + 5) + width() + i)], 7.0f);
  }
}

/// Prefills and decodes together; ends at, before and behind borders of pages and blocks.
const std::vector<Run> kRagged = {{0, 1}, {62, 5}, {15, 1}, {0, 19}, {127, 2}, {200, 1}, {63, 1}};

TEST(Attention, MatchesTheReference) {
  for (KvType type : {KvType::Float32, KvType::BFloat16})
    for (int64_t group : {1, 3, 4, 8})
      for (int64_t headDim : {16, 32, 40, 64, 128}) {
        const Shape shape = {type, 2, group, headDim};
        SCOPED_TRACE(std::string(kvTypeName(type)) + " group " + std::to_string(group) + " head " +
                     std::to_string(headDim));
        const Step step(shape, kRagged, static_cast<uint32_t>(group * 100 + headDim));
        forEachLevel([&](const NativeLevel &level) { step.check(level, step.run(level, 16)); });
        if (::testing::Test::HasFatalFailure())
          return;
      }
}

TEST(Attention, SameBitsHoweverTokensAreGrouped) {
  for (KvType type : {KvType::Float32, KvType::BFloat16})
    for (int64_t group : {1, 3, 5}) {
      const Step step({type, 1, group, 40}, {{0, 70}, {60, 9}, {300, 1}, {130, 3}}, 5);
      forEachLevel([&](const NativeLevel &level) {
        const std::vector<float> whole = step.run(level, step.tokens());
        step.check(level, whole);
        for (int64_t split : {1, 2, 3, 7, 16, 31})
          EXPECT_TRUE(sameBits(whole.data(), step.run(level, split).data(), whole.size()))
              << "group " << group << ", calls of " << split << " tokens";
      });
    }
}

// The value of an unseen slot must not matter, down to the last bit: the same sequence alone, and
// followed by later tokens in the same pages.
TEST(Attention, LaterKeysDoNotMatter) {
  const Shape shape = {KvType::Float32, 1, 2, 32};
  const Step step(shape, {{0, 150}}, 9);
  forEachLevel([&](const NativeLevel &level) {
    const std::vector<float> together = step.run(level, 150);
    const std::vector<float> alone = step.run(level, 1);
    EXPECT_TRUE(sameBits(together.data(), alone.data(), together.size()));
  });
}

/// Decodes at c - 1, c, c + 1, 2c, 5c and 8c, and prefills over one border and over several.
std::vector<Run> runsAround(int64_t c) {
  return {{c - 1, 1}, {c, 1},     {c + 1, 1},         {2 * c, 1},       {5 * c, 1}, {8 * c, 1},
          {c - 3, 6}, {0, 2 * c}, {3 * c - 1, c + 3}, {5 * c - 20, 19}, {0, 1},     {7 * c + 2, 3}};
}

TEST(ChunkedAttention, MatchesTheReference) {
  // Chunks of pages, of odd sizes, of one block and of more.
  for (int64_t chunk : {16, 32, 48, 21, 30, 64, 100})
    for (KvType type : {KvType::Float32, KvType::BFloat16}) {
      SCOPED_TRACE(std::string(kvTypeName(type)) + " chunk " + std::to_string(chunk));
      const Step step({type, 2, 3, 24, chunk}, runsAround(chunk), static_cast<uint32_t>(chunk));
      forEachLevel([&](const NativeLevel &level) { step.check(level, step.run(level, 16)); });
      if (::testing::Test::HasFatalFailure())
        return;
    }
}

// Calls that hold tokens of two chunks, tiles that do, and each token alone.
TEST(ChunkedAttention, SameBitsHoweverTokensAreGrouped) {
  for (int64_t chunk : {1, 16, 21, 48, 65})
    for (int64_t group : {1, 3, 5}) {
      const Step step({KvType::Float32, 1, group, 40, chunk},
                      {{0, 150}, {chunk - 1, 9}, {8 * chunk, 1}, {5 * chunk - 2, 3}}, 6);
      forEachLevel([&](const NativeLevel &level) {
        const std::vector<float> whole = step.run(level, step.tokens());
        step.check(level, whole);
        for (int64_t split : {1, 2, 3, 7, 16, 31})
          EXPECT_TRUE(sameBits(whole.data(), step.run(level, split).data(), whole.size()))
              << "chunk " << chunk << ", group " << group << ", calls of " << split << " tokens";
      });
    }
}

/// Decodes before, at and behind borders of parts (256 keys each up to 2048 keys, then 512, 1024,
/// 2048), and prefills over them whose rows have parts of different lengths.
const std::vector<Run> kDeep = {{254, 5},  {511, 3},  {767, 1},  {768, 1},  {1023, 3}, {2045, 6},
                                {2303, 3}, {4094, 5}, {8190, 4}, {8703, 2}, {100, 1},  {5119, 40}};

TEST(DividedAttention, MatchesTheReference) {
  for (KvType type : {KvType::Float32, KvType::BFloat16}) {
    const Step step({type, 2, 3, 16}, kDeep, 11);
    forEachLevel([&](const NativeLevel &level) {
      const std::vector<float> whole = step.run(level, 16);
      step.check(level, whole);
      for (uint32_t seed : {1u, 2u})
        EXPECT_TRUE(sameBits(whole.data(), step.runDivided(level, 1, seed).data(), whole.size()))
            << kvTypeName(type) << ", order " << seed;
    });
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

TEST(DividedAttention, SameBitsHoweverTokensAreGrouped) {
  for (int64_t group : {1, 3, 5}) {
    const Step step({KvType::BFloat16, 1, group, 24}, kDeep, 12);
    forEachLevel([&](const NativeLevel &level) {
      const std::vector<float> whole = step.run(level, step.tokens());
      for (int64_t split : {1, 3, 7, 16})
        EXPECT_TRUE(sameBits(whole.data(), step.run(level, split).data(), whole.size()))
            << "group " << group << ", calls of " << split << " tokens";
      EXPECT_TRUE(sameBits(whole.data(), step.runDivided(level, 1, 3).data(), whole.size()))
          << "group " << group << ", divided";
    });
  }
}

/// Prefills over the borders of chunks and of parts in them.
std::vector<Run> runsAroundParts(int64_t c) {
  std::vector<Run> runs;
  for (int64_t border : {c, 2 * c, c + 256, 2 * c + 512, 2 * c - 64})
    runs.push_back({border - 2, 5});
  return runs;
}

// Chunks that begin inside a block: parts are counted from there, never more than a tile each.
TEST(DividedAttention, ChunksHavePartsOfTheirOwn) {
  for (int64_t chunk : {300, 1000, 2049})
    for (KvType type : {KvType::Float32, KvType::BFloat16}) {
      const Step step({type, 1, 2, 16, chunk}, runsAroundParts(chunk),
                      static_cast<uint32_t>(chunk));
      forEachLevel([&](const NativeLevel &level) {
        const std::vector<float> whole = step.run(level, 16);
        step.check(level, whole);
        EXPECT_TRUE(sameBits(whole.data(), step.run(level, 1).data(), whole.size())) << chunk;
        EXPECT_TRUE(sameBits(whole.data(), step.runDivided(level, 1, 4).data(), whole.size()))
            << chunk;
      });
    }
}

// Whoever ends last joins, whatever the order: the parts of one row on several threads.
TEST(DividedAttention, SameBitsFromManyThreads) {
  const Step step({KvType::BFloat16, 3, 3, 64}, {{2047, 1}, {600, 1}, {4999, 1}, {40, 1}}, 13);
  forEachLevel([&](const NativeLevel &level) {
    const std::vector<float> whole = step.run(level, 16);
    for (uint32_t seed = 0; seed < 20; ++seed)
      ASSERT_TRUE(sameBits(whole.data(), step.runDivided(level, 3, seed).data(), whole.size()))
          << "order " << seed;
  });
}

// At every position there are 1 to kAttentionParts parts of whole blocks, and few keys are one.
TEST(DividedAttention, NoMorePartsThanTiles) {
  for (int64_t chunk : {0, 1, 21, 300, 8192, 100000})
    for (int64_t position = 0; position < 12000000; position += 1 + position / 700) {
      const int64_t begin = l4_first_part(position, chunk),
                    first = l4_first_visible(position, chunk);
      const int64_t keys = l4_part_keys(position - begin + 1);
      const int64_t parts = (position - begin) / keys + 1;
      ASSERT_EQ(keys % L4_ATTENTION_BLOCK, 0);
      ASSERT_LE(begin, first);
      ASSERT_GT(begin + L4_ATTENTION_BLOCK, first);
      ASSERT_LE(parts, kAttentionParts) << "position " << position << ", chunk " << chunk;
      ASSERT_TRUE(parts == 1 || keys * kAttentionParts < 2 * (position - begin + 1) ||
                  keys == L4_ATTENTION_PART);
      if (position - begin < L4_ATTENTION_PART)
        ASSERT_EQ(parts, 1);
    }
}

/// Nothing beyond position 127.
const std::vector<Run> kShort = {{0, 70}, {100, 20}, {127, 1}};

// A chunk that the context never fills is no chunk, down to the last bit.
TEST(ChunkedAttention, LongChunkIsCausal) {
  const Step causal({KvType::BFloat16, 1, 3, 64, 0}, kShort, 4);
  const Step chunked({KvType::BFloat16, 1, 3, 64, 128}, kShort, 4);
  forEachLevel([&](const NativeLevel &level) {
    const std::vector<float> expected = causal.run(level, 16);
    EXPECT_TRUE(sameBits(expected.data(), chunked.run(level, 16).data(), expected.size()));
  });
}

} // namespace
} // namespace llama4::microkernels
