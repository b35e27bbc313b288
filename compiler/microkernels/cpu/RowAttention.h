//===- RowAttention.h - attention over keys and values that lie in rows ------===//
//
// Unit attention and cross attention. A block of keys is put in the order of a page once for all
// query rows of the call, then AttentionTiles.h does the arithmetic. Blocks begin where a group of
// a unit or an image begins, so what a row sees of a block is a prefix; rows that see the same
// prefix are taken together, and nothing else of the block is looked at for them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ROWATTENTION_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ROWATTENTION_H

#include "compiler/microkernels/cpu/AttentionTiles.h"

namespace {

template <class Kv> struct RowAttentionArgs {
  float *out;
  int64_t outStride;
  const typename Kv::Element *q;
  int64_t qStride;
  const typename Kv::Element *k, *v;
  int64_t stride; ///< between rows of k and of v
  int64_t headDim;
  float scale;
  void *scratch;
};

/// One block of keys in the order of a page, in scratch (layout: Sizes.h).
template <class Kv> class RowBlock : public KeyBlock<Kv> {
  using Element = typename Kv::Element;

public:
  L4_MEMBER explicit RowBlock(const RowAttentionArgs<Kv> &args)
      : args_(args), keys_(static_cast<Element *>(args.scratch)) {
    this->columns = l4_padded_head(args.headDim);
    values_ = keys_ + kBlockKeys * this->columns;
    for (int i = 0; i < kBlockPages; ++i) {
      this->k[i] = keys_ + i * L4_PAGE_TOKENS * this->columns;
      this->v[i] = values_ + i * L4_PAGE_TOKENS * this->columns;
    }
  }

  /// What lies behind the block in scratch.
  L4_MEMBER void *rest() const {
    return static_cast<float *>(args_.scratch) + 2 * kBlockKeys * this->columns;
  }

  /// What multiplyAdd takes for query row `row` of those that begin at row `first` of the unit:
  /// itself, or a copy in float32 behind a block of bfloat16, which takes half of a block's
  /// scratch.
  L4_MEMBER const void *query(int64_t first, int64_t row) const {
    const Element *q = args_.q + (first + row) * args_.qStride;
    if constexpr (Kv::kPair == 1 || Kv::kDots) {
      return q;
    } else {
      static_assert(L4_UNIT_ATTENTION_ROWS <= kBlockKeys, "copies fit where they lie");
      float *copy = static_cast<float *>(args_.scratch) + (kBlockKeys + row) * this->columns;
      for (int64_t d = 0; d < args_.headDim; ++d) {
        copy[d] = bf16ToFloat(q[d]);
        keepStores();
      }
      return copy;
    }
  }

  /// The `count` (1 to kBlockKeys) keys from row `row` on. Rows often lie a power of two apart,
  /// where few of them fit into the first-level cache together: both are copied line by line, and
  /// keys put in order from the copy, which then makes room for the values.
  L4_MEMBER void load(int64_t row, int count) {
    const Element *keys = args_.k + row * args_.stride, *values = args_.v + row * args_.stride;
    const Element *next = keys + kBlockKeys * args_.stride;
    copy(keys, values, next, count);
    for (int first = 0; first < count; first += kLanes)
      orderKeys(first, count - first);
    if constexpr (Kv::kPair == 1)
      copy(values, next, values + kBlockKeys * args_.stride, count);
    else
      pairValues(values, next, count);
  }

private:
  /// Numbers of one line of the cache.
  static constexpr int64_t kLine = 64 / sizeof(Element);

  /// `count` rows, padded with zeros. Asks for the rows that are copied `next` and for those that
  /// are copied `then`: twice for each line, as a request among so many may be dropped.
  L4_MEMBER void copy(const Element *rows, const Element *next, const Element *then,
                      int count) const {
    for (int i = 0; i < count; ++i) {
      for (int64_t d = 0; d < this->columns; d += kLine) {
        prefetch(next + i * args_.stride + d);
        prefetch(then + i * args_.stride + d);
      }
      for (int64_t d = 0; d < this->columns; d += kLanes)
        copyVector(values_ + i * this->columns + d, rows + i * args_.stride + d, lanesAt(d));
    }
  }
  /// Numbers of the head from column `d` on that a vector holds.
  L4_MEMBER int lanesAt(int64_t d) const {
    const int64_t left = args_.headDim - d;
    return static_cast<int>(left < 0 ? 0 : left < kLanes ? left : kLanes);
  }
  static L4_MEMBER void copyVector(float *to, const float *from, int lanes) {
    store(to, loadFirst(from, lanes));
    keepStores();
  }
  static L4_MEMBER void copyVector(uint16_t *to, const uint16_t *from, int lanes) {
    if (lanes == kLanes) {
      __builtin_memcpy(to, from, kLanes * 2);
      return;
    }
    for (int i = 0; i < kLanes; ++i) {
      to[i] = i < lanes ? from[i] : uint16_t{0};
      keepStores();
    }
  }

  /// The keys from `first` on of those in values_, one in each lane; lanes from `count` on repeat
  /// the last. What moves are 32 bits: a number, or a pair.
  L4_MEMBER void orderKeys(int first, int count) const {
    const float *rows[kLanes];
#pragma unroll
    for (int i = 0; i < kLanes; ++i)
      rows[i] = reinterpret_cast<const float *>(values_ + (first + (i < count ? i : count - 1)) *
                                                              this->columns);
    float *out =
        reinterpret_cast<float *>(keys_ + first / kPanel * kPanel * this->columns) + first % kPanel;
    for (int64_t d = 0; d * Kv::kPair < args_.headDim; d += 4) {
      F columns[4];
      transposeQuads(rows, d, columns);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        store(out + (d + j) * kPanel, columns[j]);
    }
  }

  /// `count` rows of values in pairs, zeros beside a last one.
  L4_MEMBER void pairValues(const uint16_t *rows, const uint16_t *next, int count) const {
    for (int i = 0; i < count; i += 2) {
      const uint16_t *low = rows + i * args_.stride;
      const uint16_t *high = i + 1 < count ? low + args_.stride : nullptr;
      const uint16_t *then = next + i * args_.stride;
      uint16_t *to = values_ + i * this->columns;
      for (int64_t d = 0; d < this->columns; d += kLine) {
        prefetch(then + d);
        prefetch(then + args_.stride + d);
      }
      for (int64_t d = 0; d < this->columns; d += kLanes)
        storeInt(to + 2 * d, orInt(shiftRight<16>(upper(low, d)), upper(high, d)));
    }
  }
  /// Numbers from column `d` on in the upper halves of lanes; zeros without a row.
  L4_MEMBER I upper(const uint16_t *row, int64_t d) const {
    if (!row)
      return splatInt(0);
    const int lanes = lanesAt(d);
    if (lanes == kLanes)
      return asInt(loadBf16(row + d));
    uint16_t part[kLanes];
    copyVector(part, row + d, lanes);
    return asInt(loadBf16(part));
  }

  const RowAttentionArgs<Kv> &args_;
  Element *keys_, *values_;
};

/// The first `count` keys of the block for the query rows [begin, end).
template <class Kv>
L4_INLINE void attendPrefix(const Rows &rows, int64_t begin, int64_t end, const RowBlock<Kv> &block,
                            int count, const RowAttentionArgs<Kv> &args) {
  attendTiles<Kv, kRowTile>(
      rows, begin, end, {&block, &block}, args.headDim, [=](int64_t) { return KeyRange{0, count}; },
      args.scale);
}

/// The rows of a unit: groups, of which the first `pictures` begin with `real` real rows.
struct UnitRows {
  int64_t groupRows, rows, real, pictures;

  /// The real rows of the group that begins at row `begin`; they come first.
  L4_MEMBER int64_t realOf(int64_t begin) const {
    return begin >= pictures * groupRows ? 0 : real < groupRows ? real : groupRows;
  }
  /// Whether row `row` is real, and in `end` how far rows from there on are alike.
  L4_MEMBER bool isReal(int64_t row, int64_t &end) const {
    const int64_t group = row / groupRows * groupRows, border = group + realOf(group);
    end = row < border ? border : group + groupRows;
    return row < border;
  }
};

/// `count` keys of a block, the first `realKeys` of them real, for rows [begin, end) of the unit.
template <class Kv>
L4_INLINE void attendUnitBlock(const Rows &rows, int64_t begin, int64_t end, const UnitRows &unit,
                               const RowBlock<Kv> &block, int count, int realKeys,
                               const RowAttentionArgs<Kv> &args) {
  for (int64_t row = begin, next; row < end; row = next) {
    const int seen = unit.isReal(row, next) ? count : realKeys;
    next = next < end ? next : end;
    attendPrefix(rows, row - begin, next - begin, block, seen, args);
  }
}

template <class Kv>
L4_INLINE void unitAttention(const RowAttentionArgs<Kv> &args, int64_t begin, int64_t end,
                             const UnitRows &unit) {
  RowBlock<Kv> block(args);
  const Rows rows(block.rest(), end - begin, args.headDim);
  bool anyReal = false;
  for (int64_t row = begin, next; row < end; row = next)
    anyReal |= unit.isReal(row, next);
  for (int64_t row = begin; row < end; ++row)
    rows.query[row - begin] = block.query(begin, row - begin);
  rows.clear(end - begin);
  for (int64_t group = 0; group < unit.rows; group += unit.groupRows) {
    const int64_t real = unit.realOf(group), seen = anyReal ? unit.groupRows : real;
    for (int64_t at = 0; at < seen; at += kBlockKeys) {
      const int64_t left = seen - at, realLeft = real - at;
      const int count = left < kBlockKeys ? static_cast<int>(left) : kBlockKeys;
      const int realKeys = realLeft <= 0      ? 0
                           : realLeft < count ? static_cast<int>(realLeft)
                                              : count;
      block.load(group + at, count);
      attendUnitBlock(rows, begin, end, unit, block, count, realKeys, args);
    }
  }
  for (int64_t row = 0; row < end - begin; ++row)
    writeRow(args.out + row * args.outStride, rows.o + row * rows.padded, rows.l[row],
             args.headDim);
}

/// Which images tokens see, and the rows that an image has.
struct Images {
  const int32_t *first, *count, *tiles;
  int64_t rows, groupRows; ///< of an image (between images), of a tile

  L4_MEMBER bool isSeenBy(int64_t image, int64_t token) const {
    return image >= first[token] && image - first[token] < count[token];
  }
  /// The first token of [token, end) for which isSeenBy is `seen`, or `end`.
  L4_MEMBER int64_t find(int64_t image, bool seen, int64_t token, int64_t end) const {
    while (token < end && isSeenBy(image, token) != seen)
      ++token;
    return token;
  }
};

/// One image for the tokens [begin, end), of which `seer` is the first that sees it.
L4_INLINE void attendImage(const Rows &rows, const Images &images, int64_t image, int64_t begin,
                           int64_t end, int64_t seer, int64_t group, RowBlock<KvFloat32> &block,
                           const RowAttentionArgs<KvFloat32> &args) {
  const int64_t keys = images.tiles[image] * images.groupRows;
  for (int64_t at = 0; at < keys; at += kBlockKeys) {
    const int count = keys - at < kBlockKeys ? static_cast<int>(keys - at) : kBlockKeys;
    block.load(image * images.rows + at, count);
    for (int64_t token = seer, next; token < end; token = images.find(image, true, next, end)) {
      next = images.find(image, false, token, end);
      attendPrefix(rows, (token - begin) * group, (next - begin) * group, block, count, args);
    }
  }
}

L4_INLINE void crossAttention(const RowAttentionArgs<KvFloat32> &args, const Images &images,
                              int64_t begin, int64_t end, int64_t group) {
  const int64_t count = (end - begin) * group;
  RowBlock<KvFloat32> block(args);
  const Rows rows(block.rest(), count, args.headDim);
  int64_t from = INT64_MAX, to = 0;
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t g = 0; g < group; ++g)
      rows.query[(t - begin) * group + g] = args.q + t * args.qStride + g * args.headDim;
    if (images.count[t] <= 0)
      continue;
    const int64_t first = images.first[t], behind = first + images.count[t];
    from = first < from ? first : from;
    to = behind > to ? behind : to;
  }
  rows.clear(count);
  for (int64_t image = from; image < to; ++image) {
    const int64_t seer = images.find(image, true, begin, end);
    if (seer < end)
      attendImage(rows, images, image, begin, end, seer, group, block, args);
  }
  for (int64_t t = begin; t < end; ++t)
    for (int64_t g = 0; g < group; ++g) {
      const int64_t row = (t - begin) * group + g;
      writeRow(args.out + (t - begin) * args.outStride + g * args.headDim,
               rows.o + row * rows.padded, rows.l[row], args.headDim);
    }
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ROWATTENTION_H
