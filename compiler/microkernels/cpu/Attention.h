//===- Attention.h - paged attention of one KV head --------------*- C++ -*-===//
//
// Keys are taken in blocks that are aligned to absolute positions (the arithmetic:
// AttentionTiles.h). A query sees the keys of its own chunk up to its own position; a block may lie
// before a row's first key (another row of the call sees it) or behind its last.
//
// The keys of a row are divided into parts of whole blocks: 1 to L4_ATTENTION_PARTS, of at least
// L4_ATTENTION_PART keys, by the row's own position alone (Sizes.h). Blocks are merged within a
// part, and then the parts, both in ascending order. So the parts of a token may be computed by
// different tiles, and the tile that ends last joins them; a call of `attention`, which does all
// parts of its rows, one after the other, gives the same bits.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTION_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTION_H

#include "compiler/microkernels/cpu/AttentionTiles.h"

namespace {

/// One block of keys in the pages of a sequence.
template <class Kv> struct PagedBlock : KeyBlock<Kv> {
  int64_t begin = 0; ///< position of the first key

  /// Finds the pages that hold the block's keys in [from, last]; others are not looked up.
  L4_MEMBER void locate(const int32_t *table, const void *pool, int64_t kvHead, int64_t kvHeads,
                        int64_t headDim, int64_t from, int64_t last) {
    const int64_t padded = this->columns = l4_padded_head(headDim);
#pragma unroll
    for (int i = 0; i < kBlockPages; ++i) {
      if (begin + (i + 1) * L4_PAGE_TOKENS <= from)
        continue;
      if (begin + i * L4_PAGE_TOKENS > last)
        break;
      const typename Kv::Element *page =
          static_cast<const typename Kv::Element *>(pool) +
          table[begin / L4_PAGE_TOKENS + i] * l4_kv_page_elements(kvHeads, headDim);
      this->k[i] = page + kvHead * headDim * L4_PAGE_TOKENS;
      this->v[i] = page + (kvHeads * headDim + kvHead * padded) * L4_PAGE_TOKENS;
    }
  }
};

/// What a query at `position` sees of the block at `block`; `chunk` is 0 or the length of a chunk.
L4_INLINE KeyRange visibleKeys(int64_t block, int64_t position, int64_t chunk) {
  const int64_t from = l4_first_visible(position, chunk) - block, end = position - block + 1;
  return {static_cast<int>(from <= 0           ? 0
                           : from < kBlockKeys ? from
                                               : kBlockKeys),
          static_cast<int>(end <= 0           ? 0
                           : end < kBlockKeys ? end
                                              : kBlockKeys)};
}

struct AttentionArgs {
  float *out;
  int64_t outStride;
  const float *q;
  int64_t qStride;
  const l4_step *step;
  int64_t kind;
  const void *pool;
  int64_t kvHead, kvHeads, group, headDim, chunk;
  float scale;
};

/// What multiplyAdd takes for the query row at `q`: itself, or its copy in bfloat16 at `copy`.
template <class Kv>
L4_INLINE const void *queryFactors(const float *q, [[maybe_unused]] void *copy,
                                   [[maybe_unused]] int64_t headDim) {
#if L4_BF16
  if constexpr (Kv::kDots) {
    uint16_t *to = static_cast<uint16_t *>(copy);
    for (int64_t d = 0; d < headDim; d += kLanes) {
      const int64_t left = headDim - d;
      storeBf16(to + d, loadFirst(q + d, static_cast<int>(left < kLanes ? left : kLanes)));
    }
    return to;
  }
#endif
  return q;
}

/// The query rows of a call and what paged attention keeps of each, in scratch (layout: Sizes.h).
struct PagedRows : Rows {
  int64_t *position;
  int64_t *border; ///< where the row's next part begins, INT64_MAX: it has none
  float *earlierO, *earlierM, *earlierL; ///< of the parts before; m = kNothing: there are none
  uint16_t *copies;

  L4_MEMBER PagedRows(void *scratch, int64_t rows, int64_t headDim) : Rows(scratch, rows, headDim) {
    position = static_cast<int64_t *>(end);
    border = position + rows;
    earlierO = reinterpret_cast<float *>(border + rows);
    earlierM = earlierO + rows * padded;
    earlierL = earlierM + rows;
    copies = reinterpret_cast<uint16_t *>(earlierL + rows);
  }

  L4_MEMBER RowState earlier(int64_t row) const {
    return {earlierO + row * padded, earlierM + row, earlierL + row};
  }

  /// The group's rows of token `t`, from row `first` on, with all their state but O, m and l.
  template <class Kv>
  L4_MEMBER void put(const AttentionArgs &args, int64_t t, int64_t first) const {
    const int64_t at = args.step->position[t], begin = l4_first_part(at, args.chunk);
    const int64_t next = begin + l4_part_keys(at - begin + 1);
    for (int64_t row = first; row < first + args.group; ++row) {
      position[row] = at;
      border[row] = next <= at ? next : INT64_MAX;
      earlierM[row] = kNothing;
      query[row] = queryFactors<Kv>(args.q + t * args.qStride +
                                        (args.kvHead * args.group + row - first) * args.headDim,
                                    copies + row * padded, args.headDim);
    }
  }

  /// The first border of `count` rows.
  L4_MEMBER int64_t nextBorder(int64_t count) const {
    int64_t next = INT64_MAX;
    for (int64_t row = 0; row < count; ++row)
      next = border[row] < next ? border[row] : next;
    return next;
  }

  /// Ends the part of each row whose next one begins at `key`: what the row has of it is joined
  /// into what it has of the parts before, in ascending order.
  template <class Kv> L4_MEMBER void endParts(int64_t count, int64_t key, int64_t chunk) const {
    for (int64_t row = 0; row < count; ++row) {
      if (border[row] != key)
        continue;
      addToEarlier<Kv>(row);
      clear(1, row);
      const int64_t begin = l4_first_part(position[row], chunk);
      const int64_t next = key + l4_part_keys(position[row] - begin + 1);
      border[row] = next <= position[row] ? next : INT64_MAX;
    }
  }

  template <class Kv> L4_MEMBER void addToEarlier(int64_t row) const {
    if (earlierM[row] == kNothing)
      copyRow(earlier(row), state(row), padded);
    else
      joinRow<Kv>(earlier(row), state(row), padded);
  }

  /// Writes the result of a row.
  template <class Kv> L4_MEMBER void write(float *out, int64_t row, int64_t headDim) const {
    const bool isWhole = earlierM[row] == kNothing;
    if (!isWhole)
      joinRow<Kv>(earlier(row), state(row), padded);
    const RowState from = isWhole ? state(row) : earlier(row);
    writeRow(out, from.o, *from.l, headDim);
  }
};

/// The keys from `from` to `last` for `count` rows, all of the sequence of token `t`. The block
/// behind them is asked for where it has keys up to `known`: who has one part often has the next.
template <class Kv>
L4_INLINE void attendKeys(const AttentionArgs &args, const PagedRows &rows, int64_t count,
                          int64_t t, int64_t from, int64_t last, int64_t known) {
  const int32_t *table =
      args.step->page_table[args.kind] +
      static_cast<int64_t>(args.step->sequence[t]) * args.step->page_stride[args.kind];
  PagedBlock<Kv> block = {};
  const auto sees = [&](int64_t row) {
    return visibleKeys(block.begin, rows.position[row], args.chunk);
  };
  const auto locate = [&](PagedBlock<Kv> &at) {
    if (at.begin <= known)
      at.locate(table, args.pool, args.kvHead, args.kvHeads, args.headDim, from, known);
  };
  rows.clear(count);
  block.begin = from / kBlockKeys * kBlockKeys;
  locate(block);
  int64_t border = rows.nextBorder(count);
  while (block.begin <= last) {
    PagedBlock<Kv> next = block;
    next.begin += kBlockKeys;
    locate(next);
    if (block.begin == border) {
      rows.endParts<Kv>(count, border, args.chunk);
      border = rows.nextBorder(count);
    }
    attendTiles<Kv, kRowTile>(rows, 0, count, {&block, &next}, args.headDim, sees, args.scale);
    block = next;
  }
}

/// Tokens [begin, end), all of one sequence; `out` is the row of `begin`.
template <class Kv>
L4_INLINE void attendSequence(const AttentionArgs &args, float *out, int64_t begin, int64_t end,
                              void *scratch) {
  const int64_t count = (end - begin) * args.group;
  const PagedRows rows(scratch, count, args.headDim);
  int64_t last = 0, from = INT64_MAX;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t position = args.step->position[t];
    const int64_t visible = l4_first_visible(position, args.chunk);
    last = position > last ? position : last;
    from = visible < from ? visible : from;
    rows.put<Kv>(args, t, (t - begin) * args.group);
  }
  attendKeys<Kv>(args, rows, count, begin, from, last, last);
  for (int64_t t = begin; t < end; ++t)
    for (int64_t g = 0; g < args.group; ++g)
      rows.write<Kv>(out + (t - begin) * args.outStride + g * args.headDim,
                     (t - begin) * args.group + g, args.headDim);
}

/// What the parts of a token's keys gave, one behind the other (layout of each: Sizes.h).
struct Parts {
  float *first;
  int64_t group, padded, floats;

  L4_MEMBER RowState row(int64_t part, int64_t row) const {
    float *at = first + part * floats;
    return {at + row * padded, at + group * padded + row, at + group * padded + group + row};
  }
};

/// Tile `tile` of L4_ATTENTION_PARTS for token `t`, whose row args.out points at. True when the
/// result is written: when no tile of the token and the KV head is left.
template <class Kv>
L4_INLINE bool attendPart(const AttentionArgs &args, int64_t t, int64_t tile, const Parts &parts,
                          int32_t *counter, void *scratch) {
  const int64_t position = args.step->position[t], begin = l4_first_part(position, args.chunk);
  const int64_t keys = l4_part_keys(position - begin + 1);
  const int64_t count = (position - begin) / keys + 1;
  // A tile has one part at most; those of few parts lie apart.
  const int64_t part = tile * count / L4_ATTENTION_PARTS;
  if (part == (tile + 1) * count / L4_ATTENTION_PARTS)
    return false;
  const PagedRows rows(scratch, args.group, args.headDim);
  rows.put<Kv>(args, t, 0);
  const int64_t visible = l4_first_visible(position, args.chunk);
  const int64_t first = begin + part * keys, behind = first + keys;
  // No row ends a part on the way.
  for (int64_t row = 0; row < args.group; ++row)
    rows.border[row] = INT64_MAX;
  attendKeys<Kv>(args, rows, args.group, t, visible > first ? visible : first,
                 position < behind ? position : behind - 1, position);
  if (count > 1) {
    for (int64_t row = 0; row < args.group; ++row)
      copyRow(parts.row(part, row), rows.state(row), rows.padded);
    // Who ends last sees what the others wrote, and leaves the counter as it was.
    if (__atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL) != count)
      return false;
    __atomic_store_n(counter, 0, __ATOMIC_RELAXED);
    for (int64_t row = 0; row < args.group; ++row) {
      copyRow(rows.state(row), parts.row(0, row), rows.padded);
      for (int64_t next = 1; next < count; ++next)
        joinRow<Kv>(rows.state(row), parts.row(next, row), rows.padded);
    }
  }
  for (int64_t row = 0; row < args.group; ++row)
    writeRow(args.out + row * args.headDim, rows.o + row * rows.padded, rows.l[row], args.headDim);
  return true;
}

template <class Kv>
L4_INLINE void attention(const AttentionArgs &args, int64_t begin, int64_t end, void *scratch) {
  float *out = args.out;
  while (begin < end) {
    int64_t next = begin + 1;
    while (next < end && args.step->sequence[next] == args.step->sequence[begin])
      ++next;
    attendSequence<Kv>(args, out, begin, next, scratch);
    out += (next - begin) * args.outStride;
    begin = next;
  }
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ATTENTION_H
