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

struct RowAttentionArgs {
  float *out;
  int64_t outStride;
  const float *q;
  int64_t qStride;
  const float *k, *v;
  int64_t stride; ///< between rows of k and of v
  int64_t headDim;
  float scale;
  void *scratch;
};

/// One block of keys in the order of a page, in scratch (layout: Sizes.h).
class RowBlock : public KeyBlock<KvFloat32> {
public:
  L4_MEMBER explicit RowBlock(const RowAttentionArgs &args)
      : args_(args), keys_(static_cast<float *>(args.scratch)) {
    columns = l4_padded_head(args.headDim);
    values_ = keys_ + kBlockKeys * columns;
    for (int i = 0; i < kBlockPages; ++i) {
      k[i] = keys_ + i * L4_PAGE_TOKENS * columns;
      v[i] = values_ + i * L4_PAGE_TOKENS * columns;
    }
  }

  /// What lies behind the block in scratch.
  L4_MEMBER void *rest() const { return values_ + kBlockKeys * columns; }

  /// The `count` (1 to kBlockKeys) keys from row `row` on. Rows often lie a power of two apart,
  /// where few of them fit into the first-level cache together: both are copied line by line, and
  /// keys put in order from the copy, which then makes room for the values.
  L4_MEMBER void load(int64_t row, int count) {
    const float *keys = args_.k + row * args_.stride, *values = args_.v + row * args_.stride;
    const float *next = keys + kBlockKeys * args_.stride;
    copy(keys, values, next, count);
    for (int first = 0; first < count; first += kLanes)
      orderKeys(first, count - first);
    copy(values, next, values + kBlockKeys * args_.stride, count);
  }

private:
  /// `count` rows, padded with zeros. Asks for the rows that are copied `next` and for those that
  /// are copied `then`: twice for each line, as a request among so many may be dropped.
  L4_MEMBER void copy(const float *rows, const float *next, const float *then, int count) const {
    for (int i = 0; i < count; ++i)
      for (int64_t d = 0; d < columns; d += kLanes) {
        const int64_t left = args_.headDim - d;
        const int lanes = static_cast<int>(left < 0 ? 0 : left < kLanes ? left : kLanes);
        prefetch(next + i * args_.stride + d);
        prefetch(then + i * args_.stride + d);
        store(values_ + i * columns + d, loadFirst(rows + i * args_.stride + d, lanes));
        keepStores();
      }
  }

  /// The keys from `first` on of those in values_, one in each lane; lanes from `count` on repeat
  /// the last.
  L4_MEMBER void orderKeys(int first, int count) const {
    const float *rows[kLanes];
#pragma unroll
    for (int i = 0; i < kLanes; ++i)
      rows[i] = values_ + (first + (i < count ? i : count - 1)) * columns;
    float *out = keys_ + first / kPanel * kPanel * columns + first % kPanel;
    for (int64_t d = 0; d < args_.headDim; d += 4) {
      F columns[4];
      transposeQuads(rows, d, columns);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        store(out + (d + j) * kPanel, columns[j]);
    }
  }

  const RowAttentionArgs &args_;
  float *keys_, *values_;
};

/// The first `count` keys of the block for the query rows [begin, end).
L4_INLINE void attendPrefix(const Rows &rows, int64_t begin, int64_t end, const RowBlock &block,
                            int count, const RowAttentionArgs &args) {
  attendTiles<KvFloat32, kRowTile>(
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
L4_INLINE void attendUnitBlock(const Rows &rows, int64_t begin, int64_t end, const UnitRows &unit,
                               const RowBlock &block, int count, int realKeys,
                               const RowAttentionArgs &args) {
  for (int64_t row = begin, next; row < end; row = next) {
    const int seen = unit.isReal(row, next) ? count : realKeys;
    next = next < end ? next : end;
    attendPrefix(rows, row - begin, next - begin, block, seen, args);
  }
}

L4_INLINE void unitAttention(const RowAttentionArgs &args, int64_t begin, int64_t end,
                             const UnitRows &unit) {
  RowBlock block(args);
  const Rows rows(block.rest(), end - begin, args.headDim);
  bool anyReal = false;
  for (int64_t row = begin, next; row < end; row = next)
    anyReal |= unit.isReal(row, next);
  for (int64_t row = begin; row < end; ++row)
    rows.query[row - begin] = args.q + row * args.qStride;
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
                           int64_t end, int64_t seer, int64_t group, RowBlock &block,
                           const RowAttentionArgs &args) {
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

L4_INLINE void crossAttention(const RowAttentionArgs &args, const Images &images, int64_t begin,
                              int64_t end, int64_t group) {
  const int64_t count = (end - begin) * group;
  RowBlock block(args);
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
