//===- Attention.h - paged attention of one KV head --------------*- C++ -*-===//
//
// Keys are taken in blocks that are aligned to absolute positions (the arithmetic:
// AttentionTiles.h). A query sees the keys of its own chunk up to its own position; a block may lie
// before a row's first key (another row of the call sees it) or behind its last.
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

/// Tokens [begin, end), all of one sequence; `out` is the row of `begin`.
template <class Kv>
L4_INLINE void attendSequence(const AttentionArgs &args, float *out, int64_t begin, int64_t end,
                              void *scratch) {
  const int64_t count = (end - begin) * args.group;
  const Rows rows(scratch, count, args.headDim);
  int64_t *positions = static_cast<int64_t *>(rows.end);
  uint16_t *copies = reinterpret_cast<uint16_t *>(positions + count);
  int64_t last = 0, from = INT64_MAX;
  for (int64_t t = begin; t < end; ++t) {
    const int64_t position = args.step->position[t];
    const int64_t visible = l4_first_visible(position, args.chunk);
    last = position > last ? position : last;
    from = visible < from ? visible : from;
    for (int64_t g = 0; g < args.group; ++g) {
      const int64_t row = (t - begin) * args.group + g;
      positions[row] = position;
      rows.query[row] = queryFactors<Kv>(args.q + t * args.qStride +
                                             (args.kvHead * args.group + g) * args.headDim,
                                         copies + row * rows.padded, args.headDim);
    }
  }
  const int32_t *table =
      args.step->page_table[args.kind] +
      static_cast<int64_t>(args.step->sequence[begin]) * args.step->page_stride[args.kind];
  rows.clear(count);
  PagedBlock<Kv> block = {};
  const auto sees = [&](int64_t row) {
    return visibleKeys(block.begin, positions[row], args.chunk);
  };
  const auto locate = [&](PagedBlock<Kv> &at) {
    if (at.begin <= last)
      at.locate(table, args.pool, args.kvHead, args.kvHeads, args.headDim, from, last);
  };
  block.begin = from / kBlockKeys * kBlockKeys;
  locate(block);
  while (block.begin <= last) {
    PagedBlock<Kv> next = block;
    next.begin += kBlockKeys;
    locate(next);
    attendTiles<Kv, kRowTile>(rows, 0, count, {&block, &next}, args.headDim, sees, args.scale);
    block = next;
  }
  for (int64_t t = begin; t < end; ++t)
    for (int64_t g = 0; g < args.group; ++g) {
      const int64_t row = (t - begin) * args.group + g;
      writeRow(out + (t - begin) * args.outStride + g * args.headDim, rows.o + row * rows.padded,
               rows.l[row], args.headDim);
    }
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
