//===- TilesTest.cpp - what emulated tiles compute with -------------------===//
//
// The level with AMX is tested by tiles made of memory on machines without it. What those add up
// with is held here against an instruction that this machine may have: vdpbf16ps rounds as
// tdpbf16ps does, and flushes the same numbers.
//
//===----------------------------------------------------------------------===//
#include "test/microkernels/Support.h"

#include "compiler/microkernels/cpu/FlushedMath.h"

#include <bit>
#include <cmath>
#include <immintrin.h>

namespace llama4::microkernels {
namespace {

/// a * b + c by the lower halves of vdpbf16ps; the upper ones add -0 * 0 before, which is nothing.
__attribute__((target("avx512f,avx512bf16"))) float fmaOfPairs(uint16_t a, uint16_t b, float c) {
  const __m512i as = _mm512_set1_epi32(a | INT32_MIN), bs = _mm512_set1_epi32(b);
  return _mm512_cvtss_f32(_mm512_dpbf16_ps(_mm512_set1_ps(c), (__m512bh)as, (__m512bh)bs));
}

float widened(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

TEST(Tiles, EmulatedSumsRoundAsPairsDo) {
  if (!emulatedTiles().runsHere)
    GTEST_SKIP() << "this machine has no AVX512-BF16";
  std::mt19937 random(7);
  // A bfloat16 of that biased exponent.
  const auto withExponent = [&](uint32_t exponent) {
    return static_cast<uint16_t>((random() & 0x807f) | exponent << 7);
  };
  int flushed = 0, kept = 0;
  for (int i = 0; i < 1500000; ++i) {
    auto a = static_cast<uint16_t>(random()), b = static_cast<uint16_t>(random());
    auto c = static_cast<uint32_t>(random());
    if (i % 3 != 0) {
      // Product and sum around 2^-126; or a sum of 2^-126 and a product just about its last bit.
      const uint32_t product = i % 3 == 1 ? 126 + random() % 5 : 101 + random() % 6;
      const auto exponent = static_cast<uint32_t>(random() % (product - 1) + 1);
      a = withExponent(exponent);
      b = withExponent(product - exponent);
      c &= i % 3 == 1 ? 0x80ffffff : 0x80000003;
      c |= i % 3 == 1 ? 0 : 0x00800000;
    }
    const float expected = fmaOfPairs(a, b, std::bit_cast<float>(c));
    const float got = fmaFlushed(widened(a), widened(b), std::bit_cast<float>(c));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got));
      continue;
    }
    (expected == 0 ? flushed : kept) += 1;
    ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected))
        << widened(a) << " * " << widened(b) << " + " << std::bit_cast<float>(c);
  }
  EXPECT_GT(flushed, 10000);
  EXPECT_GT(kept, 10000);
}

} // namespace
} // namespace llama4::microkernels
