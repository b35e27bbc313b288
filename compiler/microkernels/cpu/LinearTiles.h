//===- LinearTiles.h - a panel times tokens, by tile registers ---*- C++ -*-===//
//
// The linear cores of levels with AMX. A pass is a panel times up to 64 tokens: tiles of 16 tokens,
// the last of which may be of fewer. Registers are set up once for a pass.
//
//   8 bits: a block's (or a group's) exact dot products come from tile registers; what is done
//           with them in floating point is what Linear.h and LinearG.h do, operation by operation.
//           So the results are theirs to the bit, and few tokens, which would leave most of a tile
//           empty, stay with them. The layouts of panels are those of a tile of weights once each
//           quant has a byte of its own.
//   pairs:  bfloat16 times bfloat16: one chain of dotBf16 over 32 columns each, zeros behind the
//           last. This is another order than that of vdpbf16ps, so every number of tokens takes it.
//           One token is a tile of one row: the panel is read as a stream all the same.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARTILES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARTILES_H

#include "compiler/microkernels/cpu/LinearG.h"
#include "compiler/microkernels/cpu/Tiles.h"

namespace {

#if L4_TILES

static_assert(kHalves == 1, "a level with tiles has AVX-512");

/// Tokens of a pass.
constexpr int kPassTokens = 64;

/// Tiles of 16 tokens, but for those of the last one.
struct PassTiles {
  int64_t full, last;
  L4_MEMBER explicit PassTiles(int64_t count)
      : full((count - 1) / kTileRows), last(count - full * kTileRows) {}
};

//===----------------------------------------------------------------------===//
// Rows in 8 bits
//===----------------------------------------------------------------------===//

/// Dot products of the tokens of a pass with the 16 rows of the panel.
typedef int32_t PassDots[kPassTokens][kPanel];

/// Registers: two for the sums of full tiles and one for those of the last, tokens of full tiles
/// and of the last, two for weights.
enum : int { kSums = 0, kLastSums = 2, kTokens = 3, kLastTokens = 4, kWeights = 6 };

/// `columns` of a row of tokens in a register.
L4_INLINE void configureBytes(Tiles &tiles, const PassTiles &pass, int columns) {
  TileConfig config;
  if (pass.full > 0) {
    config.set(kSums, kTileRows, kTileBytes);
    config.set(kSums + 1, kTileRows, kTileBytes);
    config.set(kTokens, kTileRows, columns);
  }
  config.set(kLastSums, pass.last, kTileBytes);
  config.set(kLastTokens, pass.last, columns);
  config.set(kWeights, columns / 4, kTileBytes);
  config.set(kWeights + 1, columns / 4, kTileBytes);
  tiles.configure(config);
}

/// dots = the dot products of `rows` of one tile, at `q`, with weight register kFirst, and, where
/// kMore is not 0, of the `kMore` bytes further columns with the next one.
template <int C, int A, int kFirst, int kMore>
L4_INLINE void dotTile(Tiles &tiles, int32_t (*dots)[kPanel], const uint8_t *q, int64_t stride) {
  tiles.template zero<C>();
  tiles.template load<A>(q, stride);
  tiles.template dotSignedUnsigned<C, A, kFirst>();
  if constexpr (kMore != 0) {
    tiles.template load<A>(q + kMore, stride);
    tiles.template dotSignedUnsigned<C, A, kFirst + 1>();
  }
  tiles.template store<C>(dots, kPanel * 4);
}

/// The same for all tiles of the pass; none waits for another.
template <int kFirst, int kMore>
L4_INLINE void dotTiles(Tiles &tiles, const PassTiles &pass, PassDots &dots, const uint8_t *q,
                        int64_t stride) {
  int64_t i = 0;
  for (; i + 2 <= pass.full; i += 2) {
    const int64_t row = i * kTileRows, next = row + kTileRows;
    dotTile<kSums, kTokens, kFirst, kMore>(tiles, dots + row, q + row * stride, stride);
    dotTile<kSums + 1, kTokens, kFirst, kMore>(tiles, dots + next, q + next * stride, stride);
  }
  if (i < pass.full)
    dotTile<kSums, kTokens, kFirst, kMore>(tiles, dots + i * kTileRows, q + i * kTileRows * stride,
                                           stride);
  const int64_t row = pass.full * kTileRows;
  dotTile<kLastSums, kLastTokens, kFirst, kMore>(tiles, dots + row, q + row * stride, stride);
}

/// The block's quants, one byte each, where registers take them from.
template <class Block> L4_INLINE void unpackQuants(uint8_t (*to)[kTileBytes], const Block &w) {
#pragma unroll
  for (int g = 0; g < 8; ++g)
    storeInt(to[g], w.quantGroup(g, 0));
}

/// What has been added up for a token so far; nothing before the first block.
L4_INLINE F sumSoFar(const float *out, bool first) { return first ? zero() : load(out); }

/// Blocks of 32 columns (Q8 of Linear.h).
struct TilesQ8 {
  /// A pass of `count` tokens.
  template <class E> static L4_MEMBER void pass(const LinearArgs &args, int64_t count) {
    const PassTiles pass(count);
    Tiles tiles;
    configureBytes(tiles, pass, L4_Q8_BLOCK);
    [[maybe_unused]] alignas(64) uint8_t quants[8][kTileBytes];
    alignas(64) PassDots dots;
    const int64_t blocks = args.k / L4_Q8_BLOCK;
    for (int64_t b = 0; b < blocks; ++b) {
      const typename E::Block w(args.panel, b);
      w.prefetchAt(E::panelBytes(args.k));
      if constexpr (E::kQuantBits == 8) {
        tiles.template load<kWeights>(w.body, kTileBytes);
      } else {
        unpackQuants(quants, w);
        tiles.template load<kWeights>(quants, kTileBytes);
      }
      dotTiles<kWeights, 0>(tiles, pass, dots, args.act + b * L4_Q8_BLOCK, args.actStride);
      const F d = w.d(0);
      F m = zero();
      if constexpr (E::kOffsetLog2 < 0)
        m = w.m(0);
      const uint8_t *at = args.act + blocks * L4_Q8_BLOCK + b * int64_t{sizeof(l4_q8_block)};
      for (int64_t t = 0; t < count; ++t) {
        const auto &block = *reinterpret_cast<const l4_q8_block *>(at + t * args.actStride);
        I dot = loadInt(dots[t]);
        if constexpr (E::kOffsetLog2 >= 0)
          dot = addInt(dot, startOf<E>(block));
        float *out = args.out + t * args.outStride;
        F y = fma(mul(d, splat(block.scale)), toFloat(dot), sumSoFar(out, b == 0));
        if constexpr (E::kOffsetLog2 < 0)
          y = fma(m, splat(block.scaled_sum), y);
        store(out, y);
      }
    }
  }
};

/// Blocks of 128 columns (Q8_128 of LinearG.h).
struct TilesQ8_128 {
  template <class E> static L4_MEMBER void pass(const LinearArgs &args, int64_t count) {
    if constexpr (requires { typename E::Super; })
      passOfSupers<E>(args, count);
    else
      passOfGroups<E>(args, count);
  }

  /// Where what the first token says of block `b` lies.
  static L4_MEMBER const uint8_t *wideBlockAt(const LinearArgs &args, int64_t b) {
    return args.act + args.k + b * int64_t{sizeof(l4_q8_wide_block)};
  }

  /// Groups with one scale: two registers of weights, of 64 columns each.
  template <class E> static L4_MEMBER void passOfGroups(const LinearArgs &args, int64_t count) {
    static_assert(E::kGroup == 2 * kTileBytes && E::kGroup == L4_Q8_WIDE_BLOCK);
    const PassTiles pass(count);
    Tiles tiles;
    configureBytes(tiles, pass, kTileBytes);
    alignas(64) uint8_t quants[E::kGroupBlocks][8][kTileBytes];
    alignas(64) PassDots dots;
    for (int64_t g = 0; g < args.k / E::kGroup; ++g) {
      const typename E::Group group(args.panel, g);
      group.prefetchAt(E::panelBytes(args.k));
#pragma unroll
      for (int i = 0; i < E::kGroupBlocks; ++i)
        unpackQuants(quants[i], typename E::Block(args.panel, g * E::kGroupBlocks + i));
      tiles.template load<kWeights>(quants[0], kTileBytes);
      tiles.template load<kWeights + 1>(quants[E::kGroupBlocks / 2], kTileBytes);
      dotTiles<kWeights, kTileBytes>(tiles, pass, dots, args.act + g * E::kGroup, args.actStride);
      const I minus = andInt(subInt(splatInt(0), group.zeroPoint(0)), splatInt(0xffff));
      const F d = group.d(0);
      const uint8_t *at = wideBlockAt(args, g);
      for (int64_t t = 0; t < count; ++t) {
        const auto &block = *reinterpret_cast<const l4_q8_wide_block *>(at + t * args.actStride);
        const I dot = addInt(loadInt(dots[t]), addPairs(minus, splatInt(block.sum)));
        float *out = args.out + t * args.outStride;
        store(out, fma(mul(d, splat(block.scale)), toFloat(dot), sumSoFar(out, g == 0)));
      }
    }
  }

  /// Superblocks (LinearK.h): a register of weights is one part with a scale of its own.
  template <class E> static L4_MEMBER void passOfSupers(const LinearArgs &args, int64_t count) {
    constexpr int kParts = L4_Q8_WIDE_BLOCK / E::kPartColumns;
    const PassTiles pass(count);
    Tiles tiles;
    configureBytes(tiles, pass, E::kPartColumns);
    alignas(64) PassDots dots[kParts];
    alignas(64) int32_t offsets[kPassTokens][1][2 * kHalfParts];
    for (int64_t s = 0; s < args.k / kSuperColumns; ++s) {
      if constexpr (!E::kHasMinima)
        for (int64_t t = 0; t < count; ++t)
          findOffsets<E, 1>(offsets[t], args.act + s * kSuperColumns + t * args.actStride, 0);
      for (int h = 0; h < 2; ++h) {
        for (int p = 0; p < kParts; p += E::kBlock / E::kPartColumns)
          dotBlock<E>(tiles, pass, args, dots + p, s * 2 + h, p);
        int64_t t = 0;
        for (; t + 4 <= count; t += 4)
          finishHalf<E, 4>(args, t, s, h, dots, offsets);
        for (; t < count; ++t)
          finishHalf<E, 1>(args, t, s, h, dots, offsets);
      }
    }
  }

  /// The parts of one block, from part `p` of half `half` on.
  template <class E>
  static L4_MEMBER void dotBlock(Tiles &tiles, const PassTiles &pass, const LinearArgs &args,
                                 PassDots *dots, int64_t half, int p) {
    constexpr int kGroups = E::kPartColumns / 4;
    const int64_t column = half * L4_Q8_WIDE_BLOCK + p * E::kPartColumns;
    const typename E::Block w(args.panel, column / E::kBlock);
    w.prefetchAt(E::panelBytes(args.k));
    alignas(64) uint8_t quants[8][kTileBytes];
    unpackQuants(quants, w);
    const uint8_t *q = args.act + column;
    tiles.template load<kWeights>(quants, kTileBytes);
    dotTiles<kWeights, 0>(tiles, pass, dots[0], q, args.actStride);
    if constexpr (E::kBlock == 2 * E::kPartColumns) {
      tiles.template load<kWeights + 1>(quants[kGroups], kTileBytes);
      dotTiles<kWeights + 1, 0>(tiles, pass, dots[1], q + E::kPartColumns, args.actStride);
    }
  }

  /// What half `h` of superblock `s` adds to T tokens from token `first` on.
  template <class E, int T, int N>
  static L4_MEMBER void finishHalf(const LinearArgs &args, int64_t first, int64_t s, int h,
                                   const PassDots (&dots)[N],
                                   const int32_t (&offsets)[kPassTokens][1][2 * kHalfParts]) {
    const typename E::Super super(args.panel, s);
    F sums[T] = {}, y[T];
#pragma unroll
    for (int p = 0; p < N; ++p) {
      const F scale = super.scale(h * N + p, 0);
#pragma unroll
      for (int t = 0; t < T; ++t) {
        I dot = loadInt(dots[p][first + t]);
        if constexpr (!E::kHasMinima)
          dot = addInt(dot, splatInt(offsets[first + t][0][offsetPlace(h * N + p)]));
        sums[t] = fma(scale, toFloat(dot), sums[t]);
      }
    }
    float *out = args.out + first * args.outStride;
#pragma unroll
    for (int t = 0; t < T; ++t)
      y[t] = sumSoFar(out + t * args.outStride, s + h == 0);
    addScaledSums<E, T>(y, sums, args, super, 0, h,
                        wideBlockAt(args, s * 2 + h) + first * args.actStride);
#pragma unroll
    for (int t = 0; t < T; ++t)
      store(out + t * args.outStride, y[t]);
  }
};

/// Passes of tokens that fill tiles, then the cores of few tokens: what those would take one pass
/// over the panel for stays theirs.
template <class Passes, class A, class E> L4_INLINE void linearBytes(LinearArgs args, int64_t m) {
  constexpr int64_t kFewest = A::template kMaxTile<E> + 1;
  if (m >= kFewest) {
    do {
      const int64_t count = m < kPassTokens ? m : kPassTokens;
      Passes::template pass<E>(args, count);
      args.out += count * args.outStride;
      args.act += count * args.actStride;
      m -= count;
    } while (m >= kFewest);
    Tiles().release();
  }
  linearTiles<A, E, A::template kMaxTile<E>>(args, 0, m);
}

//===----------------------------------------------------------------------===//
// Pairs of bfloat16
//===----------------------------------------------------------------------===//

/// A pass of N tiles of tokens. Registers 0 .. N - 1 hold their sums.
template <int N> struct TilesBf16 {
  static constexpr int kTokens = 4, kLastTokens = 5, kWeights = 6;
  static constexpr int kColumns = kTileBytes / 2;
  typedef uint8_t Rows[kPassTokens][kTileBytes];

  /// `count` tokens, of which the last tile has at least one.
  template <class E> static L4_MEMBER void pass(const LinearArgs &args, int64_t count) {
    static_assert(E::kIsBf16);
    Tiles tiles;
    configure(tiles, count - (N - 1) * kTileRows);
    zeroSums<0>(tiles);
    const auto *panel = static_cast<const uint8_t *>(args.panel);
    int64_t first = 0;
    for (; first + kColumns <= args.k; first += kColumns) {
      const uint8_t *weights = panel + first * 2 * kPanel;
      if (count > kStreamTokens)
        prefetchTile(weights + E::panelBytes(args.k));
      tiles.template load<kWeights>(weights, kTileBytes);
      addTiles<0>(tiles, args.act + first * 2, args.actStride);
    }
    if (first < args.k)
      addRest(tiles, args, count, panel + first * 2 * kPanel, first);
    storeSums<0>(tiles, args);
  }

  static L4_MEMBER void configure(Tiles &tiles, int64_t last) {
    TileConfig config;
    for (int i = 0; i < N - 1; ++i)
      config.set(i, kTileRows, kTileBytes);
    if (N > 1)
      config.set(kTokens, kTileRows, kTileBytes);
    config.set(N - 1, last, kTileBytes);
    config.set(kLastTokens, last, kTileBytes);
    config.set(kWeights, kTileRows, kTileBytes);
    tiles.configure(config);
  }

  template <int i> static L4_MEMBER void zeroSums(Tiles &tiles) {
    tiles.template zero<i>();
    if constexpr (i + 1 < N)
      zeroSums<i + 1>(tiles);
  }

  /// `at` is where the columns of the first token lie.
  template <int i> static L4_MEMBER void addTiles(Tiles &tiles, const uint8_t *at, int64_t stride) {
    constexpr int kRows = i + 1 < N ? kTokens : kLastTokens;
    tiles.template load<kRows>(at + i * kTileRows * stride, stride);
    tiles.template dotBf16<i, kRows, kWeights>();
    if constexpr (i + 1 < N)
      addTiles<i + 1>(tiles, at, stride);
  }

  template <int i> static L4_MEMBER void storeSums(Tiles &tiles, const LinearArgs &args) {
    tiles.template store<i>(args.out + i * kTileRows * args.outStride, args.outStride * 4);
    if constexpr (i + 1 < N)
      storeSums<i + 1>(tiles, args);
  }

  static L4_MEMBER void prefetchTile(const uint8_t *weights) {
#pragma unroll
    for (int line = 0; line < kTileRows; ++line)
      prefetch(weights + line * kTileBytes);
  }

  /// The columns from `first` on, fewer than a register holds, with zeros behind them.
  static L4_MEMBER void addRest(Tiles &tiles, const LinearArgs &args, int64_t count,
                                const uint8_t *weights, int64_t first) {
    const int64_t rest = args.k - first, pairs = (rest + 1) / 2;
    alignas(64) uint8_t padded[kTileRows][kTileBytes];
    alignas(64) Rows rows;
#pragma unroll
    for (int p = 0; p < kTileRows; ++p)
      storeInt(padded[p], p < pairs ? loadInt(weights + p * kTileBytes) : splatInt(0));
    for (int64_t t = 0; t < count; ++t) {
      const uint8_t *row = args.act + t * args.actStride + first * 2;
      storeInt(rows[t], loadFirstShorts(reinterpret_cast<const uint16_t *>(row), rest));
    }
    tiles.template load<kWeights>(padded, kTileBytes);
    addTiles<0>(tiles, rows[0], kTileBytes);
  }
};

template <class E> L4_INLINE void linearPairs(LinearArgs args, int64_t m) {
  while (m > 0) {
    const int64_t count = m < kPassTokens ? m : kPassTokens;
    if (count <= kTileRows)
      TilesBf16<1>::pass<E>(args, count);
    else if (count <= 2 * kTileRows)
      TilesBf16<2>::pass<E>(args, count);
    else if (count <= 3 * kTileRows)
      TilesBf16<3>::pass<E>(args, count);
    else
      TilesBf16<4>::pass<E>(args, count);
    args.out += count * args.outStride;
    args.act += count * args.actStride;
    m -= count;
  }
  Tiles().release();
}

template <class A, class B> constexpr bool kSame = false;
template <class A> constexpr bool kSame<A, A> = true;

#endif // L4_TILES

/// linear() by the best means of the level.
template <class A, class E>
L4_INLINE void linearOfLevel(float *out, int64_t outStride, const void *act, int64_t actStride,
                             const void *panel, int64_t m, int64_t k) {
#if L4_TILES
  const LinearArgs args = {out, outStride, static_cast<const uint8_t *>(act), actStride, panel, k};
  if constexpr (kSame<A, Q8>)
    return linearBytes<TilesQ8, A, E>(args, m);
  if constexpr (kSame<A, Q8_128>)
    return linearBytes<TilesQ8_128, A, E>(args, m);
  if constexpr (kSame<A, BF16> && E::kIsBf16)
    return linearPairs<E>(args, m);
#endif
  linear<A, E>(out, outStride, act, actStride, panel, m, k);
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_LINEARTILES_H
