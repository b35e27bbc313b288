//===- AttentionTiles.h - a block of keys for tiles of query rows -*- C++ -*-===//
//
// What all attention cores share: blocks of L4_ATTENTION_BLOCK keys. Each block gives a query row a
// partial result (m: largest score, l: sum of exp(score - m), o: sum of that times V), and
// `mergeFactors` and `weightedValues` join partials in ascending order. A row's numbers come from
// its own query and keys alone; tiles of rows only share the loads of K and V:
//   score = scale * (one fma chain over the head dimension),
//   o     = one fma chain over the keys of the block; a key that the row doesn't see has weight 0.
//
// Keys and values in bfloat16 lie in pairs: of components (K) and of tokens (V). At levels with
// AVX512-BF16 the query and the weights are rounded to bfloat16 as well, and the chains are those
// of dotPairBf16; elsewhere a pair is widened and goes through the chain of fma in order. l is the
// sum of the rounded weights: O / l is a mean of values, whatever rounding did to the weights.
//
// A row's state starts empty, so a block in which it sees nothing leaves the state as it is.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTIONTILES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTIONTILES_H

#include "compiler/microkernels/cpu/Simd.h"
#include "compiler/microkernels/cpu/Sizes.h"

namespace {

/// Element types of keys and values; those of KV pages by the names of Table.def.
struct KvFloat32 {
  typedef float Element;
  static constexpr int kPair = 1;      ///< numbers that lie together
  static constexpr bool kDots = false; ///< multiplied by dotPairBf16
};
struct KvBFloat16 {
  typedef uint16_t Element;
  static constexpr int kPair = 2;
  static constexpr bool kDots = L4_BF16;
};

/// What the scores of a type count in, in powers of e: rows that multiply bfloat16 count in powers
/// of two.
template <class Kv> constexpr float kScoreUnit = Kv::kDots ? 1.44269504f : 1.0f;

/// The power of a score x <= 0, exactly 1 at 0 and exactly 0 at kNothing.
template <class Kv> L4_INLINE F power(F x) {
#if L4_BF16
  if constexpr (Kv::kDots)
    return exp2Negative(x);
#endif
  return expNegative(x);
}

constexpr int kBlockKeys = L4_ATTENTION_BLOCK;
constexpr int kBlockPages = kBlockKeys / L4_PAGE_TOKENS;
constexpr int kBlockVectors = kBlockKeys / kLanes;
/// Query rows of a full tile: with two vectors of keys, 16 (AVX2: 8) sums in registers.
constexpr int kRowTile = kHalves == 1 ? 8 : 4;
static_assert(kRowTile <= L4_ATTENTION_MAX_TILE && kRowTile <= kLanes, "scratch holds a tile");

/// The `m` of no keys: below every score.
constexpr float kNothing = -1e30f;

/// What a row has of some of its keys: the values, largest score and sum of weights.
struct RowState {
  float *o, *m, *l;
};

/// The state of all query rows of a call, in scratch (layout: Sizes.h).
struct Rows {
  float *o;           ///< [rows][padded]
  float *scores;      ///< [kRowTile][kBlockKeys]
  const void **query; ///< each float [headDim], or bfloat16 where the type's are kDots
  float *m;
  float *l;
  void *end; ///< what lies behind the state
  int64_t padded;

  L4_MEMBER Rows(void *scratch, int64_t rows, int64_t headDim) : padded(l4_padded_head(headDim)) {
    o = static_cast<float *>(scratch);
    scores = o + rows * padded;
    query = reinterpret_cast<const void **>(scores + L4_ATTENTION_MAX_TILE * kBlockKeys);
    m = reinterpret_cast<float *>(query + rows);
    l = m + rows;
    end = l + rows;
  }

  L4_MEMBER RowState state(int64_t row) const { return {o + row * padded, m + row, l + row}; }

  /// The state of `count` rows from `first` on that have seen no key.
  L4_MEMBER void clear(int64_t count, int64_t first = 0) const {
    for (int64_t i = first * padded; i < (first + count) * padded; i += kLanes) {
      store(o + i, zero());
      keepStores();
    }
    for (int64_t row = first; row < first + count; ++row) {
      m[row] = kNothing;
      l[row] = 0.0f;
      keepStores();
    }
  }
};

/// Where the K and V of one head lie in a block of keys, for each 16 of them: K
/// [head_dim / kPair][16][kPair], V [16 / kPair][columns][kPair].
template <class Kv> struct KeyBlock {
  const typename Kv::Element *k[kBlockPages];
  const typename Kv::Element *v[kBlockPages];
  int64_t columns; ///< of V, head_dim padded to 16
};

/// A block of keys, and what a tile asks for on its way where keys lie in pairs (in float32 that
/// costs more than it gives): the block after it, or again the same.
template <class Kv> struct KeyBlocks {
  const KeyBlock<Kv> *now, *next;
};

/// sums[r][n] += x[r] * element n for each of the numbers that lie together at p[n]; `x[r]` points
/// at as many.
template <class Kv, int R, int N>
L4_INLINE void multiplyAdd(F (&sums)[R][N], const typename Kv::Element *const (&p)[N],
                           const void *const (&x)[R]) {
  if constexpr (Kv::kPair == 1) {
    F vectors[N];
#pragma unroll
    for (int n = 0; n < N; ++n)
      vectors[n] = load(p[n]);
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const F factor = splat(loadFloat(x[r]));
#pragma unroll
      for (int n = 0; n < N; ++n)
        sums[r][n] = fma(factor, vectors[n], sums[r][n]);
    }
  } else {
    I vectors[N];
#pragma unroll
    for (int n = 0; n < N; ++n)
      vectors[n] = loadInt(p[n]);
#if L4_BF16
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const I factors = splatInt(loadDword(x[r]));
#pragma unroll
      for (int n = 0; n < N; ++n)
        sums[r][n] = dotPairBf16(sums[r][n], vectors[n], factors);
    }
#else
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      F wide[N];
#pragma unroll
      for (int n = 0; n < N; ++n)
        wide[n] = asFloat(i == 0 ? shiftLeft<16>(vectors[n])
                                 : andInt(vectors[n], splatInt(static_cast<int32_t>(0xffff0000))));
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const F factor = splat(static_cast<const float *>(x[r])[i]);
#pragma unroll
        for (int n = 0; n < N; ++n)
          sums[r][n] = fma(factor, wide[n], sums[r][n]);
      }
    }
#endif
  }
}

/// Bytes of one factor of multiplyAdd: a query's component, a weight.
template <class Kv> constexpr int kFactorBytes = Kv::kDots ? 2 : 4;

/// scores[r][keys of vectors first .. first + N) = scale * q[r] . k, in units of the type.
template <class Kv, int R, int N>
L4_INLINE void scoreVectors(const Rows &rows, int64_t row, const KeyBlocks<Kv> &blocks, int first,
                            int64_t headDim, float scale) {
  const typename Kv::Element *k[N], *next[N];
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int page = (first + n) / kHalves, lane = (first + n) % kHalves * kLanes * Kv::kPair;
    k[n] = blocks.now->k[page] + lane;
    next[n] = blocks.next->k[page] + lane;
  }
  const void *q[R];
#pragma unroll
  for (int r = 0; r < R; ++r)
    q[r] = rows.query[row + r];
  F sums[R][N] = {};
  for (int64_t d = 0; d < headDim; d += Kv::kPair) {
    multiplyAdd<Kv, R, N>(sums, k, q);
#pragma unroll
    for (int n = 0; n < N; ++n) {
      if constexpr (Kv::kPair > 1)
        prefetch(next[n]);
      k[n] += L4_PAGE_TOKENS * Kv::kPair;
      next[n] += L4_PAGE_TOKENS * Kv::kPair;
    }
#pragma unroll
    for (int r = 0; r < R; ++r)
      q[r] = static_cast<const uint8_t *>(q[r]) + Kv::kPair * kFactorBytes<Kv>;
  }
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
      store(rows.scores + r * kBlockKeys + (first + n) * kLanes,
            mul(sums[r][n], splat(scale * kScoreUnit<Kv>)));
}

/// The keys of a block that a row sees: [begin, end), from the block's first.
struct KeyRange {
  int begin, end;
  L4_MEMBER bool isEmpty() const { return begin >= end; }
  L4_MEMBER bool isAll() const { return begin == 0 && end == kBlockKeys; }
};

/// x for the keys that are visible, else y; `first` is the key of lane 0.
L4_INLINE F selectVisible(KeyRange visible, int first, F x, F y) {
  return selectFirst(visible.begin - first, y, selectFirst(visible.end - first, x, y));
}

/// Turns the scores of R rows into weights, the powers of score - m, 0 for the keys that a row does
/// not see, and returns m and l. A row that sees no key of the block gets zeros, m = kNothing and
/// l = 0. The weights are factors of multiplyAdd and lie where the scores lay.
template <class Kv, int R>
L4_INLINE void softmaxRows(const Rows &rows, const KeyRange (&visible)[R], F &m, F &l) {
  F largest[R], sums[R];
  for (int r = 0; r < R; ++r) {
    float *scores = rows.scores + r * kBlockKeys;
    if (!visible[r].isAll())
#pragma unroll
      for (int i = 0; i < kBlockVectors; ++i)
        store(scores + i * kLanes,
              selectVisible(visible[r], i * kLanes, load(scores + i * kLanes), splat(kNothing)));
    largest[r] = load(scores);
#pragma unroll
    for (int i = 1; i < kBlockVectors; ++i)
      largest[r] = vmax(largest[r], load(scores + i * kLanes));
  }
  alignas(64) float most[kLanes];
  m = maxOfRows<R>(largest);
  store(most, m);
  for (int r = 0; r < R; ++r) {
    float *scores = rows.scores + r * kBlockKeys;
    // Where every score is kNothing, the powers would be 1.
    const F reference = splat(visible[r].isEmpty() ? 0.0f : most[r]);
    sums[r] = zero();
#pragma unroll
    for (int i = 0; i < kBlockVectors; ++i) {
      F weight = power<Kv>(sub(load(scores + i * kLanes), reference));
#if L4_BF16
      if constexpr (Kv::kDots)
        weight = storeBf16(reinterpret_cast<uint16_t *>(scores) + i * kLanes, weight);
      else
#endif
        store(scores + i * kLanes, weight);
      sums[r] = add(sums[r], weight);
    }
  }
  l = sumOfRows<R>(sums);
}

/// Merges the partials (m, l) of R rows into their state and gives the factors of the outputs:
/// O = O * keep + o * take. The state of no keys (m = kNothing, l = 0, O = 0) keeps nothing of
/// itself; a row that saw no key keeps its state.
template <class Kv, int R>
L4_INLINE void mergeFactors(const Rows &rows, int64_t row, F m, F l, float (&keep)[kLanes],
                            float (&take)[kLanes]) {
  const F before = loadFirst(rows.m + row, R), one = splat(1.0f);
  const F apart = vmax(sub(before, m), sub(m, before));
  const F down = power<Kv>(sub(zero(), apart));
  const F kept = selectLess(before, m, down, one), taken = selectLess(before, m, one, down);
  store(keep, kept);
  store(take, taken);
  storeFirst(rows.l + row, R, fma(loadFirst(rows.l + row, R), kept, mul(l, taken)));
  storeFirst(rows.m + row, R, selectLess(before, m, m, before));
}

/// O[r][vectors at column .. column + N * kLanes) takes the sum of weight * V over `keys`.
template <class Kv, int R, int N>
L4_INLINE void weightedValues(const Rows &rows, int64_t row, const KeyBlocks<Kv> &blocks,
                              int64_t column, KeyRange keys, const float (&keep)[kLanes],
                              const float (&take)[kLanes]) {
  const int64_t stride = blocks.now->columns * Kv::kPair;
  F sums[R][N] = {};
  for (int64_t page = keys.begin / L4_PAGE_TOKENS; page * L4_PAGE_TOKENS < keys.end; ++page) {
    const int64_t skipped = keys.begin - page * L4_PAGE_TOKENS;
    const int64_t rest = keys.end - page * L4_PAGE_TOKENS;
    const int64_t from = skipped > 0 ? skipped / Kv::kPair : 0;
    const int64_t end =
        ((rest < L4_PAGE_TOKENS ? rest : L4_PAGE_TOKENS) + Kv::kPair - 1) / Kv::kPair;
    const typename Kv::Element *v[N], *next[N];
#pragma unroll
    for (int n = 0; n < N; ++n) {
      const int64_t place = from * stride + (column + n * kLanes) * Kv::kPair;
      v[n] = blocks.now->v[page] + place;
      next[n] = blocks.next->v[page] + place;
    }
    const void *weights[R];
#pragma unroll
    for (int r = 0; r < R; ++r)
      weights[r] = reinterpret_cast<const uint8_t *>(rows.scores + r * kBlockKeys) +
                   (page * L4_PAGE_TOKENS + from * Kv::kPair) * kFactorBytes<Kv>;
    for (int64_t slot = from; slot < end; ++slot) {
      multiplyAdd<Kv, R, N>(sums, v, weights);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        if constexpr (Kv::kPair > 1)
          prefetch(next[n]);
        v[n] += stride;
        next[n] += stride;
      }
#pragma unroll
      for (int r = 0; r < R; ++r)
        weights[r] = static_cast<const uint8_t *>(weights[r]) + Kv::kPair * kFactorBytes<Kv>;
    }
  }
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n) {
      float *o = rows.o + (row + r) * rows.padded + column + n * kLanes;
      const F taken = mul(sums[r][n], splat(take[r]));
      store(o, fma(load(o), splat(keep[r]), taken));
    }
}

/// Vectors of keys, or of columns, that R rows take at once: few rows alone would wait for their
/// own sums.
template <int R> constexpr int kTogether = kHalves == 1 ? (R <= 4 ? 4 : 2) : R <= 2 ? 4 : 2;

/// One block of keys for R query rows; `sees(row)` is the KeyRange of the block that a row sees.
template <class Kv, int R, class Sees>
L4_INLINE void attendTile(const Rows &rows, int64_t row, const KeyBlocks<Kv> &blocks,
                          int64_t headDim, Sees sees, float scale) {
  KeyRange visible[R], keys = {kBlockKeys, 0};
#pragma unroll
  for (int r = 0; r < R; ++r) {
    visible[r] = sees(row + r);
    if (visible[r].isEmpty())
      continue;
    keys.begin = visible[r].begin < keys.begin ? visible[r].begin : keys.begin;
    keys.end = visible[r].end > keys.end ? visible[r].end : keys.end;
  }
  if (keys.isEmpty())
    return;
  constexpr int kWide = kTogether<R>;
  const int vectors = (keys.end + kLanes - 1) / kLanes;
  int first = keys.begin / kLanes;
  for (; first + kWide <= vectors; first += kWide)
    scoreVectors<Kv, R, kWide>(rows, row, blocks, first, headDim, scale);
  for (; first < vectors; ++first)
    scoreVectors<Kv, R, 1>(rows, row, blocks, first, headDim, scale);

  alignas(64) float keep[kLanes], take[kLanes];
  F m, l;
  softmaxRows<Kv, R>(rows, visible, m, l);
  mergeFactors<Kv, R>(rows, row, m, l, keep, take);

  int64_t column = 0;
  for (; column + kWide * kLanes <= rows.padded; column += kWide * kLanes)
    weightedValues<Kv, R, kWide>(rows, row, blocks, column, keys, keep, take);
  for (; column < rows.padded; column += kLanes)
    weightedValues<Kv, R, 1>(rows, row, blocks, column, keys, keep, take);
}

/// The tiles of R rows that fit into [row, count), then those of the next smaller size. The first
/// asks for the next block.
template <class Kv, int R, class Sees>
L4_INLINE void attendTiles(const Rows &rows, int64_t row, int64_t count, KeyBlocks<Kv> blocks,
                           int64_t headDim, Sees sees, float scale) {
  for (; row + R <= count; row += R) {
    attendTile<Kv, R>(rows, row, blocks, headDim, sees, scale);
    blocks.next = blocks.now;
  }
  if constexpr (R > 1)
    attendTiles<Kv, R == 8 ? 4 : R - 1>(rows, row, count, blocks, headDim, sees, scale);
}

/// Joins what a row has of its next keys into what it has of those before, as mergeFactors does
/// with a block. Both are of at least one key.
template <class Kv> L4_INLINE void joinRow(RowState row, RowState next, int64_t padded) {
  const F before = splat(*row.m), m = splat(*next.m), one = splat(1.0f);
  const F apart = vmax(sub(before, m), sub(m, before));
  const F down = power<Kv>(sub(zero(), apart));
  const F kept = selectLess(before, m, down, one), taken = selectLess(before, m, one, down);
  storeFirst(row.l, 1, fma(splat(*row.l), kept, mul(splat(*next.l), taken)));
  storeFirst(row.m, 1, selectLess(before, m, m, before));
  for (int64_t d = 0; d < padded; d += kLanes) {
    store(row.o + d, fma(load(row.o + d), kept, mul(load(next.o + d), taken)));
    keepStores();
  }
}

L4_INLINE void copyRow(RowState row, RowState from, int64_t padded) {
  *row.m = *from.m;
  *row.l = *from.l;
  for (int64_t d = 0; d < padded; d += kLanes) {
    store(row.o + d, load(from.o + d));
    keepStores();
  }
}

/// out = O / l, zero for a row that saw nothing. Adding 0 makes a zero's sign independent of how
/// many unseen keys were weighed.
L4_INLINE void writeRow(float *out, const float *o, float l, int64_t headDim) {
  const float inverse = l == 0.0f ? 0.0f : 1.0f / l;
  int64_t d = 0;
  for (; d + kLanes <= headDim; d += kLanes)
    store(out + d, add(mul(load(o + d), splat(inverse)), zero()));
  for (; d < headDim; ++d)
    out[d] = o[d] * inverse + 0.0f;
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTIONTILES_H
