//===- HeadReduceTest.cpp - reductions over heads against scalar code -----===//
//
// lm.reduce over `dim` columns in row kernels and in epilogues, of plain and of rotated values.
//
//===----------------------------------------------------------------------===//

#include "test/kernels/Weights.h"

#include <cmath>
#include <numeric>

namespace llama4::test {
namespace {

using pack::Encoding;

class HeadReduceTest : public LevelTest {};

const int64_t kDims[] = {16, 32, 40, 64, 128, 1, 6};

/// The region of a head norm behind RoPE, from %a: scaled is rope(a) / rms of its head, share is a
/// minus the largest of its head, over the sum of the row where there is one.
const char *const kNorm = R"(
    %c = lm.element %cos at affine_map<(j) -> ($INDEX)> : tensor<?x$Hxf32>
    %s = lm.element %sin at affine_map<(j) -> ($INDEX)> : tensor<?x$Hxf32>
    %r = lm.rotate $STYLE %a, $D
    %ac = arith.mulf %a, %c : f32
    %rs = arith.mulf %r, %s : f32
    %o = arith.addf %ac, %rs : f32
    %sq = arith.mulf %o, %o : f32
    %sum = lm.reduce sum %sq over $D
    %inverse = arith.constant $INVERSE : f32
    %mean = arith.mulf %sum, %inverse : f32
    %eps = arith.constant 1.0e-5 : f32
    %shifted = arith.addf %mean, %eps : f32
    %rsqrt = math.rsqrt %shifted : f32
    %scaled = arith.mulf %o, %rsqrt : f32
    %max = lm.reduce max %scaled over $D
    %rest = arith.subf %scaled, %max : f32
)";

const char *const kRow = R"(
cmd.kernel @row_$STYLE_$D grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>, %cos: tensor<?x$Hxf32>, %sin: tensor<?x$Hxf32>):
  %0, %1, %2 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    $NORM
    %total = lm.reduce max %scaled
    %all = arith.subf %scaled, %total : f32
    lm.yield %scaled, %rest, %all : f32, f32, f32
  } -> tensor<?x$Wxf32>, tensor<?x$Wx!lm.block<q8_32>>, tensor<?x$Wxf32>
  cmd.yield %0, %1, %2 : tensor<?x$Wxf32>, tensor<?x$Wx!lm.block<q8_32>>, tensor<?x$Wxf32>
}
)";

/// Units of lcm(16, dim) columns, the last one cut.
const char *const kEpilogue = R"(
cmd.kernel @linear_$STYLE_$D grid affine_map<(T) -> ((T ceildiv 8) * $UNITS)> {
^bb0(%x: tensor<?x24xf32>, %cos: tensor<?x$Hxf32>, %sin: tensor<?x$Hxf32>, %w: tensor<$Wx24xf32>):
  %0, %1 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 8>
      : tensor<?x24xf32>, tensor<$Wx24xf32> -> tensor<?x$Wxf32>, tensor<?x$Wxf32> epilogue {
  ^bb0(%a: f32):
    $NORM
    lm.yield %scaled, %rest : f32, f32
  }
  cmd.yield %0, %1 : tensor<?x$Wxf32>, tensor<?x$Wxf32>
}
)";

std::string kernelText(const char *text, int64_t dim, int64_t width, bool half, int64_t unit) {
  const std::string pairs = "(j mod " + std::to_string(dim) + ") floordiv 2";
  return fill(text, {{"NORM", kNorm},
                     {"STYLE", half ? "half" : "pairs"},
                     {"INDEX", half ? "j mod " + std::to_string(dim / 2) : pairs},
                     {"INVERSE", std::to_string(1.0 / static_cast<double>(dim))},
                     {"UNITS", std::to_string((width + unit - 1) / unit)},
                     {"D", std::to_string(dim)},
                     {"H", std::to_string(dim / 2)},
                     {"W", std::to_string(width)}});
}

struct Expected {
  std::vector<double> scaled, rest; ///< of one row
};

/// The same in double, from the row's values.
Expected expect(const std::vector<double> &row, const Tensor &cos, const Tensor &sin, int64_t t,
                int64_t dim, bool half) {
  Expected expected;
  for (size_t begin = 0; begin < row.size(); begin += dim) {
    const double *a = row.data() + begin;
    std::vector<double> head;
    double squares = 0;
    for (int64_t i = 0; i < dim; ++i) {
      const int64_t pair = half ? i % (dim / 2) : i / 2;
      const double partner = half ? (i < dim / 2 ? -a[i + dim / 2] : a[i - dim / 2])
                                  : (i % 2 == 0 ? -a[i + 1] : a[i - 1]);
      head.push_back(a[i] * cos.at(t, pair) + partner * sin.at(t, pair));
      squares += head.back() * head.back();
    }
    const double scale =
        1 / std::sqrt(squares * std::stof(std::to_string(1.0 / static_cast<double>(dim))) + 1e-5);
    double largest = -INFINITY;
    for (double &value : head)
      largest = std::max(largest, value *= scale);
    for (double value : head) {
      expected.scaled.push_back(value);
      expected.rest.push_back(value - largest);
    }
  }
  return expected;
}

TEST_P(HeadReduceTest, RowsBehindRope) {
  std::string text;
  const int64_t heads = 3, tokens = 4;
  for (int64_t dim : kDims)
    for (bool half : {true, false})
      if (dim % 2 == 0)
        text += kernelText(kRow, dim, dim * heads, half, 16);
  Kernels kernels(text, GetParam());
  for (int64_t dim : kDims)
    for (bool half : {true, false}) {
      if (dim % 2 != 0)
        continue;
      const std::string name =
          std::string("row_") + (half ? "half_" : "pairs_") + std::to_string(dim);
      SCOPED_TRACE(name);
      const int64_t width = dim * heads;
      Tensor x = Tensor(ElementType::F32, tokens, width).randomize(random_);
      Tensor cos = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
      Tensor sin = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
      Tensor scaled(ElementType::F32, tokens, width), rest(ElementType::Q8_32, tokens, width);
      Tensor all(ElementType::F32, tokens, width);
      kernels.run(name, Step(tokens), {x, cos, sin, scaled, rest, all});
      for (int64_t t = 0; t < tokens; ++t) {
        std::vector<double> row;
        std::vector<float> rests;
        for (int64_t j = 0; j < width; ++j)
          row.push_back(x.at(t, j));
        const Expected want = expect(row, cos, sin, t, dim, half);
        float total = -INFINITY;
        for (int64_t j = 0; j < width; ++j) {
          ASSERT_NEAR(scaled.at(t, j), want.scaled[j], 4e-6) << t << " " << j;
          total = std::max(total, scaled.at(t, j));
        }
        for (int64_t j = 0; j < width; ++j) {
          float largest = -INFINITY;
          for (int64_t i = j / dim * dim; i < (j / dim + 1) * dim; ++i)
            largest = std::max(largest, scaled.at(t, i));
          rests.push_back(scaled.at(t, j) - largest);
          ASSERT_EQ(all.at(t, j), scaled.at(t, j) - total) << t << " " << j;
        }
        ASSERT_EQ(readQuantized(rest, t).quants, quantize(rests).quants) << t;
        ASSERT_EQ(readQuantized(rest, t).scales, quantize(rests).scales) << t;
      }
    }
}

/// A head gives the same bits wherever it stands in a row.
TEST_P(HeadReduceTest, SameBitsInEveryHead) {
  std::string text;
  for (int64_t dim : kDims)
    text += fill(R"(
cmd.kernel @sum_$D grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>):
  %0 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    %s = lm.reduce sum %a over $D
    lm.yield %s : f32
  } -> tensor<?x$Wxf32>
  cmd.yield %0 : tensor<?x$Wxf32>
}
)",
                 {{"D", std::to_string(dim)}, {"W", std::to_string(5 * dim)}});
  Kernels kernels(text, GetParam());
  for (int64_t dim : kDims) {
    Tensor x = Tensor(ElementType::F32, 1, 5 * dim).randomize(random_);
    for (int64_t j = dim; j < 5 * dim; ++j)
      x.set(0, j, x.at(0, j % dim));
    Tensor out(ElementType::F32, 1, 5 * dim);
    kernels.run("sum_" + std::to_string(dim), Step(1), {x, out});
    double exact = 0;
    for (int64_t j = 0; j < dim; ++j)
      exact += x.at(0, j);
    ASSERT_NEAR(out.at(0, 0), exact, 1e-5) << dim;
    for (int64_t j = 1; j < 5 * dim; ++j)
      ASSERT_EQ(out.at(0, j), out.at(0, 0)) << dim << " " << j;
  }
}

TEST_P(HeadReduceTest, EpilogueBehindRope) {
  std::string text;
  const int64_t k = 24, heads = 5;
  for (int64_t dim : kDims)
    for (bool half : {true, false})
      if (dim % 2 == 0)
        text += kernelText(kEpilogue, dim, dim * heads, half, std::lcm(dim, int64_t{16}));
  Kernels kernels(text, GetParam());
  for (int64_t dim : kDims)
    for (bool half : {true, false}) {
      if (dim % 2 != 0)
        continue;
      const std::string name =
          std::string("linear_") + (half ? "half_" : "pairs_") + std::to_string(dim);
      SCOPED_TRACE(name);
      const int64_t width = dim * heads, tokens = 11;
      const Weight weight = randomWeight(Encoding::Float32, width, k, random_);
      Tensor x = Tensor(ElementType::F32, tokens, k).randomize(random_);
      Tensor cos = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
      Tensor sin = Tensor(ElementType::F32, tokens, dim / 2).randomize(random_);
      Tensor scaled(ElementType::F32, tokens, width), rest(ElementType::F32, tokens, width);
      kernels.run(name, Step(tokens), {x, cos, sin, weight.packed, scaled, rest});
      for (int64_t t = 0; t < tokens; ++t) {
        std::vector<double> row(width);
        for (int64_t j = 0; j < width; ++j)
          for (int64_t i = 0; i < k; ++i)
            row[j] += double(x.at(t, i)) * weight.at(j, i, k);
        const Expected want = expect(row, cos, sin, t, dim, half);
        for (int64_t j = 0; j < width; ++j) {
          ASSERT_NEAR(scaled.at(t, j), want.scaled[j], 2e-5) << t << " " << j;
          ASSERT_NEAR(rest.at(t, j), want.rest[j], 4e-5) << t << " " << j;
        }
      }
    }
}

LLAMA4_FOR_ALL_LEVELS(HeadReduceTest);

} // namespace
} // namespace llama4::test
