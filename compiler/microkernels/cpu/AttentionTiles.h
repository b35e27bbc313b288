//===- AttentionTiles.h - a block of keys for tiles of query rows -*- C++ -*-===//
//
// What all attention cores share: blocks of L4_ATTENTION_BLOCK keys. Each block gives a query row a
// partial result (m: largest score, l: sum of exp(score - m), o: sum of that times V), and
// `mergeFactors` and `weightedValues` join partials in ascending order. A row's numbers come from
// its own query and keys alone; tiles of rows only share the loads of K and V:
//   score = scale * (one fma chain over the head dimension),
//   o     = one fma chain over the keys of the block; a key that the row doesn't see has weight 0.
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
  static L4_MEMBER F vector(const Element *p) { return load(p); }
};
struct KvBFloat16 {
  typedef uint16_t Element;
  static L4_MEMBER F vector(const Element *p) { return loadBf16(p); }
};

constexpr int kBlockKeys = L4_ATTENTION_BLOCK;
constexpr int kBlockPages = kBlockKeys / L4_PAGE_TOKENS;
constexpr int kBlockVectors = kBlockKeys / kLanes;
/// Query rows of a full tile: with two vectors of keys, 16 (AVX2: 8) sums in registers.
constexpr int kRowTile = kHalves == 1 ? 8 : 4;
static_assert(kRowTile <= L4_ATTENTION_MAX_TILE && kRowTile <= kLanes, "scratch holds a tile");

/// The `m` of no keys: below every score.
constexpr float kNothing = -1e30f;

/// The state of all query rows of a call, in scratch (layout: Sizes.h).
struct Rows {
  float *o;      ///< [rows][padded]
  float *scores; ///< [kRowTile][kBlockKeys]
  const float **query;
  float *m;
  float *l;
  void *end; ///< what lies behind the state
  int64_t padded;

  L4_MEMBER Rows(void *scratch, int64_t rows, int64_t headDim) : padded(l4_padded_head(headDim)) {
    o = static_cast<float *>(scratch);
    scores = o + rows * padded;
    query = reinterpret_cast<const float **>(scores + L4_ATTENTION_MAX_TILE * kBlockKeys);
    m = reinterpret_cast<float *>(query + rows);
    l = m + rows;
    end = l + rows;
  }

  /// The state of `count` rows that have seen no key.
  L4_MEMBER void clear(int64_t count) const {
    for (int64_t i = 0; i < count * padded; i += kLanes) {
      store(o + i, zero());
      keepStores();
    }
    for (int64_t row = 0; row < count; ++row) {
      m[row] = kNothing;
      l[row] = 0.0f;
      keepStores();
    }
  }
};

/// Where the K and V of one head lie in a block of keys, for each 16 of them: K [head_dim][16], and
/// of V a row of `padded` numbers for each key.
template <class Kv> struct KeyBlock {
  const typename Kv::Element *k[kBlockPages];
  const typename Kv::Element *v[kBlockPages];
  int64_t valueStride; ///< between the rows of V
};

/// scores[r][keys of vectors first .. first + N) = scale * q[r] . k
template <class Kv, int R, int N>
L4_INLINE void scoreVectors(const Rows &rows, int64_t row, const KeyBlock<Kv> &block, int first,
                            int64_t headDim, float scale) {
  const typename Kv::Element *k[N];
#pragma unroll
  for (int n = 0; n < N; ++n)
    k[n] = block.k[(first + n) / kHalves] + (first + n) % kHalves * kLanes;
  const float *q[R];
#pragma unroll
  for (int r = 0; r < R; ++r)
    q[r] = rows.query[row + r];
  F sums[R][N] = {};
  for (int64_t d = 0; d < headDim; ++d) {
    F keys[N];
#pragma unroll
    for (int n = 0; n < N; ++n)
      keys[n] = Kv::vector(k[n] + d * L4_PAGE_TOKENS);
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const F x = splat(q[r][d]);
#pragma unroll
      for (int n = 0; n < N; ++n)
        sums[r][n] = fma(x, keys[n], sums[r][n]);
    }
  }
#pragma unroll
  for (int r = 0; r < R; ++r)
#pragma unroll
    for (int n = 0; n < N; ++n)
      store(rows.scores + r * kBlockKeys + (first + n) * kLanes, mul(sums[r][n], splat(scale)));
}

/// The keys of a block that a row sees: [begin, end), from the block's first.
struct KeyRange {
  int begin, end;
  L4_MEMBER bool isEmpty() const { return begin >= end; }
};

/// x for the keys that are visible, else y; `first` is the key of lane 0.
L4_INLINE F selectVisible(KeyRange visible, int first, F x, F y) {
  return selectFirst(visible.begin - first, y, selectFirst(visible.end - first, x, y));
}

/// Turns a row's scores into weights exp(score - m), 0 for the keys that it doesn't see, and
/// returns m and l. A row that sees no key of the block gets zeros, m = kNothing and l = 0.
L4_INLINE void softmaxRow(float *scores, KeyRange visible, float &m, float &l) {
  const F lowest = splat(kNothing);
  F x[kBlockVectors];
#pragma unroll
  for (int i = 0; i < kBlockVectors; ++i)
    x[i] = selectVisible(visible, i * kLanes, load(scores + i * kLanes), lowest);
  F largest = x[0];
#pragma unroll
  for (int i = 1; i < kBlockVectors; ++i)
    largest = vmax(largest, x[i]);
  m = maxLanes(largest);
  F sum = zero();
#pragma unroll
  for (int i = 0; i < kBlockVectors; ++i) {
    const F weight = selectVisible(visible, i * kLanes, expNegative(sub(x[i], splat(m))), zero());
    store(scores + i * kLanes, weight);
    sum = add(sum, weight);
  }
  l = sumLanes(sum);
}

/// Merges the partials (m, l) of R rows into their state and gives the factors of the outputs:
/// O = O * keep + o * take. The state of no keys (m = kNothing, l = 0, O = 0) keeps nothing of
/// itself; a row that saw no key keeps its state.
template <int R>
L4_INLINE void mergeFactors(const Rows &rows, int64_t row, const float (&m)[kLanes],
                            const float (&l)[kLanes], float (&keep)[kLanes],
                            float (&take)[kLanes]) {
  alignas(64) float down[kLanes];
#pragma unroll
  for (int r = 0; r < R; ++r)
    down[r] = -__builtin_fabsf(rows.m[row + r] - m[r]);
#pragma unroll
  for (int r = R; r < kLanes; ++r)
    down[r] = 0.0f;
  store(down, expNegative(load(down)));
#pragma unroll
  for (int r = 0; r < R; ++r) {
    const bool grows = m[r] > rows.m[row + r];
    keep[r] = grows ? down[r] : 1.0f;
    take[r] = grows ? 1.0f : down[r];
    rows.l[row + r] = __builtin_fmaf(rows.l[row + r], keep[r], l[r] * take[r]);
    rows.m[row + r] = grows ? m[r] : rows.m[row + r];
  }
}

/// O[r][vectors at column .. column + N * kLanes) takes the sum of weight * V over `keys`.
template <class Kv, int R, int N>
L4_INLINE void weightedValues(const Rows &rows, int64_t row, const KeyBlock<Kv> &block,
                              int64_t column, KeyRange keys, const float (&keep)[kLanes],
                              const float (&take)[kLanes]) {
  F sums[R][N] = {};
  for (int64_t page = keys.begin / L4_PAGE_TOKENS; page * L4_PAGE_TOKENS < keys.end; ++page) {
    const typename Kv::Element *v = block.v[page] + column;
    const float *weights = rows.scores + page * L4_PAGE_TOKENS;
    const int64_t skipped = keys.begin - page * L4_PAGE_TOKENS;
    const int64_t rest = keys.end - page * L4_PAGE_TOKENS;
    const int64_t slots = rest < L4_PAGE_TOKENS ? rest : L4_PAGE_TOKENS;
    for (int64_t slot = skipped > 0 ? skipped : 0; slot < slots; ++slot) {
      F values[N];
#pragma unroll
      for (int n = 0; n < N; ++n)
        values[n] = Kv::vector(v + slot * block.valueStride + n * kLanes);
#pragma unroll
      for (int r = 0; r < R; ++r) {
        const F weight = splat(weights[r * kBlockKeys + slot]);
#pragma unroll
        for (int n = 0; n < N; ++n)
          sums[r][n] = fma(weight, values[n], sums[r][n]);
      }
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

/// One block of keys for R query rows; `sees(row)` is the KeyRange of the block that a row sees.
template <class Kv, int R, class Sees>
L4_INLINE void attendTile(const Rows &rows, int64_t row, const KeyBlock<Kv> &block, int64_t headDim,
                          Sees sees, float scale) {
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
  const int vectors = (keys.end + kLanes - 1) / kLanes;
  int first = keys.begin / kLanes;
  for (; first + 2 <= vectors; first += 2)
    scoreVectors<Kv, R, 2>(rows, row, block, first, headDim, scale);
  if (first < vectors)
    scoreVectors<Kv, R, 1>(rows, row, block, first, headDim, scale);

  alignas(64) float m[kLanes], l[kLanes], keep[kLanes], take[kLanes];
  for (int r = 0; r < R; ++r)
    softmaxRow(rows.scores + r * kBlockKeys, visible[r], m[r], l[r]);
  mergeFactors<R>(rows, row, m, l, keep, take);

  // One or two rows alone would wait for their own sums: they take more columns at once.
  constexpr int kColumns = R <= 2 ? 4 : 2;
  int64_t column = 0;
  for (; column + kColumns * kLanes <= rows.padded; column += kColumns * kLanes)
    weightedValues<Kv, R, kColumns>(rows, row, block, column, keys, keep, take);
  for (; column < rows.padded; column += kLanes)
    weightedValues<Kv, R, 1>(rows, row, block, column, keys, keep, take);
}

/// The tiles of R rows that fit into [row, count), then those of the next smaller size.
template <class Kv, int R, class Sees>
L4_INLINE void attendTiles(const Rows &rows, int64_t row, int64_t count, const KeyBlock<Kv> &block,
                           int64_t headDim, Sees sees, float scale) {
  for (; row + R <= count; row += R)
    attendTile<Kv, R>(rows, row, block, headDim, sees, scale);
  if constexpr (R > 1)
    attendTiles<Kv, R == 8 ? 4 : R - 1>(rows, row, count, block, headDim, sees, scale);
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
