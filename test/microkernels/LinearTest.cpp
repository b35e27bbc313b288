//===- LinearTest.cpp - the linear cores against references ---------------===//
//
// Two references: a sum in double precision, with the error that K roundings may make, and the
// order of operations that the numeric contract fixes, done one element at a time in scalar code,
// which must give the same bits.
//
//===----------------------------------------------------------------------===//
#include "test/microkernels/Blocks.h"
#include "test/microkernels/Support.h"

#include "compiler/pack/Layout.h"
#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"

#include <cmath>

namespace llama4::microkernels {
namespace {

/// m activation rows in the form a core reads; what lies beyond K is NaN.
struct Rows {
  std::vector<std::byte> bytes;
  int64_t stride = 0;
  std::vector<float> values; ///< [m][k] what the rows mean, for the float forms
};

float fieldFloat(const std::byte *p) {
  float value;
  std::memcpy(&value, p, 4);
  return value;
}

/// One row as KernelAbi.h describes q8<32> and q8<128>; `width` is the columns of a block.
void quantizeActivation(const float *x, int64_t k, int64_t width, std::byte *row) {
  const int64_t blocks = k / width;
  for (int64_t b = 0; b < blocks; ++b) {
    float largest = 0;
    for (int64_t i = 0; i < width; ++i)
      largest = std::max(largest, std::fabs(x[b * width + i]));
    int32_t sum = 0;
    int16_t parts[4] = {};
    for (int64_t i = 0; i < width; ++i) {
      const float scaled = largest == 0 ? 0 : x[b * width + i] * (127.0f / largest);
      const auto q = static_cast<int8_t>(std::nearbyint(scaled));
      std::memcpy(row + b * width + i, &q, 1);
      sum += q;
      parts[i / 32] = static_cast<int16_t>(parts[i / 32] + q);
    }
    const float scale = largest / 127.0f, scaledSum = scale * static_cast<float>(sum);
    std::byte *block = row + blocks * width + b * (width == 32 ? 12 : 16);
    std::memcpy(block, &scale, 4);
    if (width == 32) {
      sum *= -128;
      std::memcpy(block + 4, &scaledSum, 4);
      std::memcpy(block + 8, &sum, 4);
    } else {
      std::memcpy(block + 4, &sum, 4);
      std::memcpy(block + 8, parts, 8);
    }
  }
}

Rows makeRows(Activation activation, int64_t m, int64_t k, uint32_t seed, float scale) {
  Rows rows;
  rows.values = randomFloats(static_cast<size_t>(m * k), seed, scale);
  const int64_t used = activation == Activation::F32    ? k * 4
                       : activation == Activation::BF16 ? k * 2
                       : activation == Activation::Q8   ? k / 32 * 44
                                                        : k / 128 * 144;
  rows.stride = (used + 63) / 64 * 64 + 64;
  rows.bytes.assign(static_cast<size_t>(rows.stride * m), std::byte{0xff}); // 0xffff... is a NaN
  for (int64_t i = 0; i < m; ++i) {
    float *x = rows.values.data() + i * k;
    std::byte *row = rows.bytes.data() + i * rows.stride;
    if (i == 2)
      std::fill(x, x + k, 0.0f);
    if (activation == Activation::F32) {
      std::memcpy(row, x, static_cast<size_t>(used));
    } else if (activation == Activation::BF16) {
      for (int64_t j = 0; j < k; ++j) {
        const uint16_t bits = pack::floatToBFloat16(x[j]);
        std::memcpy(row + j * 2, &bits, 2);
        x[j] = bfloat16ToFloat(bits);
      }
    } else {
      quantizeActivation(x, k, activation == Activation::Q8 ? 32 : 128, row);
    }
  }
  return rows;
}

struct Expected {
  float contract; ///< the contract's own order
  double exact;
  double tolerance;
};

Expected expectFloat(const float *x, const Source &w, int64_t k) {
  float sums[2] = {0, 0};
  double exact = 0, magnitude = 0;
  for (int64_t i = 0; i < k; ++i) {
    const float value = w.value(i);
    sums[i % 2] = std::fma(value, x[i], sums[i % 2]);
    exact += static_cast<double>(value) * x[i];
    magnitude += std::fabs(static_cast<double>(value) * x[i]);
  }
  return {sums[0] + sums[1], exact, magnitude * static_cast<double>(k + 1) * 0x1p-24};
}

/// One accumulation of dotPairBf16: fma that takes and makes no number below 2^-126.
float fmaFlushed(float a, float b, float c) {
  const auto flush = [](float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; };
  return flush(std::fma(flush(a), flush(b), flush(c)));
}

/// bfloat16 times bfloat16 where the level has an instruction for pairs.
Expected expectPairs(const float *x, const Source &w, int64_t k) {
  Expected expected = expectFloat(x, w, k);
  float sums[2] = {0, 0};
  for (int64_t i = 0; i < k; i += 2) {
    float &sum = sums[i / 2 % 2];
    if (i + 1 < k)
      sum = fmaFlushed(w.value(i + 1), x[i + 1], sum);
    sum = fmaFlushed(w.value(i), x[i], sum);
  }
  expected.contract = sums[0] + sums[1];
  return expected;
}

/// bfloat16 times bfloat16 where the level has tiles: even and odd columns of each 32 apart.
Expected expectTiles(const float *x, const Source &w, int64_t k) {
  Expected expected = expectFloat(x, w, k);
  expected.contract = 0;
  for (int64_t first = 0; first < k; first += 32) {
    float sums[2] = {0, 0};
    for (int64_t i = first; i < std::min(first + 32, k); ++i)
      sums[i % 2] = fmaFlushed(w.value(i), x[i], sums[i % 2]);
    expected.contract = fmaFlushed(fmaFlushed(sums[0], 1, sums[1]), 1, expected.contract);
  }
  return expected;
}

/// The dot product of a row's int8 with quants, columns [first, first + count).
int dotOf(const std::byte *row, const Source &w, int64_t first, int64_t count) {
  int dot = 0;
  for (int64_t i = first; i < first + count; ++i)
    dot += w.quant(i) * static_cast<int8_t>(row[i]);
  return dot;
}

/// A sum in double precision, and that of the magnitudes for its tolerance.
struct ExactSum {
  double sum = 0, magnitude = 0;
  void add(double product) {
    sum += product;
    magnitude += std::fabs(product);
  }
  Expected expected(float contract, int64_t roundings) const {
    return {contract, sum, magnitude * static_cast<double>(roundings) * 0x1p-24};
  }
};

Expected expectQ8(const std::byte *row, const Source &w, int64_t k) {
  const int64_t blocks = k / 32;
  float y = 0;
  ExactSum exact;
  for (int64_t b = 0; b < blocks; ++b) {
    const float scale = fieldFloat(row + blocks * 32 + b * 12);
    const float scaledSum = fieldFloat(row + blocks * 32 + b * 12 + 4);
    const int dot = dotOf(row, w, b * 32, 32);
    y = std::fma(w.d(b * 32) * scale, static_cast<float>(dot), y);
    exact.add(static_cast<double>(w.d(b * 32)) * scale * dot);
    if (w.hasMinimum()) {
      y = std::fma(w.m(b * 32), scaledSum, y);
      exact.add(static_cast<double>(w.m(b * 32)) * scaledSum);
    }
  }
  return exact.expected(y, 3 * blocks + 2);
}

Expected expectWide(const std::byte *row, const Source &w, int64_t k) {
  const int64_t groups = k / 128;
  float y = 0;
  ExactSum exact;
  for (int64_t g = 0; g < groups; ++g) {
    const float scale = fieldFloat(row + groups * 128 + g * 16);
    const int dot = dotOf(row, w, g * 128, 128);
    y = std::fma(w.d(g * 128) * scale, static_cast<float>(dot), y);
    exact.add(static_cast<double>(w.d(g * 128)) * scale * dot);
  }
  return exact.expected(y, 2 * groups + 2);
}

/// Encodings in superblocks, half of one at a time.
Expected expectSuper(const std::byte *row, const Source &w, int64_t k) {
  const int64_t groups = k / 128;
  float y = 0;
  ExactSum exact;
  for (int64_t g = 0; g < groups; ++g) {
    const float scale = fieldFloat(row + groups * 128 + g * 16);
    float scaled = 0;
    int minima = 0;
    for (int64_t first = g * 128; first < g * 128 + 128; first += w.scaleColumns()) {
      const int dot = dotOf(row, w, first, w.scaleColumns());
      int sum = 0;
      for (int64_t i = first; i < first + w.scaleColumns(); ++i)
        sum += static_cast<int8_t>(row[i]);
      const Source::Small small = w.small(first);
      scaled = std::fma(small.scale, static_cast<float>(dot), scaled);
      minima += static_cast<int>(small.minimum) * sum;
      exact.add(static_cast<double>(small.d) * small.scale * dot * scale);
      exact.add(-static_cast<double>(small.dmin) * small.minimum * sum * scale);
    }
    const Source::Small small = w.small(g * 128);
    float value = small.d * scaled;
    if (w.hasMinimum())
      value = std::fma(-small.dmin, static_cast<float>(minima), value);
    y = std::fma(scale, value, y);
  }
  return exact.expected(y, 3 * groups + 10);
}

/// One weight, activation rows, and what must come out.
class Problem {
public:
  Problem(const LinearCore &core, int64_t m, int64_t n, int64_t k, float scale = 1.0f)
      : Problem(core, m, n, k, makeWeight(core.encoding, n, k, static_cast<uint32_t>(n * 11 + k)),
                scale) {}

  Problem(const LinearCore &core, int64_t m, int64_t n, int64_t k, std::vector<std::byte> source,
          float scale = 1.0f)
      : core_(core), m_(m), n_(n), k_(k),
        rows_(makeRows(core.activation, m, k, static_cast<uint32_t>(m * 7 + k), scale)),
        source_(std::move(source)), packed_(pack::packedBytes(core.encoding, n, k)) {
    pack::packWeight(core.encoding, source_, n, k, packed_);
  }

  /// All panels with the given split of the tokens; [m][panels * 16], columns beyond stay 7.
  std::vector<float> run(const NativeLevel &level, int64_t split) const {
    const LinearFunction function = level.cores->find(core_.activation, core_.encoding);
    const int64_t width = panels() * kPanelRows;
    std::vector<float> out(static_cast<size_t>(m_ * (width + 3)), 7.0f);
    const uint64_t panel = pack::panelBytes(core_.encoding, k_);
    for (int64_t p = 0; p < panels(); ++p)
      for (int64_t i = 0; i < m_; i += split)
        function(out.data() + i * (width + 3) + p * kPanelRows, width + 3,
                 rows_.bytes.data() + i * rows_.stride, rows_.stride,
                 packed_.data() + static_cast<uint64_t>(p) * panel, std::min(split, m_ - i), k_);
    return out;
  }

  void check(const NativeLevel &level, const std::vector<float> &out) const {
    const bool pairs = core_.activation == Activation::BF16 &&
                       core_.encoding == Encoding::BFloat16 &&
                       level.level->features.find("avx512bf16") != std::string_view::npos;
    const bool tiles = level.level->features.find("amx-bf16") != std::string_view::npos;
    const int64_t width = panels() * kPanelRows;
    const uint64_t rowBytes = pack::sourceRowBytes(core_.encoding, k_);
    for (int64_t i = 0; i < m_; ++i)
      for (int64_t j = 0; j < width + 3; ++j) {
        const float got = out[static_cast<size_t>(i * (width + 3) + j)];
        if (j >= width) {
          ASSERT_EQ(got, 7.0f) << "written beyond the panel";
        } else if (j >= n_) {
          ASSERT_EQ(got, 0.0f) << "padding row " << j;
        } else {
          const Source w{core_.encoding, source_.data() + static_cast<uint64_t>(j) * rowBytes};
          const float *x = rows_.values.data() + i * k_;
          const std::byte *row = rows_.bytes.data() + i * rows_.stride;
          const Expected expected = core_.activation == Activation::Q8 ? expectQ8(row, w, k_)
                                    : core_.activation == Activation::Q8_128
                                        ? (w.isSuper() ? expectSuper : expectWide)(row, w, k_)
                                    : pairs ? (tiles ? expectTiles : expectPairs)(x, w, k_)
                                            : expectFloat(x, w, k_);
          ASSERT_NEAR(got, expected.exact, expected.tolerance + 1e-30) << i << " " << j;
          ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected.contract))
              << got << " instead of " << expected.contract << " at " << i << " " << j;
        }
      }
  }

private:
  int64_t panels() const { return (n_ + kPanelRows - 1) / kPanelRows; }

  LinearCore core_;
  int64_t m_, n_, k_;
  Rows rows_;
  std::vector<std::byte> source_, packed_;
};

class Linear : public ::testing::TestWithParam<LinearCore> {};

TEST_P(Linear, MatchesTheReferencesAtOddSizes) {
  const LinearCore &core = GetParam();
  const std::vector<int64_t> columns =
      core.kMultiple == 1     ? std::vector<int64_t>{1, 3, 31, 33, 40, 100, 515}
      : core.kMultiple == 32  ? std::vector<int64_t>{32, 64, 96, 576}
      : core.kMultiple == 128 ? std::vector<int64_t>{128, 256, 896, 1024, 1152}
                              : std::vector<int64_t>{256, 512, 768};
  forEachLevel([&](const NativeLevel &level) {
    for (int64_t k : columns)
      for (int64_t n : {1, 15, 17})
        for (int64_t m : {1, 2, 3, 5, 8, 19}) {
          SCOPED_TRACE("m=" + std::to_string(m) + " n=" + std::to_string(n) +
                       " k=" + std::to_string(k));
          const Problem problem(core, m, n, k);
          problem.check(level, problem.run(level, m));
          if (::testing::Test::HasFatalFailure())
            return;
        }
  });
}

TEST_P(Linear, SameBitsHoweverTokensAreSplit) {
  const LinearCore &core = GetParam();
  const int64_t odd = core.kMultiple == 1 ? 287 : core.kMultiple == 32 ? 288 : 768;
  for (int64_t k : {odd, int64_t{1536}}) {
    const Problem problem(core, 19, 17, k);
    forEachLevel([&](const NativeLevel &level) {
      const std::vector<float> whole = problem.run(level, 19);
      for (int64_t split = 1; split < 19; ++split)
        EXPECT_TRUE(sameBits(whole.data(), problem.run(level, split).data(), whole.size()))
            << "calls of " << split << " tokens";
    });
  }
}

// Any number of tokens, in tiles of 16 and what is left of them: 8-bit rows have the bits of the
// level without AMX, and others those of the same tokens one at a time.
TEST_P(Linear, TilesHaveTheBitsOfFewTokens) {
  const LinearCore &core = GetParam();
  const NativeLevel &narrow = nativeLevels()[nativeLevels().size() - 2];
  ASSERT_EQ(narrow.level->name, "x86-64-v4+vnni+bf16");
  const bool bytes = core.activation == Activation::Q8 || core.activation == Activation::Q8_128;
  const int64_t k = core.kMultiple == 1 ? 77 : 3 * core.kMultiple;
  std::vector<int64_t> counts = {47, 48, 63, 64, 65, 73, 79, 128, 137};
  for (int64_t m = 1; m <= 40; ++m)
    counts.push_back(m);
  for (int64_t m : counts) {
    const Problem problem(core, m, 33, k);
    forEachLevel([&](const NativeLevel &level) {
      if (level.level->features.find("amx-tile") == std::string_view::npos)
        return;
      const std::vector<float> out = problem.run(level, m);
      const std::vector<float> few = bytes ? problem.run(narrow, 1) : problem.run(level, 1);
      EXPECT_TRUE(sameBits(out.data(), few.data(), out.size())) << m << " tokens";
    });
  }
}

// Scales that no quantizer makes: results are no numbers, neighbours are not touched.
TEST_P(Linear, HostileScalesStayInTheirRows) {
  const LinearCore &core = GetParam();
  const int64_t n = 16, k = 768, m = 9;
  if (core.kMultiple == 1)
    return; // floats have no scales
  const Scales scales = scalesOf(core.encoding);
  std::vector<std::byte> source = makeWeight(core.encoding, n, k, 5);
  const uint64_t rowBytes = pack::sourceRowBytes(core.encoding, k);
  for (uint16_t bits : {uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7e00}, uint16_t{0xffff}}) {
    for (size_t i = 0; i < scales.count; ++i)
      std::memcpy(source.data() + 3 * rowBytes + scales.at + 2 * i, &bits, 2);
    const Problem problem(core, m, n, k, std::vector<std::byte>(source));
    forEachLevel([&](const NativeLevel &level) {
      const std::vector<float> out = problem.run(level, m);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t row = 0; row < n; ++row)
          if (i != 2) // an activation row of zeros
            ASSERT_EQ(std::isfinite(out[static_cast<size_t>(i * (n + 3) + row)]), row != 3)
                << i << " " << row;
    });
  }
}

// Products around the smallest numbers: what a level flushes to zero is part of its contract.
TEST(LinearBf16, SmallestNumbers) {
  const LinearCore &core = *findLinear(Activation::BF16, Encoding::BFloat16);
  for (float scale : {0x1p-120f, 0x1p-126f, 0x1p-130f}) {
    const Problem problem(core, 3, 16, 37, scale);
    forEachLevel([&](const NativeLevel &level) { problem.check(level, problem.run(level, 3)); });
  }
}

INSTANTIATE_TEST_SUITE_P(Cores, Linear,
                         ::testing::ValuesIn(linearCores().begin(), linearCores().end()),
                         [](const auto &info) { return std::string(info.param.symbol); });

} // namespace
} // namespace llama4::microkernels
