//===- LinearG.h - a panel times tokens, a scale for 128 columns -*- C++ -*-===//
//
// Rows in 8 bits whose scales stand for as many columns as those of the weight (EncodingsG.h): the
// floating-point part of a product is a fourth of what it is with blocks of 32. Per group of 128
//   y = fma(d * scale, dot, y)
// where `dot` is the exact dot product of int8 with quants minus their zero point. It starts from
// minus the zero point times the sum of the int8, which is one multiplication of 16-bit numbers.
// Encodings in superblocks read the same rows (LinearK.h). This order is the same for all tiles.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARG_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARG_H

#include "compiler/microkernels/cpu/EncodingsG.h"
#include "compiler/microkernels/cpu/LinearK.h"

namespace {

/// Rows q8<128> of KernelAbi.h.
struct Q8_128 : Int8Tiles<Q8_128> {
  template <class E, int T, int N> static L4_MEMBER void rows(const LinearArgs &args, int first) {
    const uint8_t *blocks = args.act + args.k;
    constexpr auto kBlockBytes = static_cast<int64_t>(sizeof(l4_q8_wide_block));
    F y[N][T] = {};
    if constexpr (requires { typename E::Super; })
      for (int64_t s = 0; s < args.k / kSuperColumns; ++s)
        addSuper<E, T, N>(y, args, first, s, blocks + s * 2 * kBlockBytes);
    else
      for (int64_t g = 0; g < args.k / L4_Q8_WIDE_BLOCK; ++g) {
        const typename E::Group group(args.panel, g);
        if constexpr (T > kStreamTokens)
          group.prefetchAt(E::panelBytes(args.k));
#pragma unroll
        for (int n = 0; n < N; ++n)
          addGroup<E, T>(y[n], args, group, first + n, g, blocks + g * kBlockBytes);
      }
    finish<T, N>(args, first, y);
  }

  /// `block` is where the l4_q8_wide_block of group `g` of the first token lies.
  template <class E, int T>
  static L4_MEMBER void addGroup(F (&y)[T], const LinearArgs &args, const typename E::Group &group,
                                 int half, int64_t g, const uint8_t *block) {
    // Both factors fit 16 bits; the upper halves of the lanes add 0.
    const I minus = andInt(subInt(splatInt(0), group.zeroPoint(half)), splatInt(0xffff));
    I dots[T];
#pragma unroll
    for (int t = 0; t < T; ++t)
      dots[t] = addPairs(minus, splatInt(wideBlock(block, args, t).sum));
    if constexpr (T > kStreamTokens)
      addParts<E, T>(dots, args, half, g);
    else
      addPartsApart<E, T>(dots, args, half, g);
    const F d = group.d(half);
#pragma unroll
    for (int t = 0; t < T; ++t) {
      const F scale = splat(wideBlock(block, args, t).scale);
      y[t] = fma(mul(d, scale), toFloat(dots[t]), y[t]);
    }
  }

  /// dots[t] += the dot products of group `g`, block by block.
  template <class E, int T>
  static L4_MEMBER void addParts(I (&dots)[T], const LinearArgs &args, int half, int64_t g) {
#pragma clang loop unroll(disable)
    for (int64_t b = g * E::kGroupBlocks; b < (g + 1) * E::kGroupBlocks; ++b)
      addDots<E, T, 0, 8>(dots, typename E::Block(args.panel, b), half, args.act + b * E::kBlock,
                          args.actStride);
  }

  /// The same for few tokens: one chain of sums for each block, so that none waits for another.
  template <class E, int T>
  static L4_MEMBER void addPartsApart(I (&dots)[T], const LinearArgs &args, int half, int64_t g) {
#pragma unroll
    for (int i = 0; i < E::kGroupBlocks; ++i) {
      const int64_t b = g * E::kGroupBlocks + i;
      I own[T];
#pragma unroll
      for (int t = 0; t < T; ++t)
        own[t] = splatInt(0);
      addDots<E, T, 0, 8>(own, typename E::Block(args.panel, b), half, args.act + b * E::kBlock,
                          args.actStride);
#pragma unroll
      for (int t = 0; t < T; ++t)
        dots[t] = addInt(dots[t], own[t]);
    }
  }
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARG_H
