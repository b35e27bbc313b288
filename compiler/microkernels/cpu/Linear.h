//===- Linear.h - one panel of 16 weight rows times m tokens -----*- C++ -*-===//
//
// Tiles of up to kMaxTile tokens keep their sums in registers while the panel streams by.
//   float:  two sums per output element, of the even and of the odd columns, each one chain of fma
//           in ascending order; the result is even + odd.
//   pairs:  bfloat16 times bfloat16 at levels with AVX512-BF16: two sums, of the even and of the
//   odd
//           pairs of columns, each one chain of dotPairBf16; the result is even + odd. A last
//           column alone is the lower half of a pair whose upper half is 0.
//   8 bits: per block of 32 columns an exact integer dot product, then
//           y = fma(d * scale, dot, y), and y = fma(m, scaled_sum, y) where the weight has minima.
//           Encodings whose scales stand for more columns, or lie in superblocks: LinearG.h.
// This order is the same for all tiles.
//
// One or two tokens read the panel as one ascending stream, which the machine's own prefetcher
// follows at the speed of memory. With more tokens the loads are too far apart for it: each block
// then asks for the same block of the next panel.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_LINEAR_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_LINEAR_H

#include "compiler/microkernels/cpu/Encodings.h"
#include "runtime/format/KernelAbi.h"

namespace {

/// Tiles of more tokens than this prefetch.
constexpr int kStreamTokens = 2;

/// What the generic parts pass around.
struct LinearArgs {
  float *out;
  int64_t outStride;
  const uint8_t *act;
  int64_t actStride;
  const void *panel;
  int64_t k;
};

template <int T> using FloatSums = F[T][kHalves][2];

/// The last end - from < 4 columns, one at a time.
template <class E, int T>
L4_INLINE void accumulateTail(FloatSums<T> &sums, const float *a, int64_t stride, const void *panel,
                              int64_t begin, int64_t from, int64_t end) {
#pragma unroll
  for (int j = 0; j < 3; ++j) {
    if (from + j >= end)
      return;
#pragma unroll
    for (int half = 0; half < kHalves; ++half) {
      const F w = E::column(panel, from + j, half);
#pragma unroll
      for (int t = 0; t < T; ++t)
        sums[t][half][j % 2] =
            fma(w, splat(a[t * stride + from + j - begin]), sums[t][half][j % 2]);
    }
  }
}

/// Adds the columns [begin, end) of the panel. `a` holds T rows that start at column `begin`.
template <class E, int T>
L4_INLINE void accumulate(FloatSums<T> &sums, const float *a, int64_t stride, const void *panel,
                          int64_t begin, int64_t end, int64_t k) {
  const int64_t blocksEnd = end / E::kBlock;
  for (int64_t b = begin / E::kBlock; b < blocksEnd; ++b) {
    const typename E::Block block(panel, b);
    if constexpr (T > kStreamTokens)
      block.prefetchAt(E::panelBytes(k));
    const float *column = a + (b * E::kBlock - begin);
#pragma unroll
    for (int g = 0; g < E::kBlock / 4; ++g) {
      F w[kHalves][4];
#pragma unroll
      for (int half = 0; half < kHalves; ++half)
        block.group(g, half, w[half]);
#pragma unroll
      for (int j = 0; j < 4; ++j)
#pragma unroll
        for (int t = 0; t < T; ++t) {
          const F x = splat(column[t * stride + 4 * g + j]);
#pragma unroll
          for (int half = 0; half < kHalves; ++half)
            sums[t][half][j % 2] = fma(w[half][j], x, sums[t][half][j % 2]);
        }
    }
  }
  if constexpr (E::kBlock == 4)
    accumulateTail<E, T>(sums, a, stride, panel, begin, blocksEnd * 4, end);
}

/// Columns of bfloat16 activations that are widened at a time.
constexpr int64_t kWidenColumns = 256;

L4_INLINE void widen(float *to, const uint16_t *from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(to + i, loadBf16(from + i));
  for (; i < count; ++i)
    to[i] = bf16ToFloat(from[i]);
}

struct F32 {
  template <class E> static constexpr int kMaxTile = kHalves == 1 ? 8 : E::kTileAvx2;

  template <class E, int T> static L4_MEMBER void tile(const LinearArgs &args) {
    FloatSums<T> sums = {};
    accumulate<E, T>(sums, reinterpret_cast<const float *>(args.act), args.actStride / 4,
                     args.panel, 0, args.k, args.k);
    finish<T>(args, sums);
  }

  template <int T> static L4_MEMBER void finish(const LinearArgs &args, FloatSums<T> &sums) {
#pragma unroll
    for (int t = 0; t < T; ++t)
#pragma unroll
      for (int half = 0; half < kHalves; ++half)
        store(args.out + t * args.outStride + half * kLanes,
              add(sums[t][half][0], sums[t][half][1]));
  }
};

struct BF16 {
  template <class E> static constexpr int kMaxTile = F32::kMaxTile<E>;

  template <class E, int T> static L4_MEMBER void tile(const LinearArgs &args) {
    if constexpr (L4_BF16 && E::kIsBf16)
      pairTile<E, T>(args);
    else
      wideTile<E, T>(args);
  }

  template <class E, int T> static L4_MEMBER void wideTile(const LinearArgs &args) {
    alignas(64) float wide[T][kWidenColumns];
    FloatSums<T> sums = {};
    for (int64_t begin = 0; begin < args.k; begin += kWidenColumns) {
      const int64_t rest = args.k - begin;
      const int64_t count = rest < kWidenColumns ? rest : kWidenColumns;
      for (int t = 0; t < T; ++t)
        widen(wide[t], reinterpret_cast<const uint16_t *>(args.act + t * args.actStride) + begin,
              count);
      accumulate<E, T>(sums, wide[0], kWidenColumns, args.panel, begin, begin + count, args.k);
    }
    F32::finish<T>(args, sums);
  }

#if L4_BF16
  template <int T>
  static L4_MEMBER void addPair(FloatSums<T> &sums, int odd, I w, const I (&x)[T]) {
#pragma unroll
    for (int t = 0; t < T; ++t)
      sums[t][0][odd] = dotPairBf16(sums[t][0][odd], w, x[t]);
  }

  template <class E, int T> static L4_MEMBER void pairTile(const LinearArgs &args) {
    FloatSums<T> sums = {};
    I x[T];
    const int64_t pairs = args.k / 2;
    int64_t p = 0;
    for (; p + 2 <= pairs; p += 2) {
      const typename E::Block block(args.panel, p / 2);
      if constexpr (T > kStreamTokens)
        block.prefetchAt(E::panelBytes(args.k));
#pragma unroll
      for (int odd = 0; odd < 2; ++odd) {
#pragma unroll
        for (int t = 0; t < T; ++t)
          x[t] = splatInt(loadDword(args.act + t * args.actStride + (p + odd) * 4));
        addPair<T>(sums, odd, block.pair(odd, 0), x);
      }
    }
    const typename E::Block last(args.panel, p / 2);
    if (p < pairs) {
#pragma unroll
      for (int t = 0; t < T; ++t)
        x[t] = splatInt(loadDword(args.act + t * args.actStride + p * 4));
      addPair<T>(sums, 0, last.pair(0, 0), x);
    }
    if (args.k % 2 != 0) {
#pragma unroll
      for (int t = 0; t < T; ++t)
        x[t] =
            splatInt(reinterpret_cast<const uint16_t *>(args.act + t * args.actStride)[args.k - 1]);
      // Constant places: the sums stay in registers.
      if (p < pairs)
        addPair<T>(sums, 1, last.pair(1, 0), x);
      else
        addPair<T>(sums, 0, last.pair(0, 0), x);
    }
    F32::finish<T>(args, sums);
  }
#endif
};

/// dots[t] += the exact dot products of stored quants, groups [kFirst, kFirst + kCount) of block
/// `w`, rows of vector `half`, with the int8 of T tokens. `q` is where the block's int8 start,
/// `stride` the bytes between tokens.
template <class E, int T, int kFirst, int kCount>
L4_INLINE void addDots(I (&dots)[T], const typename E::Block &w, int half, const uint8_t *q,
                       int64_t stride) {
#if L4_VNNI
#pragma unroll
  for (int g = kFirst; g < kFirst + kCount; ++g) {
    const I weights = w.quantGroup(g, half);
#pragma unroll
    for (int t = 0; t < T; ++t)
      dots[t] = _mm512_dpbusd_epi32(dots[t], weights, splatInt(loadDword(q + t * stride + 4 * g)));
  }
#else
  // A pair of products of a b-bit quant is at most 2 * (2^b - 1) * 127: as many of them as stay
  // below 2^15 are added in 16 bits. An 8-bit quant is 16 * high + low.
  constexpr bool kSplit = E::kQuantBits == 8;
  constexpr int kChain = E::kQuantBits == 4 || kSplit ? 8 : E::kQuantBits == 5 ? 4 : 2;
  static_assert(kSplit || kChain * 2 * ((1 << E::kQuantBits) - 1) * 127 < 1 << 15);
  const I nibble = splatInt(0x0f0f0f0f);
  constexpr int kStep = kChain < kCount ? kChain : kCount;
#pragma unroll
  for (int chain = kFirst; chain < kFirst + kCount; chain += kStep) {
    I low[T], high[T];
#pragma unroll
    for (int t = 0; t < T; ++t)
      low[t] = high[t] = splatInt(0);
#pragma unroll
    for (int g = chain; g < chain + kStep; ++g) {
      const I weights = w.quantGroup(g, half);
#pragma unroll
      for (int t = 0; t < T; ++t) {
        const I x = splatInt(loadDword(q + t * stride + 4 * g));
        low[t] = addShort(low[t], dotPairs(kSplit ? andInt(weights, nibble) : weights, x));
        if constexpr (kSplit)
          high[t] = addShort(high[t], dotPairs(andInt(shiftRight<4>(weights), nibble), x));
      }
    }
#pragma unroll
    for (int t = 0; t < T; ++t) {
      dots[t] = addInt(dots[t], addPairs(low[t], splatInt(0x00010001)));
      if constexpr (kSplit)
        dots[t] = addInt(dots[t], addPairs(high[t], splatInt(0x00100010)));
    }
  }
#endif
}

/// How rows in 8 bits go through a panel. `Rows` has rows<E, T, N>(args, first), which computes the
/// rows of `N` vectors from vector `first` on.
template <class Rows> struct Int8Tiles {
  template <class E> static constexpr int kMaxTile = kHalves == 1 ? 8 : 4;

  /// One token takes all its rows in one pass over the panel, which comes from memory. More tokens
  /// take one vector of rows in a pass: AVX2's registers hold no more.
  template <class E, int T> static L4_MEMBER void tile(const LinearArgs &args) {
    constexpr int kTogether = T == 1 ? kHalves : 1;
#pragma clang loop unroll(disable)
    for (int half = 0; half < kHalves; half += kTogether)
      Rows::template rows<E, T, kTogether>(args, half);
  }

  template <int T, int N>
  static L4_MEMBER void finish(const LinearArgs &args, int first, const F (&y)[N][T]) {
#pragma unroll
    for (int t = 0; t < T; ++t)
#pragma unroll
      for (int n = 0; n < N; ++n)
        store(args.out + t * args.outStride + (first + n) * kLanes, y[n][t]);
  }
};

/// Minus 2^kOffsetLog2 times the sum of the block's int8: where dot products with stored quants
/// start.
template <class E> L4_INLINE I startOf(const l4_q8_block &block) {
  const I offset = splatInt(block.offset);
  if constexpr (E::kOffsetLog2 == 7)
    return offset;
  else
    return shiftRightSigned<7 - E::kOffsetLog2>(offset);
}

/// Rows q8<32> of KernelAbi.h.
struct Q8 : Int8Tiles<Q8> {
  template <class E, int T, int N> static L4_MEMBER void rows(const LinearArgs &args, int first) {
    const int64_t blocks = args.k / L4_Q8_BLOCK;
    const auto *scales = reinterpret_cast<const l4_q8_block *>(args.act + blocks * L4_Q8_BLOCK);
    F y[N][T] = {};
    for (int64_t b = 0; b < blocks; ++b) {
      const typename E::Block w(args.panel, b);
      if constexpr (T > kStreamTokens)
        w.prefetchAt(E::panelBytes(args.k));
#pragma unroll
      for (int n = 0; n < N; ++n)
        addBlock<E, T>(y[n], w, first + n, args.act + b * L4_Q8_BLOCK, args.actStride, scales + b);
    }
    finish<T, N>(args, first, y);
  }

  /// What token `t` says of the block; `block` is that of the first.
  static L4_MEMBER const l4_q8_block &blockOf(const l4_q8_block *block, int64_t stride, int t) {
    return *reinterpret_cast<const l4_q8_block *>(reinterpret_cast<const uint8_t *>(block) +
                                                  t * stride);
  }

  template <class E, int T>
  static L4_MEMBER void addBlock(F (&y)[T], const typename E::Block &w, int half, const uint8_t *q,
                                 int64_t stride, const l4_q8_block *block) {
    I dots[T];
#pragma unroll
    for (int t = 0; t < T; ++t) {
      dots[t] = splatInt(0);
      if constexpr (E::kOffsetLog2 >= 0)
        dots[t] = startOf<E>(blockOf(block, stride, t));
    }
    addDots<E, T, 0, 8>(dots, w, half, q, stride);
#pragma unroll
    for (int t = 0; t < T; ++t) {
      const F scale = splat(blockOf(block, stride, t).scale);
      y[t] = fma(mul(w.d(half), scale), toFloat(dots[t]), y[t]);
      if constexpr (E::kOffsetLog2 < 0)
        y[t] = fma(w.m(half), splat(blockOf(block, stride, t).scaled_sum), y[t]);
    }
  }
};

/// The tiles of T tokens that fit into [begin, m), then those of the next smaller size.
template <class A, class E, int T>
L4_INLINE void linearTiles(LinearArgs args, int64_t begin, int64_t m) {
  for (; begin + T <= m; begin += T) {
    A::template tile<E, T>(args);
    args.out += T * args.outStride;
    args.act += T * args.actStride;
  }
  if constexpr (T > 1)
    linearTiles<A, E, T == 3 ? 2 : T / 2>(args, begin, m);
}

template <class A, class E>
L4_INLINE void linear(float *out, int64_t outStride, const void *act, int64_t actStride,
                      const void *panel, int64_t m, int64_t k) {
  const LinearArgs args = {out, outStride, static_cast<const uint8_t *>(act), actStride, panel, k};
  linearTiles<A, E, A::template kMaxTile<E>>(args, 0, m);
}

/// One row of a packed weight, element by element.
template <class E>
L4_INLINE void decodeRow(float *out, const void *weights, int64_t row, int64_t k) {
  const uint8_t *panel = static_cast<const uint8_t *>(weights) + row / kPanel * E::panelBytes(k);
  for (int64_t i = 0; i < k; ++i)
    out[i] = E::element(panel, row % kPanel, i);
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_LINEAR_H
