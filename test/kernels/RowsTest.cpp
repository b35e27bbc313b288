//===- RowsTest.cpp - row kernels against scalar code ---------------------===//

#include "test/kernels/Harness.h"

#include <cmath>
#include <limits>

namespace llama4::test {
namespace {

class RowsTest : public LevelTest {};

const int64_t kWidths[] = {1, 15, 16, 17, 33, 40, 64, 65, 200, 576};

/// Residual add, RMS norm, the norm stored in three ways.
const char *const kNorm = R"(
cmd.kernel @norm_$W grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>, %y: tensor<?x$Wxbf16>, %w: tensor<$Wxbf16>):
  %0, %1, %2, %3 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    %b = lm.element %y : tensor<?x$Wxbf16>
    %s = arith.addf %a, %b : f32
    %q = arith.mulf %s, %s : f32
    %r = lm.reduce sum %q
    %c = arith.constant $INVERSE : f32
    %m = arith.mulf %r, %c : f32
    %eps = arith.constant 1.0e-5 : f32
    %me = arith.addf %m, %eps : f32
    %rs = math.rsqrt %me : f32
    %n = arith.mulf %s, %rs : f32
    %e = lm.element %w : tensor<$Wxbf16>
    %o = arith.mulf %n, %e : f32
    lm.yield %s, %o, %o, %o : f32, f32, f32, f32
  } -> tensor<?x$Wxf32>, tensor<?x$Wxf32>, tensor<?x$Wxbf16>, tensor<?x$Wx!lm.block<q8_32>>
  cmd.yield %0, %1, %2, %3
      : tensor<?x$Wxf32>, tensor<?x$Wxf32>, tensor<?x$Wxbf16>, tensor<?x$Wx!lm.block<q8_32>>
}
)";

TEST_P(RowsTest, ResidualNormQuantize) {
  std::string text;
  for (int64_t width : kWidths)
    text += fill(kNorm, {{"W", std::to_string(width)}, {"INVERSE", std::to_string(1.0 / width)}});
  Kernels kernels(text, GetParam());
  const int64_t tokens = 5;
  for (int64_t width : kWidths) {
    SCOPED_TRACE(width);
    Tensor x = Tensor(ElementType::F32, tokens, width).randomize(random_);
    Tensor y = Tensor(ElementType::BF16, tokens, width).randomize(random_);
    Tensor w = Tensor(ElementType::F32, 1, width).randomize(random_);
    Tensor sum(ElementType::F32, tokens, width), norm(ElementType::F32, tokens, width);
    Tensor narrow(ElementType::BF16, tokens, width), quantized(ElementType::Q8_32, tokens, width);
    kernels.run("norm_" + std::to_string(width), Step(tokens),
                {x, y, w, sum, norm, narrow, quantized});
    const float inverse = std::stof(std::to_string(1.0 / width));
    for (int64_t t = 0; t < tokens; ++t) {
      double squares = 0;
      for (int64_t j = 0; j < width; ++j)
        squares += std::pow(double(x.at(t, j) + y.at(t, j)), 2);
      const double scale = 1.0 / std::sqrt(squares * inverse + 1e-5);
      std::vector<float> row;
      for (int64_t j = 0; j < width; ++j) {
        ASSERT_EQ(sum.at(t, j), x.at(t, j) + y.at(t, j));
        const double expected = double(sum.at(t, j)) * scale * w.at(0, j);
        ASSERT_NEAR(norm.at(t, j), expected, 1e-6 * std::fabs(expected) + 1e-30);
        ASSERT_EQ(narrow.row<uint16_t>(t)[j], toBf16(norm.at(t, j)));
        row.push_back(norm.at(t, j));
      }
      const QuantizedRow want = quantize(row), got = readQuantized(quantized, t);
      ASSERT_EQ(got.quants, want.quants);
      ASSERT_EQ(got.scales, want.scales);
      ASSERT_EQ(got.scaledSums, want.scaledSums);
      ASSERT_EQ(got.sums, want.sums);
      ASSERT_EQ(got.partSums, want.partSums);
    }
  }
}

/// Blocks of 128 columns, alone and beside blocks of 32 and float rows of the same values.
TEST_P(RowsTest, BlocksOf128) {
  const int64_t widths[] = {1, 31, 127, 128, 129, 192, 300, 576, 1024};
  std::string text;
  for (int64_t width : widths)
    text += fill(R"(
cmd.kernel @wide_$W grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>):
  %0 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    lm.yield %a : f32
  } -> tensor<?x$Wx!lm.block<q8_128>>
  cmd.yield %0 : tensor<?x$Wx!lm.block<q8_128>>
}
cmd.kernel @both_$W grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>):
  %0, %1, %2 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    %b = arith.negf %a : f32
    lm.yield %b, %a, %a : f32, f32, f32
  } -> tensor<?x$Wxf32>, tensor<?x$Wx!lm.block<q8_32>>, tensor<?x$Wx!lm.block<q8_128>>
  cmd.yield %0, %1, %2
      : tensor<?x$Wxf32>, tensor<?x$Wx!lm.block<q8_32>>, tensor<?x$Wx!lm.block<q8_128>>
}
)",
                 {{"W", std::to_string(width)}});
  Kernels kernels(text, GetParam());
  const int64_t tokens = 3;
  for (int64_t width : widths) {
    SCOPED_TRACE(width);
    Tensor x = Tensor(ElementType::F32, tokens, width).randomize(random_);
    for (int64_t j = 0; j < width; ++j)
      x.set(1, j, j < 128 ? 0.0f : x.at(1, j)); // a block of zeros
    Tensor alone(ElementType::Q8_128, tokens, width), wide(ElementType::Q8_128, tokens, width);
    Tensor narrow(ElementType::Q8_32, tokens, width), negative(ElementType::F32, tokens, width);
    kernels.run("wide_" + std::to_string(width), Step(tokens), {x, alone});
    kernels.run("both_" + std::to_string(width), Step(tokens), {x, negative, narrow, wide});
    for (int64_t t = 0; t < tokens; ++t) {
      const std::vector<float> row(x.row<float>(t), x.row<float>(t) + width);
      for (const Tensor *tensor : {&alone, &wide, &narrow}) {
        const QuantizedRow want = quantize(row, tensor->type()), got = readQuantized(*tensor, t);
        ASSERT_EQ(got.quants, want.quants) << t;
        ASSERT_EQ(got.scales, want.scales);
        ASSERT_EQ(got.scaledSums, want.scaledSums);
        ASSERT_EQ(got.sums, want.sums);
        ASSERT_EQ(got.partSums, want.partSums);
      }
      for (int64_t j = 0; j < width; ++j)
        ASSERT_EQ(negative.at(t, j), -x.at(t, j)) << j;
    }
  }
}

TEST_P(RowsTest, RoundingOfSpecialValues) {
  Kernels kernels(R"(
cmd.kernel @store grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0, %1 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    lm.yield %a, %a : f32, f32
  } -> tensor<?x48xbf16>, tensor<?x48x!lm.block<q8_32>>
  cmd.yield %0, %1 : tensor<?x48xbf16>, tensor<?x48x!lm.block<q8_32>>
})",
                  GetParam());
  Tensor x(ElementType::F32, 4, 48), narrow(ElementType::BF16, 4, 48);
  Tensor quantized(ElementType::Q8_32, 4, 48);
  const float halves[] = {127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127.0f, 63.5f};
  const float odd[] = {1.00390625f, 1.01171875f, -0.0f, 1e-40f, -3.4e38f, 3.39e38f, 1e-20f, 0.0f};
  for (int64_t j = 0; j < 48; ++j) {
    x.set(0, j, halves[j % 8]);
    x.set(1, j, odd[j % 8]);
    x.set(2, j, 0.0f);                                            // a zero block
    x.set(3, j, j < 32 ? 1e-39f * static_cast<float>(j) : -5.0f); // 127 / max overflows
  }
  kernels.run("store", Step(4), {x, narrow, quantized});
  for (int64_t t = 0; t < 4; ++t) {
    std::vector<float> row(x.row<float>(t), x.row<float>(t) + 48);
    for (int64_t j = 0; j < 48; ++j)
      ASSERT_EQ(narrow.row<uint16_t>(t)[j], toBf16(row[j])) << t << " " << j;
    const QuantizedRow got = readQuantized(quantized, t);
    if (t < 3) {
      const QuantizedRow want = quantize(row);
      EXPECT_EQ(got.quants, want.quants) << t;
      EXPECT_EQ(got.scales, want.scales);
      EXPECT_EQ(got.sums, want.sums);
      EXPECT_EQ(got.partSums, want.partSums);
    }
    for (int q : got.quants)
      EXPECT_LE(std::abs(q), 127);
    if (t == 3)
      for (int64_t j = 0; j < 32; ++j)
        EXPECT_EQ(got.quants[j],
                  static_cast<int>(std::nearbyint(row[j] * std::numeric_limits<float>::max())));
    EXPECT_EQ(got.quants[47 + 1], 0) << "padded columns are zero";
  }
  Tensor nan(ElementType::F32, 1, 48);
  for (int64_t j = 0; j < 48; ++j)
    nan.set(0, j,
            j % 2 ? std::numeric_limits<float>::quiet_NaN()
                  : std::numeric_limits<float>::infinity());
  kernels.run("store", Step(1), {nan, narrow, quantized});
  EXPECT_TRUE(std::isnan(narrow.at(0, 1)));
  EXPECT_TRUE(std::isinf(narrow.at(0, 2)));
}

/// A reduction whose operand needs another one, and the maximum of negative numbers.
TEST_P(RowsTest, Softmax) {
  const char *const text = R"(
cmd.kernel @softmax_$W grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Wxf32>):
  %0 = lm.row $W {
    %a = lm.element %x : tensor<?x$Wxf32>
    %max = lm.reduce max %a
    %d = arith.subf %a, %max : f32
    %e = math.exp %d : f32
    %sum = lm.reduce sum %e
    %p = arith.divf %e, %sum : f32
    lm.yield %p : f32
  } -> tensor<?x$Wxf32>
  cmd.yield %0 : tensor<?x$Wxf32>
}
)";
  std::string all;
  for (int64_t width : kWidths)
    all += fill(text, {{"W", std::to_string(width)}});
  Kernels kernels(all, GetParam());
  for (int64_t width : kWidths) {
    Tensor x = Tensor(ElementType::F32, 3, width).randomize(random_, 4.0f);
    for (int64_t j = 0; j < width; ++j)
      x.set(1, j, x.at(1, j) - 100.0f);
    Tensor p(ElementType::F32, 3, width);
    kernels.run("softmax_" + std::to_string(width), Step(3), {x, p});
    for (int64_t t = 0; t < 3; ++t) {
      double largest = -INFINITY, sum = 0;
      for (int64_t j = 0; j < width; ++j)
        largest = std::max(largest, double(x.at(t, j)));
      for (int64_t j = 0; j < width; ++j)
        sum += std::exp(x.at(t, j) - largest);
      for (int64_t j = 0; j < width; ++j) {
        const double expected = std::exp(x.at(t, j) - largest) / sum;
        ASSERT_NEAR(p.at(t, j), expected, 2e-6 * expected) << width << " " << t << " " << j;
      }
    }
  }
}

/// A row gives the same bits wherever it stands and however the dispatch is cut.
TEST_P(RowsTest, SameBitsInAnyCompany) {
  Kernels kernels(fill(kNorm, {{"W", "200"}, {"INVERSE", "0.005"}}), GetParam());
  Tensor x = Tensor(ElementType::F32, 7, 200).randomize(random_);
  Tensor y = Tensor(ElementType::BF16, 7, 200).randomize(random_);
  Tensor w = Tensor(ElementType::F32, 1, 200).randomize(random_);
  auto outputs = [](int64_t tokens) {
    return std::vector<Tensor>{
        Tensor(ElementType::F32, tokens, 200), Tensor(ElementType::F32, tokens, 200),
        Tensor(ElementType::BF16, tokens, 200), Tensor(ElementType::Q8_32, tokens, 200)};
  };
  std::vector<Tensor> together = outputs(7), alone = outputs(1);
  kernels.run("norm_200", Step(7), {x, y, w, together[0], together[1], together[2], together[3]});
  for (int64_t t = 0; t < 7; ++t) {
    Tensor xRow(ElementType::F32, 1, 200), yRow(ElementType::BF16, 1, 200);
    std::memcpy(xRow.data(), x.row<char>(t), x.rowBytes());
    std::memcpy(yRow.data(), y.row<char>(t), y.rowBytes());
    kernels.run("norm_200", Step(1), {xRow, yRow, w, alone[0], alone[1], alone[2], alone[3]});
    EXPECT_EQ(std::memcmp(alone[1].data(), together[1].row<char>(t), 800), 0);
    EXPECT_EQ(std::memcmp(alone[3].data(), together[3].row<char>(t), 200), 0);
  }
}

/// Column maps of every kind, and rows through an index.
TEST_P(RowsTest, ColumnMapsAndGather) {
  struct Map {
    const char *text;
    int64_t columns;
    int64_t (*map)(int64_t);
  };
  const Map maps[] = {
      {"j", 80, [](int64_t j) { return j; }},
      {"j + 16", 96, [](int64_t j) { return j + 16; }},
      {"j mod 16", 16, [](int64_t j) { return j % 16; }},
      {"j mod 20", 20, [](int64_t j) { return j % 20; }},
      {"(j mod 32) floordiv 2", 16, [](int64_t j) { return j % 32 / 2; }},
      {"(j mod 40) floordiv 2", 20, [](int64_t j) { return j % 40 / 2; }},
      {"j floordiv 16", 5, [](int64_t j) { return j / 16; }},
      {"j floordiv 7 + 2", 14, [](int64_t j) { return j / 7 + 2; }},
      {"79 - j", 80, [](int64_t j) { return 79 - j; }},
      {"(j * 3) mod 80", 80, [](int64_t j) { return j * 3 % 80; }},
      {"(j - 8) floordiv 16 + 1", 6, [](int64_t j) { return (j - 8 + 16) / 16 - 1 + 1; }},
      {"(j - 8) mod 32", 32, [](int64_t j) { return (j - 8 + 32) % 32; }},
      {"j ceildiv 16", 6, [](int64_t j) { return (j + 15) / 16; }},
      {"0", 1, [](int64_t) { return int64_t(0); }},
  };
  for (const char *type : {"f32", "bf16"}) {
    std::string text;
    for (size_t i = 0; i < std::size(maps); ++i)
      text += fill(R"(
cmd.kernel @map_$I grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x$Cx$T>, %rows: tensor<?xi32>):
  %0 = lm.row 77 {
    %a = lm.element %x rows %rows : tensor<?xi32> at affine_map<(j) -> ($MAP)> : tensor<?x$Cx$T>
    lm.yield %a : f32
  } -> tensor<?x77xf32>
  cmd.yield %0 : tensor<?x77xf32>
}
)",
                   {{"I", std::to_string(i)},
                    {"C", std::to_string(maps[i].columns)},
                    {"T", type},
                    {"MAP", maps[i].text}});
    Kernels kernels(text, GetParam());
    for (size_t i = 0; i < std::size(maps); ++i) {
      SCOPED_TRACE(maps[i].text);
      const ElementType element = type[0] == 'b' ? ElementType::BF16 : ElementType::F32;
      Tensor x = Tensor(element, 9, maps[i].columns).randomize(random_);
      Tensor rows(ElementType::I32, 4, 0), out(ElementType::F32, 4, 77);
      const int32_t picks[] = {8, 0, 3, 3};
      std::memcpy(rows.data(), picks, sizeof(picks));
      kernels.run("map_" + std::to_string(i), Step(4), {x, rows, out});
      for (int64_t t = 0; t < 4; ++t)
        for (int64_t j = 0; j < 77; ++j)
          ASSERT_EQ(out.at(t, j), x.at(picks[t], maps[i].map(j))) << t << " " << j;
    }
  }
}

LLAMA4_FOR_ALL_LEVELS(RowsTest);

} // namespace
} // namespace llama4::test
