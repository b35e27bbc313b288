//===- LinearK.h - a panel of superblocks times tokens -----------*- C++ -*-===//
//
// Encodings with small integer scales (EncodingsK.h) times rows in 8 bits with one scale for 128
// columns: half a superblock. The small scales are applied to exact dot products, and what comes of
// it is scaled once for 128 columns:
//   t = the sum over the half's parts, in ascending order, of scale * dot, a chain of fma
//   u = the exact sum over its blocks of 32 columns of minimum * sum of the int8
//   y = fma(row's scale, fma(-dmin, u, d * t), y), or fma(row's scale, d * t, y) without minima
// For q4_k, t is a whole number below 2^24 and so exact, too. This order is the same for all tiles.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARK_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARK_H

#include "compiler/microkernels/cpu/EncodingsK.h"
#include "compiler/microkernels/cpu/Linear.h"

namespace {

constexpr int64_t kSuperColumns = 256;
/// Parts of a half superblock, at most.
constexpr int kHalfParts = 8;

/// What token `t` says of a block of 128 columns; `block` is where that of the first token lies.
L4_INLINE const l4_q8_wide_block &wideBlock(const uint8_t *block, const LinearArgs &args, int t) {
  return *reinterpret_cast<const l4_q8_wide_block *>(block + t * args.actStride);
}

/// Where findOffsets puts part `part` of a superblock.
constexpr int64_t offsetPlace(int64_t part) {
  const int64_t vector = part / (kLanes / 4);
  return vector / 4 * kLanes + part % (kLanes / 4) * 4 + vector % 4;
}

/// Minus 2^kOffsetLog2 times the sum of the 16 int8 of each part of the superblock at `q`: what dot
/// products with stored quants start from. The row's own sums are those of 32 columns. They are
/// found here, in a few operations per 256 columns, rather than by a second dot product beside each
/// of the first, which would cost as much again.
template <class E, int T>
L4_INLINE void findOffsets(int32_t (&offsets)[T][2 * kHalfParts], const uint8_t *q,
                           int64_t stride) {
  const I factor = splatInt((1 << E::kOffsetLog2) * 0x01010101);
#pragma unroll
  for (int t = 0; t < T; ++t)
#pragma unroll
    for (int i = 0; i < 2 * kHalfParts; i += kLanes) {
      I dots[4];
#pragma unroll
      for (int j = 0; j < 4; ++j)
        dots[j] = dotQuads(factor, loadInt(q + t * stride + 16 * i + j * kLanes * 4));
      storeInt(offsets[t] + i, subInt(splatInt(0), sumQuads(dots)));
    }
}

/// sums[t] += scale * dot over the parts of block `b` of superblock `s`.
template <class E, int T>
L4_INLINE void addScaledDots(F (&sums)[T], const LinearArgs &args, const typename E::Super &super,
                             int half, int64_t s, int b,
                             const int32_t (&offsets)[T][2 * kHalfParts]) {
  constexpr int kParts = E::kBlock / E::kPartColumns, kGroups = E::kPartColumns / 4;
  const typename E::Block w(args.panel, s * kSuperBlocks + b);
  if constexpr (T > kStreamTokens)
    w.prefetchAt(E::panelBytes(args.k));
  const uint8_t *q = args.act + s * kSuperColumns + b * E::kBlock;
  const auto addPart = [&]<int part>() __attribute__((always_inline)) {
    I dots[T];
#pragma unroll
    for (int t = 0; t < T; ++t)
      dots[t] = splatInt(E::kHasMinima ? 0 : offsets[t][offsetPlace(b * kParts + part)]);
    addDots<E, T, part * kGroups, kGroups>(dots, w, half, q, args.actStride);
    const F scale = super.scale(b * kParts + part, half);
#pragma unroll
    for (int t = 0; t < T; ++t)
      sums[t] = fma(scale, toFloat(dots[t]), sums[t]);
  };
  addPart.template operator()<0>();
  if constexpr (kParts == 2)
    addPart.template operator()<1>();
}

/// y[t] = fma(row's scale, fma(-dmin, u, d * sums[t]), y[t]) for half `h` of a superblock; `block`
/// is where what the first token says of it lies.
template <class E, int T>
L4_INLINE void addScaledSums(F (&y)[T], const F (&sums)[T], const LinearArgs &args,
                             const typename E::Super &super, int half, int h,
                             const uint8_t *block) {
  constexpr int kPairs = kSuperBlocks / 4;
  const F d = super.d(half);
  I minima[kPairs];
  if constexpr (E::kHasMinima)
#pragma unroll
    for (int pair = 0; pair < kPairs; ++pair)
      minima[pair] = super.minima(h * kPairs + pair, half);
#pragma unroll
  for (int t = 0; t < T; ++t) {
    const l4_q8_wide_block &row = wideBlock(block, args, t);
    F value = mul(d, sums[t]);
    if constexpr (E::kHasMinima) {
      I sum = addPairs(minima[0], splatInt(loadDword(row.part_sums)));
#pragma unroll
      for (int pair = 1; pair < kPairs; ++pair)
        sum = dotShort(sum, minima[pair], splatInt(loadDword(row.part_sums + 2 * pair)));
      value = fma(super.minusMin(half), toFloat(sum), value);
    }
    y[t] = fma(splat(row.scale), value, y[t]);
  }
}

/// y[n][t] += superblock `s`, rows of vector `first + n`; `block` is where what the first token
/// says of its first half lies.
template <class E, int T, int N>
L4_INLINE void addSuper(F (&y)[N][T], const LinearArgs &args, int first, int64_t s,
                        const uint8_t *block) {
  constexpr int kBlocks = kSuperBlocks / 2;
  // Few tokens wait for memory. Unrolled, the loads of q6_k, and those of AVX2, come in an order
  // that the machine's own prefetcher does not follow; q4_k gains 5 %.
  constexpr bool kUnroll = T <= kStreamTokens && kHalves == 1 && E::kPartColumns == E::kBlock;
  const typename E::Super super(args.panel, s);
  alignas(64) int32_t offsets[T][2 * kHalfParts];
  if constexpr (!E::kHasMinima)
    findOffsets<E, T>(offsets, args.act + s * kSuperColumns, args.actStride);
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    F sums[N][T] = {};
    const auto addBlock = [&](int b) __attribute__((always_inline)) {
#pragma unroll
      for (int n = 0; n < N; ++n)
        addScaledDots<E, T>(sums[n], args, super, first + n, s, b, offsets);
    };
    if constexpr (!kUnroll) {
#pragma clang loop unroll(disable)
      for (int b = h * kBlocks; b < (h + 1) * kBlocks; ++b)
        addBlock(b);
    } else {
#pragma unroll
      for (int b = 0; b < kBlocks; ++b)
        addBlock(h * kBlocks + b);
    }
#pragma unroll
    for (int n = 0; n < N; ++n)
      addScaledSums<E, T>(y[n], sums[n], args, super, first + n, h,
                          block + h * sizeof(l4_q8_wide_block));
  }
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARK_H
