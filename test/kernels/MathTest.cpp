//===- MathTest.cpp - exp, tanh and their friends in float32 --------------===//

#include "test/kernels/Harness.h"

#include <cmath>
#include <functional>
#include <limits>

namespace llama4::test {
namespace {

class MathTest : public LevelTest {
protected:
  /// f(x) + addend for all of `inputs`, 256 to a row, by the op `name`; no addition of nothing.
  std::vector<float> apply(const std::string &name, const std::vector<float> &inputs,
                           const std::string &addend = "") {
    const std::string sum =
        "%c = arith.constant " + addend + " : f32\n%r = arith.addf %y, %c : f32";
    Kernels kernels(fill(R"(
cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x256xf32>):
  %0 = lm.row 256 {
    %a = lm.element %x : tensor<?x256xf32>
    %y = $OP %a : f32
    $SUM
    lm.yield $RESULT : f32
  } -> tensor<?x256xf32>
  cmd.yield %0 : tensor<?x256xf32>
})",
                         {{"OP", name},
                          {"SUM", addend.empty() ? "" : sum},
                          {"RESULT", addend.empty() ? "%y" : "%r"}}),
                    GetParam());
    const int64_t rows = (static_cast<int64_t>(inputs.size()) + 255) / 256;
    Tensor x(ElementType::F32, rows, 256), y(ElementType::F32, rows, 256);
    std::memset(x.data(), 0, x.bytes());
    std::memcpy(x.data(), inputs.data(), inputs.size() * 4);
    kernels.run("f", Step(static_cast<int32_t>(rows)), {x, y});
    const float *values = y.row<float>(0);
    return {values, values + inputs.size()};
  }

  /// The largest relative error where the true value is a normal float32.
  double worst(const std::string &name, const std::vector<float> &inputs, double (*truth)(double)) {
    const std::vector<float> values = apply(name, inputs);
    double worst = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const double expected = truth(inputs[i]);
      if (std::fabs(expected) < std::numeric_limits<float>::min() ||
          std::fabs(expected) > std::numeric_limits<float>::max())
        continue;
      worst = std::max(worst, std::fabs(values[i] - expected) / std::fabs(expected));
    }
    return worst;
  }
};

std::vector<float> grid(double low, double high, size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(low + (high - low) * static_cast<double>(i) /
                                             static_cast<double>(count - 1));
  return values;
}

TEST_P(MathTest, ExpIsAccurate) {
  EXPECT_LT(worst("math.exp", grid(-87.3, 88.72, 400000), std::exp), 3e-7);
  EXPECT_LT(worst("math.exp", grid(-1e-3, 1e-3, 4000), std::exp), 2e-7);
}

TEST_P(MathTest, ExpAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values =
      apply("math.exp", {0.0f, infinity, -infinity, 88.8f, 1e30f, -104.0f, -1e30f, -100.0f,
                         std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(values[0], 1.0f);
  EXPECT_EQ(values[1], infinity);
  EXPECT_EQ(values[2], 0.0f);
  EXPECT_EQ(values[3], infinity);
  EXPECT_EQ(values[4], infinity);
  EXPECT_EQ(values[5], 0.0f);
  EXPECT_EQ(values[6], 0.0f);
  EXPECT_NEAR(values[7], std::exp(-100.0), 1.5e-45) << "a denormal";
  EXPECT_TRUE(std::isnan(values[8]));
}

// A sum with 1 takes another expansion than the exponential alone; the sums are the same.
TEST_P(MathTest, ExpInSumHasTheSameBits) {
  std::vector<float> arguments = grid(-110, 95, 200001);
  for (float end : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                    -87.336f, -87.0f, 88.72f, 88.73f, 0.0f})
    arguments.push_back(end);
  const std::vector<float> alone = apply("math.exp", arguments);
  const std::vector<float> sums = apply("math.exp", arguments, "1.0");
  for (size_t i = 0; i < arguments.size(); ++i)
    ASSERT_EQ(sums[i], alone[i] + 1.0f) << arguments[i];
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(apply("math.exp", {nan}, "1.0")[0]));
}

TEST_P(MathTest, TanhIsAccurate) {
  EXPECT_LT(worst("math.tanh", grid(-12, 12, 200001), std::tanh), 4e-7);
  EXPECT_LT(worst("math.tanh", grid(1e-6, 1e-3, 4000), std::tanh), 2e-7);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> ends = apply("math.tanh", {infinity, -infinity, -0.0f, 50.0f});
  EXPECT_EQ(ends[0], 1.0f);
  EXPECT_EQ(ends[1], -1.0f);
  EXPECT_TRUE(ends[2] == 0.0f && std::signbit(ends[2]));
  EXPECT_EQ(ends[3], 1.0f);
}

TEST_P(MathTest, RootsAndErf) {
  EXPECT_LT(
      worst("math.rsqrt", grid(1e-6, 1e4, 20000), [](double x) { return 1.0 / std::sqrt(x); }),
      2e-7);
  EXPECT_LT(worst("math.sqrt", grid(1e-6, 1e4, 20000), std::sqrt), 1e-7);
  const std::vector<float> inputs = grid(-5, 5, 20000), values = apply("math.erf", inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    ASSERT_NEAR(values[i], std::erf(double(inputs[i])), 1e-6) << inputs[i];
}

LLAMA4_FOR_ALL_LEVELS(MathTest);

} // namespace
} // namespace llama4::test
