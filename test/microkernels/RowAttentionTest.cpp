//===- RowAttentionTest.cpp - unit and cross attention against a double reference ----===//
#include "test/microkernels/Fenced.h"
#include "test/microkernels/Support.h"

#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"

#include <cmath>
#include <limits>

namespace llama4::microkernels {
namespace {

constexpr float kUntouched = 7.0f;
constexpr int64_t kBehind = 5; ///< columns of the output behind a head
const float kNan = std::nanf("");

/// One number of a result, and the mean distance of the values from it, by their weights.
struct Mean {
  double value = 0, spread = 0;
};

/// out = softmax(scale q k^T) v over the rows `seen`, zero where there are none; in double.
std::vector<Mean> attend(const float *q, const float *k, const float *v, int64_t stride,
                         const std::vector<int64_t> &seen, int64_t headDim, float scale) {
  std::vector<double> weights;
  std::vector<Mean> out(static_cast<size_t>(headDim));
  double largest = -std::numeric_limits<double>::infinity(), total = 0;
  for (int64_t row : seen) {
    double score = 0;
    for (int64_t d = 0; d < headDim; ++d)
      score += static_cast<double>(q[d]) * k[row * stride + d];
    weights.push_back(score * scale);
    largest = std::max(largest, weights.back());
  }
  for (double &weight : weights)
    total += weight = std::exp(weight - largest);
  for (int64_t d = 0; d < headDim; ++d) {
    Mean &mean = out[static_cast<size_t>(d)];
    for (size_t i = 0; i < seen.size(); ++i)
      mean.value += weights[i] / total * v[seen[i] * stride + d];
    for (size_t i = 0; i < seen.size(); ++i)
      mean.spread += weights[i] / total * std::abs(v[seen[i] * stride + d] - mean.value);
  }
  return out;
}

/// A row of results; one that sees nothing is zero to the last bit. With `rounds`, weights are
/// bfloat16, off by up to 2^-8 of themselves.
void expectRow(const float *out, const std::vector<Mean> &expected, bool seesNothing,
               bool rounds = false) {
  for (size_t d = 0; d < expected.size(); ++d) {
    ASSERT_NEAR(out[d], expected[d].value, 6e-5 + (rounds ? expected[d].spread / 255 : 0))
        << "d " << d;
    if (seesNothing) {
      ASSERT_EQ(out[d], 0.0f);
      ASSERT_FALSE(std::signbit(out[d])) << "d " << d;
    }
  }
}

//===----------------------------------------------------------------------===//
// Unit attention
//===----------------------------------------------------------------------===//

struct UnitShape {
  int64_t rows, headDim;
  int64_t groups = 1, real = -1, pictures = 1; ///< without padding: real = rows
  KvType type = KvType::Float32;

  bool isReal(int64_t row) const {
    const int64_t perGroup = rows / groups;
    return row / perGroup < pictures && row % perGroup < (real < 0 ? rows : real);
  }
  std::vector<int64_t> seenBy(int64_t row) const {
    std::vector<int64_t> seen;
    for (int64_t other = 0; other < rows; ++other)
      if (isReal(row) || isReal(other))
        seen.push_back(other);
    return seen;
  }
};

void PrintTo(const UnitShape &shape, std::ostream *stream) {
  *stream << shape.rows << " rows of " << shape.headDim << ", " << shape.groups << " groups, real "
          << shape.real << ", pictures " << shape.pictures << ", " << kvTypeName(shape.type);
}

/// The last of two heads of a unit whose other columns are NaN; every input ends where memory ends.
class Unit {
public:
  Unit(const UnitShape &shape, uint32_t seed)
      : shape_(shape), stride_(shape.headDim * 2 + 3), q_(matrix(seed, 2.0f)),
        k_(matrix(seed + 1, 1.0f)), v_(matrix(seed + 2, 1.5f)), narrowQ_(narrow(q_)),
        narrowK_(narrow(k_)), narrowV_(narrow(v_)),
        scale_(0.9f / std::sqrt(static_cast<float>(shape.headDim))) {}

  /// Rows [begin, end) in calls of up to `split` rows.
  std::vector<float> run(const NativeLevel &level, int64_t begin, int64_t end,
                         int64_t split = kUnitAttentionRows) const {
    const int64_t outStride = shape_.headDim + kBehind;
    const Fenced out(static_cast<size_t>((end - begin) * outStride), kUntouched);
    const Fenced scratch(static_cast<size_t>(unitAttentionScratchBytes(shape_.headDim)) / 4, kNan);
    const int64_t head = stride_ - shape_.headDim;
    for (int64_t row = begin; row < end; row += split)
      level.cores->unitAttention[static_cast<size_t>(shape_.type)](
          out.data() + (row - begin) * outStride, outStride, at(q_, narrowQ_, head),
          at(k_, narrowK_, head), at(v_, narrowV_, head), stride_, row, std::min(row + split, end),
          shape_.rows, shape_.headDim, shape_.groups, shape_.real < 0 ? shape_.rows : shape_.real,
          shape_.pictures, scale_, scratch.data());
    EXPECT_TRUE(out.isIntact());
    EXPECT_TRUE(scratch.isIntact());
    return {out.data(), out.data() + out.size()};
  }

  /// Every `step`-th row of the whole unit, and that nothing behind the head was written.
  void check(const NativeLevel &level, const std::vector<float> &out, int64_t step = 1) const {
    const bool rounds = shape_.type == KvType::BFloat16 &&
                        level.level->name.find("+bf16") != std::string_view::npos;
    const int64_t outStride = shape_.headDim + kBehind, head = stride_ - shape_.headDim;
    for (int64_t row = 0; row < shape_.rows; row += step) {
      SCOPED_TRACE(row);
      const std::vector<int64_t> seen = shape_.seenBy(row);
      const float *result = out.data() + row * outStride;
      expectRow(result,
                attend(q_.data() + row * stride_ + head, k_.data() + head, v_.data() + head,
                       stride_, seen, shape_.headDim, scale_),
                seen.empty(), rounds);
      for (int64_t i = 0; i < kBehind; ++i)
        ASSERT_EQ(result[shape_.headDim + i], kUntouched);
      if (::testing::Test::HasFatalFailure())
        return;
    }
  }

private:
  Fenced matrix(uint32_t seed, float scale) const {
    std::vector<float> values =
        randomFloats(static_cast<size_t>(shape_.rows * stride_), seed, scale);
    for (size_t i = 0; i < values.size(); ++i)
      if (static_cast<int64_t>(i) % stride_ < stride_ - shape_.headDim)
        values[i] = kNan;
      else if (shape_.type == KvType::BFloat16)
        values[i] = bfloat16ToFloat(pack::floatToBFloat16(values[i]));
    return Fenced(values);
  }
  /// The same numbers in bfloat16, which end where memory ends.
  static std::vector<float> narrow(const Fenced &wide) {
    std::vector<float> halves((wide.size() + 1) / 2);
    uint16_t *to = reinterpret_cast<uint16_t *>(halves.data() + halves.size()) - wide.size();
    for (size_t i = 0; i < wide.size(); ++i)
      to[i] = pack::floatToBFloat16(wide.data()[i]);
    return halves;
  }
  const void *at(const Fenced &wide, const Fenced &halves, int64_t head) const {
    if (shape_.type == KvType::Float32)
      return wide.data() + head;
    return reinterpret_cast<const uint16_t *>(halves.data() + halves.size()) - wide.size() + head;
  }

  UnitShape shape_;
  int64_t stride_;
  Fenced q_, k_, v_, narrowQ_, narrowK_, narrowV_;
  float scale_;
};

void checkUnit(const UnitShape &shape, int64_t step = 1) {
  SCOPED_TRACE(::testing::PrintToString(shape));
  const Unit unit(shape, static_cast<uint32_t>(shape.rows * 1000 + shape.headDim));
  forEachLevel(
      [&](const NativeLevel &level) { unit.check(level, unit.run(level, 0, shape.rows), step); });
}

/// The shape in bfloat16, whose heads have an even dimension.
UnitShape narrowed(UnitShape shape) {
  shape.headDim += shape.headDim % 2;
  shape.type = KvType::BFloat16;
  return shape;
}

TEST(UnitAttention, EveryHeadDimension) {
  for (int64_t headDim = 1; headDim <= 256; headDim += headDim < 130 ? 1 : 21) {
    checkUnit({67, headDim}, 5);
    if (headDim % 2 == 0)
      checkUnit(narrowed({67, headDim}), 5);
    if (HasFatalFailure())
      return;
  }
  checkUnit({66, 256}, 5);
  checkUnit(narrowed({66, 256}), 5);
}

TEST(UnitAttention, EveryNumberOfRows) {
  for (int64_t rows = 1; rows <= 140; ++rows) {
    checkUnit({rows, 24}, rows < 20 ? 1 : 7);
    checkUnit(narrowed({rows, 24}), rows < 20 ? 1 : 7);
    if (HasFatalFailure())
      return;
  }
  for (const UnitShape &shape : {UnitShape{577, 64}, UnitShape{577, 88}, UnitShape{1601, 80}}) {
    checkUnit(shape, 97);
    checkUnit(narrowed(shape), 97);
  }
}

/// Groups that fill no block, one, and several; real rows up to and across the border of a block.
const std::vector<UnitShape> kPadded = {{96, 40, 4, 17},  {96, 40, 4, 24},  {4, 16, 4, 1},
                                        {12, 5, 4, 0},    {128, 64, 2, 64}, {132, 80, 2, 63},
                                        {144, 88, 2, 65}, {300, 17, 3, 97}, {80, 128, 1, 9},
                                        {130, 33, 2, 1},  {320, 64, 4, 64}, {264, 100, 2, 131}};

TEST(UnitAttention, HidesPaddingFromPadding) {
  for (UnitShape shape : kPadded)
    for (shape.pictures = 0; shape.pictures <= shape.groups; ++shape.pictures) {
      checkUnit(shape);
      checkUnit(narrowed(shape));
      if (HasFatalFailure())
        return;
    }
}

TEST(UnitAttention, SameBitsHoweverRowsAreGrouped) {
  std::vector<UnitShape> shapes = {{150, 40}, {131, 88}, {70, 128}};
  for (UnitShape shape : kPadded)
    for (int64_t pictures : {int64_t{0}, int64_t{1}, shape.groups}) {
      shape.pictures = pictures;
      shapes.push_back(shape);
    }
  for (size_t i = 0, wide = shapes.size(); i < wide; i += 2)
    shapes.push_back(narrowed(shapes[i]));
  for (const UnitShape &shape : shapes) {
    SCOPED_TRACE(::testing::PrintToString(shape));
    const Unit unit(shape, 11);
    const auto rowFloats = static_cast<size_t>(shape.headDim + kBehind);
    forEachLevel([&](const NativeLevel &level) {
      const std::vector<float> whole = unit.run(level, 0, shape.rows);
      for (int64_t split : {1, 2, 3, 7, 8, 13, 33, 63}) {
        EXPECT_TRUE(
            sameBits(whole.data(), unit.run(level, 0, shape.rows, split).data(), whole.size()))
            << "calls of " << split << " rows";
        const int64_t begin = std::min(split, shape.rows - 1);
        EXPECT_TRUE(sameBits(whole.data() + static_cast<size_t>(begin) * rowFloats,
                             unit.run(level, begin, shape.rows).data(),
                             whole.size() - static_cast<size_t>(begin) * rowFloats))
            << "from row " << begin;
      }
    });
  }
}

//===----------------------------------------------------------------------===//
// Cross attention
//===----------------------------------------------------------------------===//

/// The images that a token sees.
struct Range {
  int32_t first, count;
};

struct PoolShape {
  int64_t groups, groupRows, group, headDim;
  std::vector<int32_t> tiles; ///< of each image
  std::vector<Range> tokens;
};

/// The last of two KV heads of a pool; what no token may see is NaN, and so are the queries of
/// tokens that see nothing.
class Pool {
public:
  Pool(const PoolShape &shape, uint32_t seed);

  /// Tokens [begin, end) in calls of up to `split`.
  std::vector<float> run(const NativeLevel &level, int64_t begin, int64_t end,
                         int64_t split = kAttentionTokens) const;
  void check(const std::vector<float> &out) const;
  int64_t tokens() const { return static_cast<int64_t>(shape_.tokens.size()); }
  int64_t outStride() const { return width() + kBehind; }

private:
  int64_t width() const { return shape_.group * shape_.headDim; }
  int64_t imageRows() const { return shape_.groups * shape_.groupRows; }
  int64_t stride() const { return shape_.headDim * 2; }
  std::vector<int64_t> seenBy(Range range) const;
  /// Random in the last KV head's columns of the listed rows, else NaN.
  Fenced matrix(uint32_t seed, float scale) const;

  PoolShape shape_;
  Fenced q_, k_, v_;
  std::vector<int32_t> first_, count_;
  float scale_;
};

Pool::Pool(const PoolShape &shape, uint32_t seed)
    : shape_(shape), q_(randomFloats(static_cast<size_t>(tokens() * width()), seed, 2.0f)),
      k_(matrix(seed + 1, 1.0f)), v_(matrix(seed + 2, 1.5f)),
      scale_(0.9f / std::sqrt(static_cast<float>(shape.headDim))) {
  for (int64_t t = 0; t < tokens(); ++t) {
    const Range range = shape.tokens[static_cast<size_t>(t)];
    first_.push_back(range.first);
    count_.push_back(range.count);
    if (seenBy(range).empty())
      std::fill_n(q_.data() + t * width(), width(), kNan);
  }
}

std::vector<int64_t> Pool::seenBy(Range range) const {
  std::vector<int64_t> seen;
  for (int64_t image = range.first; image < range.first + range.count; ++image)
    for (int64_t row = 0; row < shape_.tiles[static_cast<size_t>(image)] * shape_.groupRows; ++row)
      seen.push_back(image * imageRows() + row);
  return seen;
}

Fenced Pool::matrix(uint32_t seed, float scale) const {
  const size_t rows = shape_.tiles.size() * static_cast<size_t>(imageRows());
  std::vector<float> values(rows * static_cast<size_t>(stride()), kNan);
  const std::vector<float> numbers = randomFloats(values.size(), seed, scale);
  for (Range range : shape_.tokens)
    for (int64_t row : seenBy(range))
      for (int64_t i = row * stride() + shape_.headDim; i < (row + 1) * stride(); ++i)
        values[static_cast<size_t>(i)] = numbers[static_cast<size_t>(i)];
  return Fenced(values);
}

std::vector<float> Pool::run(const NativeLevel &level, int64_t begin, int64_t end,
                             int64_t split) const {
  const Fenced out(static_cast<size_t>((end - begin) * outStride()), kUntouched);
  const Fenced scratch(
      static_cast<size_t>(crossAttentionScratchBytes(shape_.group, shape_.headDim, split)) / 4,
      kNan);
  for (int64_t t = begin; t < end; t += split)
    level.cores->crossAttention(out.data() + (t - begin) * outStride(), outStride(), q_.data(),
                                width(), k_.data() + shape_.headDim, v_.data() + shape_.headDim,
                                stride(), first_.data(), count_.data(), shape_.tiles.data(), t,
                                std::min(t + split, end), shape_.groups, shape_.groupRows,
                                shape_.group, shape_.headDim, scale_, scratch.data());
  EXPECT_TRUE(out.isIntact());
  EXPECT_TRUE(scratch.isIntact());
  return {out.data(), out.data() + out.size()};
}

void Pool::check(const std::vector<float> &out) const {
  for (int64_t t = 0; t < tokens(); ++t) {
    SCOPED_TRACE(t);
    const std::vector<int64_t> seen = seenBy(shape_.tokens[static_cast<size_t>(t)]);
    const float *result = out.data() + t * outStride();
    for (int64_t h = 0; h < shape_.group; ++h)
      expectRow(result + h * shape_.headDim,
                attend(q_.data() + t * width() + h * shape_.headDim, k_.data() + shape_.headDim,
                       v_.data() + shape_.headDim, stride(), seen, shape_.headDim, scale_),
                seen.empty());
    for (int64_t i = 0; i < kBehind; ++i)
      ASSERT_EQ(result[width() + i], kUntouched);
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

/// Text before any image, runs that see one image, several, the last of the pool, another sequence
/// in between, one whose `first` leads nowhere, and two that see an image without tiles.
const std::vector<Range> kMixed = {{0, 0},          {0, 1}, {0, 1}, {0, 2}, {0, 2}, {0, 2},
                                   {3, 1},          {0, 2}, {5, 1}, {0, 0}, {1, 4}, {-9, 0},
                                   {0x7fffffff, 0}, {4, 1}, {3, 2}, {3, 1}, {3, 1}, {0, 0},
                                   {0, 6},          {4, 1}, {2, 1}};
const std::vector<int32_t> kTiles = {4, 1, 2, 3, 0, 4, 2}; // nobody sees the last image

TEST(CrossAttention, MatchesTheReference) {
  for (int64_t group : {1, 3, 4, 8})
    for (int64_t headDim : {1, 7, 16, 33, 80, 128, 256})
      for (int64_t groupRows : {1, 17, 40}) {
        SCOPED_TRACE("group " + std::to_string(group) + " head " + std::to_string(headDim) +
                     " rows " + std::to_string(groupRows));
        const Pool pool({4, groupRows, group, headDim, kTiles, kMixed}, 3);
        forEachLevel(
            [&](const NativeLevel &level) { pool.check(pool.run(level, 0, pool.tokens())); });
        if (HasFatalFailure())
          return;
      }
}

TEST(CrossAttention, BlocksThatEndWithAnImage) {
  for (int64_t groupRows : {16, 32, 63, 64, 65, 128}) {
    SCOPED_TRACE(groupRows);
    const Pool pool({2, groupRows, 2, 48, {1, 2, 1}, {{0, 1}, {0, 2}, {1, 1}, {0, 3}, {2, 1}}}, 4);
    forEachLevel([&](const NativeLevel &level) { pool.check(pool.run(level, 0, pool.tokens())); });
  }
}

TEST(CrossAttention, SameBitsWhateverTheCompany) {
  for (int64_t group : {1, 3, 5})
    for (int64_t headDim : {32, 40, 128}) {
      SCOPED_TRACE("group " + std::to_string(group) + " head " + std::to_string(headDim));
      const Pool pool({4, 37, group, headDim, kTiles, kMixed}, 5);
      forEachLevel([&](const NativeLevel &level) {
        const std::vector<float> whole = pool.run(level, 0, pool.tokens(), pool.tokens());
        pool.check(whole);
        for (int64_t split : {1, 2, 3, 5, 16})
          for (int64_t begin : {int64_t{0}, split / 2 + 1}) {
            const auto skipped = static_cast<size_t>(begin * pool.outStride());
            EXPECT_TRUE(sameBits(whole.data() + skipped,
                                 pool.run(level, begin, pool.tokens(), split).data(),
                                 whole.size() - skipped))
                << "calls of " << split << " tokens from token " << begin;
          }
      });
    }
}

} // namespace
} // namespace llama4::microkernels
