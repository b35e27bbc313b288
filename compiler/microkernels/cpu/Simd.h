//===- Simd.h - the vectors that the cores are written in --------*- C++ -*-===//
//
// One vector of floats (F) and one of 32-bit integers (I) of kLanes lanes: 16 on AVX-512 with VNNI,
// 8 on AVX2. Everything has internal linkage, so that objects of several levels can be linked into
// one program. Multiplications and additions are contracted only where `fma` says so.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_SIMD_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_SIMD_H

#include <immintrin.h>
#include <stdint.h>

#define L4_INLINE inline __attribute__((always_inline))
#define L4_MEMBER inline __attribute__((always_inline))

namespace {

/// Rows of a panel.
constexpr int kPanel = 16;

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#define L4_VNNI 1
typedef __m512 F;
typedef __m512i I;
constexpr int kLanes = 16;

L4_INLINE F load(const float *p) { return _mm512_loadu_ps(p); }
L4_INLINE void store(float *p, F x) { _mm512_storeu_ps(p, x); }
L4_INLINE F splat(float x) { return _mm512_set1_ps(x); }
L4_INLINE F zero() { return _mm512_setzero_ps(); }
L4_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
L4_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
L4_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
L4_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
L4_INLINE F vmax(F a, F b) { return _mm512_max_ps(a, b); }
L4_INLINE F roundEven(F x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

L4_INLINE I loadInt(const void *p) { return _mm512_loadu_si512(p); }
L4_INLINE I splatInt(int32_t x) { return _mm512_set1_epi32(x); }
L4_INLINE I addInt(I a, I b) { return _mm512_add_epi32(a, b); }
L4_INLINE I subInt(I a, I b) { return _mm512_sub_epi32(a, b); }
L4_INLINE I andInt(I a, I b) { return _mm512_and_si512(a, b); }
L4_INLINE I orInt(I a, I b) { return _mm512_or_si512(a, b); }
template <int N> L4_INLINE I shiftLeft(I x) { return _mm512_slli_epi32(x, N); }
template <int N> L4_INLINE I shiftRight(I x) { return _mm512_srli_epi32(x, N); }
template <int N> L4_INLINE I shiftRightSigned(I x) { return _mm512_srai_epi32(x, N); }
/// By a count that the optimizer knows, or at worst a register holds.
L4_INLINE I shiftLeftBy(I x, int n) { return _mm512_slli_epi32(x, static_cast<unsigned>(n)); }
L4_INLINE I shiftRightBy(I x, int n) { return _mm512_srli_epi32(x, static_cast<unsigned>(n)); }
/// kLanes bytes, widened.
L4_INLINE I loadBytes(const uint8_t *p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
L4_INLINE I loadSignedBytes(const uint8_t *p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
/// Lane 4i + j is the sum of the lanes 4i .. 4i + 3 of x[j].
L4_INLINE I sumQuads(const I x[4]) {
  const I low = addInt(_mm512_unpacklo_epi32(x[0], x[1]), _mm512_unpackhi_epi32(x[0], x[1]));
  const I high = addInt(_mm512_unpacklo_epi32(x[2], x[3]), _mm512_unpackhi_epi32(x[2], x[3]));
  return addInt(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
}
L4_INLINE void storeInt(void *p, I x) { _mm512_storeu_si512(p, x); }
/// Products of 16-bit numbers, added in pairs to 32 bits.
L4_INLINE I addPairs(I a, I b) { return _mm512_madd_epi16(a, b); }
L4_INLINE I dotShort(I sum, I a, I b) { return _mm512_dpwssd_epi32(sum, a, b); }
/// Four products each of unsigned bytes `a` and signed bytes `b`, added up exactly; a is at most
/// 64.
L4_INLINE I dotQuads(I a, I b) { return _mm512_dpbusd_epi32(_mm512_setzero_si512(), a, b); }
L4_INLINE F toFloat(I x) { return _mm512_cvtepi32_ps(x); }
L4_INLINE I toInt(F x) { return _mm512_cvtps_epi32(x); }
L4_INLINE F asFloat(I x) { return _mm512_castsi512_ps(x); }
L4_INLINE I asInt(F x) { return _mm512_castps_si512(x); }

/// Lane i of the result is x where i < n, else y.
L4_INLINE F selectFirst(int n, F x, F y) {
  __mmask16 mask = n >= 16 ? 0xffff : static_cast<__mmask16>((1u << (n < 0 ? 0 : n)) - 1);
  return _mm512_mask_blend_ps(mask, y, x);
}
/// x where a < b, else y.
L4_INLINE F selectLess(F a, F b, F x, F y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

/// The first n (0 to kLanes) floats at `p`, then zeros; nothing behind them is read.
L4_INLINE F loadFirst(const float *p, int n) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
/// The first n (0 to kLanes) lanes to `p`; nothing behind them is written.
L4_INLINE void storeFirst(float *p, int n, F x) {
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), x);
}
/// The four floats at `offset` of the rows i, i + 4, i + 8 and i + 12.
L4_INLINE F loadQuads(const float *const (&rows)[kLanes], int i, int64_t offset) {
  F x = _mm512_castps128_ps512(_mm_loadu_ps(rows[i] + offset));
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 4] + offset), 1);
  x = _mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 8] + offset), 2);
  return _mm512_insertf32x4(x, _mm_loadu_ps(rows[i + 12] + offset), 3);
}
L4_INLINE F unpackLow(F a, F b) { return _mm512_unpacklo_ps(a, b); }
L4_INLINE F unpackHigh(F a, F b) { return _mm512_unpackhi_ps(a, b); }
template <int Order> L4_INLINE F shuffle(F a, F b) { return _mm512_shuffle_ps(a, b, Order); }

L4_INLINE F loadHalf(const uint16_t *p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
}
L4_INLINE F loadBf16(const uint16_t *p) {
  __m256i raw = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
  return asFloat(shiftLeft<16>(_mm512_cvtepu16_epi32(raw)));
}
#ifdef __AVX512BF16__
#define L4_BF16 1
/// sum + x[1] w[1], rounded, + x[0] w[0], rounded, of the pairs of bfloat16 in every lane. Rounds
/// to nearest even; numbers below 2^-126 count as 0 and become 0.
L4_INLINE F dotPairBf16(F sum, I w, I x) { return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)x); }
/// kLanes bfloat16, rounded to nearest even; returns what they are.
L4_INLINE F storeBf16(uint16_t *p, F x) {
  const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(x);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), rounded);
  return asFloat(shiftLeft<16>(_mm512_cvtepu16_epi32(rounded)));
}
#endif
L4_INLINE __m256 lowHalf(F x) { return _mm512_castps512_ps256(x); }
L4_INLINE __m256 highHalf(F x) { return _mm512_extractf32x8_ps(x, 1); }
#else
#define L4_VNNI 0
typedef __m256 F;
typedef __m256i I;
constexpr int kLanes = 8;

L4_INLINE F load(const float *p) { return _mm256_loadu_ps(p); }
L4_INLINE void store(float *p, F x) { _mm256_storeu_ps(p, x); }
L4_INLINE F splat(float x) { return _mm256_set1_ps(x); }
L4_INLINE F zero() { return _mm256_setzero_ps(); }
L4_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
L4_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
L4_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
L4_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
L4_INLINE F vmax(F a, F b) { return _mm256_max_ps(a, b); }
L4_INLINE F roundEven(F x) {
  return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

L4_INLINE I loadInt(const void *p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p));
}
L4_INLINE I splatInt(int32_t x) { return _mm256_set1_epi32(x); }
L4_INLINE I addInt(I a, I b) { return _mm256_add_epi32(a, b); }
L4_INLINE I subInt(I a, I b) { return _mm256_sub_epi32(a, b); }
L4_INLINE I andInt(I a, I b) { return _mm256_and_si256(a, b); }
L4_INLINE I orInt(I a, I b) { return _mm256_or_si256(a, b); }
template <int N> L4_INLINE I shiftLeft(I x) { return _mm256_slli_epi32(x, N); }
template <int N> L4_INLINE I shiftRight(I x) { return _mm256_srli_epi32(x, N); }
template <int N> L4_INLINE I shiftRightSigned(I x) { return _mm256_srai_epi32(x, N); }
L4_INLINE I shiftLeftBy(I x, int n) { return _mm256_slli_epi32(x, n); }
L4_INLINE I shiftRightBy(I x, int n) { return _mm256_srli_epi32(x, n); }
L4_INLINE I loadBytes(const uint8_t *p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)));
}
L4_INLINE I loadSignedBytes(const uint8_t *p) {
  return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p)));
}
L4_INLINE I sumQuads(const I x[4]) {
  const I low = addInt(_mm256_unpacklo_epi32(x[0], x[1]), _mm256_unpackhi_epi32(x[0], x[1]));
  const I high = addInt(_mm256_unpacklo_epi32(x[2], x[3]), _mm256_unpackhi_epi32(x[2], x[3]));
  return addInt(_mm256_unpacklo_epi64(low, high), _mm256_unpackhi_epi64(low, high));
}
L4_INLINE void storeInt(void *p, I x) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), x); }
L4_INLINE I dotQuads(I a, I b) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1));
}
L4_INLINE F toFloat(I x) { return _mm256_cvtepi32_ps(x); }
L4_INLINE I toInt(F x) { return _mm256_cvtps_epi32(x); }
L4_INLINE F asFloat(I x) { return _mm256_castsi256_ps(x); }
L4_INLINE I asInt(F x) { return _mm256_castps_si256(x); }

L4_INLINE F selectFirst(int n, F x, F y) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_blendv_ps(y, x, asFloat(_mm256_cmpgt_epi32(splatInt(n), lane)));
}
L4_INLINE F selectLess(F a, F b, F x, F y) {
  return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

L4_INLINE F loadFirst(const float *p, int n) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(splatInt(n), lane));
}
L4_INLINE void storeFirst(float *p, int n, F x) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(splatInt(n), lane), x);
}
/// The four floats at `offset` of the rows i and i + 4.
L4_INLINE F loadQuads(const float *const (&rows)[kLanes], int i, int64_t offset) {
  F x = _mm256_castps128_ps256(_mm_loadu_ps(rows[i] + offset));
  return _mm256_insertf128_ps(x, _mm_loadu_ps(rows[i + 4] + offset), 1);
}
L4_INLINE F unpackLow(F a, F b) { return _mm256_unpacklo_ps(a, b); }
L4_INLINE F unpackHigh(F a, F b) { return _mm256_unpackhi_ps(a, b); }
template <int Order> L4_INLINE F shuffle(F a, F b) { return _mm256_shuffle_ps(a, b, Order); }

L4_INLINE F loadHalf(const uint16_t *p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p)));
}
L4_INLINE F loadBf16(const uint16_t *p) {
  __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i *>(p));
  return asFloat(shiftLeft<16>(_mm256_cvtepu16_epi32(raw)));
}
/// Products of unsigned bytes `a` and signed bytes `b`, added in pairs to 16 bits (saturating).
L4_INLINE I dotPairs(I a, I b) { return _mm256_maddubs_epi16(a, b); }
L4_INLINE I addShort(I a, I b) { return _mm256_add_epi16(a, b); }
L4_INLINE I addPairs(I a, I b) { return _mm256_madd_epi16(a, b); }
L4_INLINE I dotShort(I sum, I a, I b) { return addInt(sum, addPairs(a, b)); }
#endif

#ifndef L4_BF16
#define L4_BF16 0
#endif

/// Vectors in one row of 16.
constexpr int kHalves = kPanel / kLanes;

L4_INLINE int32_t loadDword(const void *p) {
  int32_t value;
  __builtin_memcpy(&value, p, 4);
  return value;
}

L4_INLINE float loadFloat(const void *p) {
  float value;
  __builtin_memcpy(&value, p, 4);
  return value;
}

/// Lane i of columns[j] is the float at offset + j of rows[i].
L4_INLINE void transposeQuads(const float *const (&rows)[kLanes], int64_t offset, F (&columns)[4]) {
  const F a = loadQuads(rows, 0, offset), b = loadQuads(rows, 1, offset);
  const F c = loadQuads(rows, 2, offset), d = loadQuads(rows, 3, offset);
  const F low = unpackLow(a, b), high = unpackHigh(a, b);
  const F nextLow = unpackLow(c, d), nextHigh = unpackHigh(c, d);
  columns[0] = shuffle<0x44>(low, nextLow);
  columns[1] = shuffle<0xee>(low, nextLow);
  columns[2] = shuffle<0x44>(high, nextHigh);
  columns[3] = shuffle<0xee>(high, nextHigh);
}

/// In a loop of stores: keeps the compiler from making a call of memset of it. Costs nothing.
L4_INLINE void keepStores() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/// Asks for the cache line at `p` in the second-level cache; `p` need not be mapped.
L4_INLINE void prefetch(const void *p) { _mm_prefetch(static_cast<const char *>(p), _MM_HINT_T1); }

L4_INLINE float bf16ToFloat(uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
}

L4_INLINE float halfToFloat(uint16_t bits) { return _cvtsh_ss(bits); }

/// The sum of all lanes, in one fixed order.
L4_INLINE float sumLanes(F x) {
#if L4_VNNI
  __m256 eight = _mm256_add_ps(lowHalf(x), highHalf(x));
#else
  __m256 eight = x;
#endif
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// The largest lane.
L4_INLINE float maxLanes(F x) {
#if L4_VNNI
  __m256 eight = _mm256_max_ps(lowHalf(x), highHalf(x));
#else
  __m256 eight = x;
#endif
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// How two vectors become one: add or vmax.
typedef F (*Join)(F, F);

/// Lane r is all lanes of x[r] joined, in the order of sumLanes and maxLanes. Lanes from R on are
/// any number.
template <int R, Join join, float (*one)(F)> L4_INLINE F joinRows(const F (&x)[R]) {
#if L4_VNNI
  if constexpr (R == 8) {
    F halves[4], quarters[2];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      halves[i] = join(_mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0x44),
                       _mm512_shuffle_f32x4(x[2 * i], x[2 * i + 1], 0xee));
#pragma unroll
    for (int i = 0; i < 2; ++i)
      quarters[i] = join(_mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0x88),
                         _mm512_shuffle_f32x4(halves[2 * i], halves[2 * i + 1], 0xdd));
    const F pairs =
        join(shuffle<0x44>(quarters[0], quarters[1]), shuffle<0xee>(quarters[0], quarters[1]));
    // Quarter q holds rows q and q + 4.
    const F all = join(shuffle<0x88>(pairs, pairs), shuffle<0xdd>(pairs, pairs));
    return _mm512_permutexvar_ps(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 0, 4, 8, 12, 1, 5, 9, 13), all);
  }
#endif
  alignas(64) float rows[kLanes] = {};
#pragma unroll
  for (int r = 0; r < R; ++r)
    rows[r] = one(x[r]);
  return load(rows);
}
template <int R> L4_INLINE F sumOfRows(const F (&x)[R]) { return joinRows<R, add, sumLanes>(x); }
template <int R> L4_INLINE F maxOfRows(const F (&x)[R]) { return joinRows<R, vmax, maxLanes>(x); }

#if L4_BF16
/// 2^x for x <= 0: relative error below 3e-6, where bfloat16 keeps 2e-3; exactly 1
/// at 0, and 0 where x is below -150.
L4_INLINE F exp2Negative(F x) {
  const F n = roundEven(x), f = sub(x, n);
  F p = fma(splat(9.5827484e-3f), f, splat(5.5906112e-2f));
  p = fma(p, f, splat(2.4024098e-1f));
  p = fma(p, f, splat(6.9312423e-1f));
  p = fma(p, f, splat(1.0f));
  return _mm512_scalef_ps(p, n);
}
#endif

/// e^x for x <= 0: relative error below 3e-7, exactly 1 at 0, exactly 0 below -87.3.
L4_INLINE F expNegative(F x) {
  F lowest = splat(-87.3f);
  F clamped = vmax(x, lowest);
  F n = roundEven(mul(clamped, splat(1.44269504f)));
  // ln 2 in two parts: n * 0.693359375 is exact.
  F r = fma(n, splat(-0.693359375f), clamped);
  r = fma(n, splat(2.12194440e-4f), r);
  F p = fma(splat(1.0f / 720), r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  F power = asFloat(shiftLeft<23>(addInt(toInt(n), splatInt(127))));
  return selectLess(x, lowest, zero(), mul(p, power));
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_SIMD_H
