//===- Sizes.h - sizes that a core and its caller must agree on --*- C++ -*-===//
//
// Freestanding: included by the cores and by the compiler.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_SIZES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_SIZES_H

#include "runtime/format/KernelAbi.h"

/// Query rows that attention works on at once, at most.
#define L4_ATTENTION_MAX_TILE 8

/// Rows of a unit that one call of unit attention takes, at most.
#define L4_UNIT_ATTENTION_ROWS 64

/// A head's values are padded to this many columns in a KV page and in scratch.
static inline constexpr int64_t l4_padded_head(int64_t head_dim) {
  return (head_dim + 15) / 16 * 16;
}

/// Elements of one KV page (how they lie: KernelAbi.h).
static inline constexpr int64_t l4_kv_page_elements(int64_t kv_heads, int64_t head_dim) {
  return kv_heads * L4_PAGE_TOKENS * (head_dim + l4_padded_head(head_dim));
}

/// The first key that a query at `position` sees: that of its chunk of `chunk` positions, or, where
/// `chunk` is 0, of its sequence.
static inline constexpr int64_t l4_first_visible(int64_t position, int64_t chunk) {
  return chunk == 0 ? 0 : position / chunk * chunk;
}

/// Keys in one part of those that a query sees, at least; a multiple of L4_ATTENTION_BLOCK.
#define L4_ATTENTION_PART 256
/// Parts that the keys of a query have, at most.
#define L4_ATTENTION_PARTS 8
/// int32 between the counters of two KV heads: a cache line.
#define L4_ATTENTION_COUNTER 16

/// Where the first part of the keys of a query at `position` begins: with the block of its first
/// key.
static inline constexpr int64_t l4_first_part(int64_t position, int64_t chunk) {
  return l4_first_visible(position, chunk) / L4_ATTENTION_BLOCK * L4_ATTENTION_BLOCK;
}

/// Keys in each part but the last, a power of two, where `span` keys lie between the beginning of
/// the first part and the query, which counts: so many that there are at most L4_ATTENTION_PARTS.
static inline constexpr int64_t l4_part_keys(int64_t span) {
  int64_t keys = L4_ATTENTION_PART;
  while (keys * L4_ATTENTION_PARTS < span)
    keys *= 2;
  return keys;
}

/// Numbers of one part of `group` query rows: O float[group][padded head_dim] | M float[group] |
/// L float[group], in lines of the cache.
static inline constexpr int64_t l4_part_floats(int64_t group, int64_t head_dim) {
  return group * l4_padded_head(head_dim) + (2 * group + 15) / 16 * 16;
}

/// The state of `rows` query rows in scratch, a multiple of 8 bytes:
///   O float[rows][padded head_dim] | scores float[tile][block] | query pointer [rows] |
///   M float[rows] | L float[rows]
static inline constexpr int64_t l4_attention_state_bytes(int64_t rows, int64_t head_dim) {
  return rows * l4_padded_head(head_dim) * 4 + L4_ATTENTION_MAX_TILE * L4_ATTENTION_BLOCK * 4 +
         rows * (8 + 4 + 4);
}

/// Scratch of paged attention over `rows` query rows (tokens x heads), in 64 byte multiples:
///   state | position int64[rows] | border int64[rows] | what earlier parts gave:
///   O float[rows][padded head_dim] | M float[rows] | L float[rows] |
///   query bfloat16 [rows][padded head_dim]
static inline constexpr int64_t l4_attention_scratch_bytes(int64_t rows, int64_t head_dim) {
  const int64_t columns = l4_padded_head(head_dim);
  const int64_t row = 8 + 8 + columns * 4 + 4 + 4 + columns * 2;
  return (l4_attention_state_bytes(rows, head_dim) + rows * row + 63) / 64 * 64;
}

/// Scratch of unit and cross attention over `rows` query rows, in 64 byte multiples; one block of
/// keys and values comes first:
///   K float[block / 16][padded head_dim][16] | V float[block][padded head_dim] | state
/// or, in bfloat16, the order of a KV page and copies of the query rows:
///   K | V | query float[block][padded head_dim] | state
static inline constexpr int64_t l4_row_attention_scratch_bytes(int64_t rows, int64_t head_dim) {
  int64_t block = 2 * L4_ATTENTION_BLOCK * l4_padded_head(head_dim) * 4;
  return block + (l4_attention_state_bytes(rows, head_dim) + 63) / 64 * 64;
}

/// Scratch of the group core, in 64 byte multiples: int32[2][experts].
static inline constexpr int64_t l4_group_scratch_bytes(int64_t experts) {
  return (experts * 2 * 4 + 63) / 64 * 64;
}

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_SIZES_H
