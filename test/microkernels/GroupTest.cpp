//===- GroupTest.cpp - the choice of experts against its definition -------===//
#include "test/microkernels/Support.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

namespace llama4::microkernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kUntouched = -77;

struct Shape {
  int64_t tokens, experts, top, tileRows;
};

/// Results in rows of `kRow` numbers, of which only the first (of tiles: four) may be written, with
/// a row behind the last that may not.
constexpr size_t kRow = 16;

struct Grouped {
  std::vector<int32_t> tokenRows, places, tiles;
  std::vector<float> scores;

  explicit Grouped(int64_t slots)
      : tokenRows((static_cast<size_t>(slots) + 1) * kRow, kUntouched), places(tokenRows),
        tiles(tokenRows), scores(tokenRows.size(), -77.0f) {}

  l4_group_tile tile(size_t i) const {
    return {tiles[i * kRow], tiles[i * kRow + 1], tiles[i * kRow + 2], tiles[i * kRow + 3]};
  }
};

/// `logits` has rows of experts + 3 numbers.
void group(const NativeLevel &level, const Shape &shape, const std::vector<float> &logits,
           Grouped &out) {
  std::vector<int32_t> counts(static_cast<size_t>(groupScratchBytes(shape.experts)) / 4,
                              kUntouched);
  level.cores->group(logits.data(), shape.experts + 3, shape.tokens, shape.experts, shape.top,
                     shape.tileRows, out.tokenRows.data(), out.scores.data(), out.places.data(),
                     out.tiles.data(), kRow * 4, counts.data());
}

Grouped group(const NativeLevel &level, const Shape &shape, const std::vector<float> &logits) {
  Grouped out(shape.tokens * shape.top);
  group(level, shape, logits, out);
  return out;
}

/// The slots of all tokens: the expert of each, by sorting whole rows.
std::vector<int32_t> chosen(const Shape &shape, const std::vector<float> &logits) {
  std::vector<int32_t> experts;
  for (int64_t t = 0; t < shape.tokens; ++t) {
    const float *row = logits.data() + t * (shape.experts + 3);
    auto rank = [&](int32_t e) { return std::isnan(row[e]) ? -kInfinity : row[e]; };
    std::vector<int32_t> order(static_cast<size_t>(shape.experts));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return rank(a) > rank(b) || (rank(a) == rank(b) && a < b);
    });
    experts.insert(experts.end(), order.begin(), order.begin() + shape.top);
  }
  return experts;
}

void checkTiles(const Shape &shape, const Grouped &out, const std::vector<int32_t> &sorted) {
  std::vector<l4_group_tile> expected;
  for (size_t p = 0; p < sorted.size();) {
    size_t end = p;
    while (end < sorted.size() && sorted[end] == sorted[p] &&
           end - p < static_cast<size_t>(shape.tileRows))
      ++end;
    expected.push_back({sorted[p], static_cast<int32_t>(p), static_cast<int32_t>(end - p), 0});
    p = end;
  }
  for (size_t i = 0; i < sorted.size(); ++i) {
    const l4_group_tile tile = out.tile(i);
    ASSERT_EQ(tile.count, static_cast<int32_t>(expected.size())) << "tile " << i;
    if (i >= expected.size()) {
      ASSERT_EQ(tile.rows, 0) << "tile " << i;
      continue;
    }
    ASSERT_EQ(tile.expert, expected[i].expert) << "tile " << i;
    ASSERT_EQ(tile.first_row, expected[i].first_row) << "tile " << i;
    ASSERT_EQ(tile.rows, expected[i].rows) << "tile " << i;
  }
}

/// Compares every number with the definition, and that nothing else was written.
void check(const Shape &shape, const std::vector<float> &logits, const Grouped &out) {
  const std::vector<int32_t> experts = chosen(shape, logits);
  std::vector<size_t> order(experts.size()); // slots in group order
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return experts[a] < experts[b] || (experts[a] == experts[b] && a < b);
  });
  std::vector<int32_t> sorted;
  for (size_t p = 0; p < order.size(); ++p) {
    const size_t slot = order[p], token = slot / static_cast<size_t>(shape.top);
    sorted.push_back(experts[slot]);
    ASSERT_EQ(out.places[slot * kRow], static_cast<int32_t>(p)) << "slot " << slot;
    ASSERT_EQ(out.tokenRows[p * kRow], static_cast<int32_t>(token)) << "place " << p;
    const double logit =
        logits[token * static_cast<size_t>(shape.experts + 3) + static_cast<size_t>(experts[slot])];
    const double score = std::isnan(logit) ? 0.0 : 1.0 / (1.0 + std::exp(-logit));
    ASSERT_NEAR(out.scores[p * kRow], score, 5e-7 * score + 2e-38) << "logit " << logit;
  }
  checkTiles(shape, out, sorted);
  for (size_t i = 0; i < out.places.size(); ++i) {
    const bool behind = i / kRow == order.size();
    if (i % kRow == 0 && !behind)
      continue;
    ASSERT_EQ(out.places[i], kUntouched) << i;
    ASSERT_EQ(out.tokenRows[i], kUntouched) << i;
    ASSERT_EQ(out.scores[i], -77.0f) << i;
    if (i % kRow >= 4 || behind)
      ASSERT_EQ(out.tiles[i], kUntouched) << i;
  }
}

void checkEverywhere(const Shape &shape, const std::vector<float> &logits) {
  SCOPED_TRACE(std::to_string(shape.tokens) + " tokens, " + std::to_string(shape.experts) +
               " experts, top " + std::to_string(shape.top) + ", tiles of " +
               std::to_string(shape.tileRows));
  forEachLevel(
      [&](const NativeLevel &level) { check(shape, logits, group(level, shape, logits)); });
}

size_t logitsOf(const Shape &shape) {
  return static_cast<size_t>(shape.tokens * (shape.experts + 3));
}

const std::vector<Shape> kShapes = {{1, 1, 1, 16},   {1, 16, 1, 16},    {7, 1, 1, 4},
                                    {1, 128, 8, 16}, {3, 5, 5, 16},     {33, 16, 1, 16},
                                    {64, 16, 4, 16}, {200, 128, 1, 16}, {97, 31, 8, 5},
                                    {40, 4, 2, 1},   {257, 3, 2, 32},   {512, 128, 8, 16}};

TEST(Group, RandomLogits) {
  uint32_t seed = 1;
  for (const Shape &shape : kShapes) {
    checkEverywhere(shape, randomFloats(logitsOf(shape), ++seed, 4.0f));
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

// Few different numbers, zeros of both signs among them: most choices are between equals.
TEST(Group, TiesGoToTheLowestExpert) {
  const float values[] = {-1.0f, 0.0f, -0.0f, 2.5f};
  std::mt19937 generator(3);
  for (const Shape &shape : kShapes) {
    std::vector<float> logits(logitsOf(shape));
    for (float &logit : logits)
      logit = values[generator() % 4];
    checkEverywhere(shape, logits);
    checkEverywhere(shape, std::vector<float>(logits.size(), 1.0f));
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

TEST(Group, NotANumberCountsAsMinusInfinity) {
  const float values[] = {std::nanf(""), -std::nanf(""), -kInfinity, kInfinity, -3e38f, 0.5f};
  std::mt19937 generator(4);
  for (const Shape &shape : kShapes) {
    std::vector<float> logits(logitsOf(shape));
    for (float &logit : logits)
      logit = values[generator() % 6];
    checkEverywhere(shape, logits);
    checkEverywhere(shape, std::vector<float>(logits.size(), std::nanf("")));
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

// All tokens choose the same two of many experts, and each expert in turn gets all tokens.
TEST(Group, ExpertsThatNobodyChooses) {
  const Shape shape = {50, 20, 2, 16};
  for (size_t favourite = 0; favourite < 20; ++favourite) {
    std::vector<float> logits = randomFloats(logitsOf(shape), 9);
    for (size_t t = 0; t < 50; ++t) {
      logits[t * 23 + favourite] = 50.0f;
      logits[t * 23 + (favourite * 7 + 3) % 20] += 20.0f;
    }
    checkEverywhere(shape, logits);
  }
}

// Ascending logits are the most work for the choice, descending ones the least.
TEST(Group, OrderedLogits) {
  for (const Shape &shape : kShapes) {
    std::vector<float> logits(logitsOf(shape));
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(i % static_cast<size_t>(shape.experts + 3));
    checkEverywhere(shape, logits);
    for (float &logit : logits)
      logit = -logit;
    checkEverywhere(shape, logits);
  }
}

TEST(Group, ScoresOverTheWholeRange) {
  const Shape shape = {4001, 1, 1, 64};
  std::vector<float> logits(logitsOf(shape));
  for (size_t t = 0; t < 4001; ++t)
    logits[t * 4] = (static_cast<float>(t) - 2000.0f) * 0.0435f; // -87 to 87
  checkEverywhere(shape, logits);
  forEachLevel([&](const NativeLevel &level) {
    const Shape few = {3, 1, 1, 1};
    const Grouped out = group(level, few, {0.0f, 0, 0, 0, 1e30f, 0, 0, 0, -1e30f, 0, 0, 0});
    EXPECT_EQ(out.scores[0], 0.5f);
    EXPECT_EQ(out.scores[kRow], 1.0f);
    EXPECT_EQ(out.scores[2 * kRow], 0.0f);
  });
}

TEST(Group, ATokenTakesMicroseconds) {
  for (int64_t top : {1, 8}) {
    const Shape shape = {512, 128, top, 16};
    const std::vector<float> logits = randomFloats(logitsOf(shape), 5);
    forEachLevel([&](const NativeLevel &level) {
      Grouped out(shape.tokens * shape.top);
      double best = 1;
      for (int run = 0; run < 20; ++run) {
        const auto start = std::chrono::steady_clock::now();
        group(level, shape, logits, out);
        best = std::min(
            best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
      std::printf("[ MEASURED ] %s: 512 tokens, top %d of 128: %.3f ms\n",
                  std::string(level.level->name).c_str(), static_cast<int>(top), best * 1e3);
      EXPECT_LT(best, 0.02); // far above what it takes, for slow and busy machines
    });
  }
}

} // namespace
} // namespace llama4::microkernels
