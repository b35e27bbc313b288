//===- Cores.h - signatures of the micro-kernels -----------------*- C++ -*-===//
//
// Declares every core of Table.def. Names carry L4_CORE_SUFFIX when that is defined, so that a test
// can link several levels into one program; in the bitcode they are plain.
//
// The numeric contract: an output element is a function of its activation row, its weight row and
// K alone. It does not depend on m, on the row's place in a tile or panel, on the tokens beside it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_CORES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_CORES_H

#include "runtime/format/KernelAbi.h"

#ifdef L4_CORE_SUFFIX
#define L4_CORE_PASTE_(name, suffix) name##suffix
#define L4_CORE_PASTE(name, suffix) L4_CORE_PASTE_(name, suffix)
#define L4_CORE(name) L4_CORE_PASTE(name, L4_CORE_SUFFIX)
#else
#define L4_CORE(name) name
#endif

/// out[i * out_stride + r] = dot product of activation row i with weight row r of the panel, for
/// i < m (m >= 1) and r < 16. Overwrites. `out_stride` counts floats, `act_stride` bytes between
/// activation rows, `panel` is one panel of compiler/pack/Layout.h, `k` is the true K. Activation
/// rows: F32 float[k], BF16 uint16[k] (nothing is read beyond k), Q8 and Q8_128 the q8<32> and
/// q8<128> rows of KernelAbi.h.
#define L4_LINEAR_PARAMETERS                                                                       \
  (float *out, int64_t out_stride, const void *act, int64_t act_stride, const void *panel,         \
   int64_t m, int64_t k)

/// out[0, k) = row `row` of the packed weight, equal to the checkpoint's own dequantization.
#define L4_DECODE_ROW_PARAMETERS (float *out, const void *weights, int64_t row, int64_t k)

/// Causal attention of tokens [token_begin, token_end) of the step for the `group` query heads of
/// one KV head. `q` points at the query row of token 0 of the step, `out` at the row of token_begin
/// in the column of the group's first head; both strides count floats per token. Token t of
/// sequence s at position p = step->position[t] sees the keys j <= p, with `chunk` > 0 those of its
/// chunk: p / chunk * chunk <= j <= p. They lie in page
/// step->page_table[kind][s * step->page_stride[kind] + j / 16] of `pool` at slot j % 16; entries
/// of pages in which the call sees no key are not read. Slots that no token has written yet must
/// hold finite numbers; they do not change results. `scratch`:
/// l4_attention_scratch_bytes((token_end - token_begin) * group, head_dim).
#define L4_ATTENTION_PARAMETERS                                                                    \
  (float *out, int64_t out_stride, const float *q, int64_t q_stride, const l4_step *step,          \
   int64_t kind, const void *pool, int64_t kv_head, int64_t token_begin, int64_t token_end,        \
   int64_t kv_heads, int64_t group, int64_t head_dim, int64_t chunk, float scale, void *scratch)

/// The same for one token, divided among L4_ATTENTION_PARTS tiles that any threads run in any order
/// or at once, each once: `out` points at the token's row in the column of the group's first head.
/// A tile that finds others of the token and head unfinished leaves what it has in `parts` (room
/// for L4_ATTENTION_PARTS times l4_part_floats(group, head_dim), aligned to 64 bytes) and returns
/// 0. The last one joins the parts in ascending order, writes `out` and returns 1: the bits of an
/// L4_ATTENTION core. `counter` is 0 before the first tile and after the last. Tiles that have no
/// keys return 0 at once; with one part, nothing is read or written in `parts` and `counter`.
/// `scratch`, private: l4_attention_scratch_bytes(group, head_dim).
#define L4_SPLIT_ATTENTION_PARAMETERS                                                              \
  (float *out, const float *q, int64_t q_stride, const l4_step *step, int64_t kind,                \
   const void *pool, int64_t kv_head, int64_t token, int64_t tile, int64_t kv_heads,               \
   int64_t group, int64_t head_dim, int64_t chunk, float scale, float *parts, int32_t *counter,    \
   void *scratch)

/// One head of one unit: rows [row_begin, row_end) attend to all `rows` rows (>= 1) of the unit, in
/// both directions: out = softmax(scale q k^T) v. `q`, `k` and `v`, of the core's row type, point
/// at row 0 of the unit in the head's first column, `stride` numbers lie between rows of each;
/// bfloat16 needs an even head_dim. `out` points at row
/// `row_begin` in the head's first column. With padding the unit is `groups` groups of rows /
/// groups rows, and row r of group g is real where g < pictures and r < real; rows of which neither
/// is real are hidden from each other: a real query sees all keys, another one the real keys only.
/// Where it sees nothing, its result is zero. Without padding: groups 1, real = rows, pictures 1.
/// At most L4_UNIT_ATTENTION_ROWS rows a call. `scratch`, aligned to 64 bytes, must not overlap
/// with anything else: l4_row_attention_scratch_bytes(row_end - row_begin, head_dim).
/// A row's result depends on its query and on what it sees alone, not on the rows of the call.
#define L4_UNIT_ATTENTION_PARAMETERS                                                               \
  (float *out, int64_t out_stride, const void *q, const void *k, const void *v, int64_t stride,    \
   int64_t row_begin, int64_t row_end, int64_t rows, int64_t head_dim, int64_t groups,             \
   int64_t real, int64_t pictures, float scale, void *scratch)

/// Attention of tokens [token_begin, token_end) over images, for the `group` query heads of one KV
/// head. `q` points at the query row of token 0 in the column of the group's first head, `out` at
/// the row of token_begin in that column; head h of the group lies h * head_dim behind. `k` and `v`
/// point at row 0 of the pool in the column of the KV head, `kv_stride` floats between rows. Image
/// i has `groups` groups of `group_rows` rows from row i * groups * group_rows on, of which the
/// first tiles[i] (0 to groups) are there; no other row is read. Token t sees the images first[t]
/// to first[t] + count[t] - 1; where count[t] is 0, first[t] is not looked at and the result is
/// zero. `scratch`, aligned to 64 bytes, must not overlap with anything else:
/// l4_row_attention_scratch_bytes((token_end - token_begin) * group, head_dim).
/// A row's result depends on its query and on what it sees alone, not on the tokens of the call.
#define L4_CROSS_ATTENTION_PARAMETERS                                                              \
  (float *out, int64_t out_stride, const float *q, int64_t q_stride, const float *k,               \
   const float *v, int64_t kv_stride, const int32_t *first, const int32_t *count,                  \
   const int32_t *tiles, int64_t token_begin, int64_t token_end, int64_t groups,                   \
   int64_t group_rows, int64_t group, int64_t head_dim, float scale, void *scratch)

/// The choice of experts (slots, group order and tiles: KernelAbi.h). `logits` has a row of
/// `experts` floats for each token, `logits_stride` floats apart. A token chooses the `top` (1 <=
/// top <= experts) largest logits in descending order, of equal ones the lowest expert first; NaN
/// counts as -infinity. The four results have tokens * top rows, `row_stride` bytes apart:
///   token_rows[p]  token of the p-th slot in group order
///   scores[p]      sigmoid of its logit: relative error below 5e-7, 0 where the logit is below
///   -87.3 places[slot]   the slot's p tiles[i]       an l4_group_tile of at most `tile_rows` (>=
///   1) rows
/// `counts` is scratch of 2 * experts numbers. tokens * top must be below 2^31.
#define L4_GROUP_PARAMETERS                                                                        \
  (const float *logits, int64_t logits_stride, int64_t tokens, int64_t experts, int64_t top,       \
   int64_t tile_rows, int32_t *token_rows, float *scores, int32_t *places, int32_t *tiles,         \
   int64_t row_stride, int32_t *counts)

extern "C" {
#define L4_LINEAR(symbol, activation, encoding, k_multiple)                                        \
  void L4_CORE(symbol) L4_LINEAR_PARAMETERS;
#define L4_DECODE_ROW(symbol, encoding) void L4_CORE(symbol) L4_DECODE_ROW_PARAMETERS;
#define L4_ATTENTION(symbol, kv_type) void L4_CORE(symbol) L4_ATTENTION_PARAMETERS;
#define L4_SPLIT_ATTENTION(symbol, kv_type) int32_t L4_CORE(symbol) L4_SPLIT_ATTENTION_PARAMETERS;
#define L4_UNIT_ATTENTION(symbol, row_type) void L4_CORE(symbol) L4_UNIT_ATTENTION_PARAMETERS;
#define L4_CROSS_ATTENTION(symbol) void L4_CORE(symbol) L4_CROSS_ATTENTION_PARAMETERS;
#define L4_GROUP(symbol) void L4_CORE(symbol) L4_GROUP_PARAMETERS;
#include "compiler/microkernels/Table.def"
}

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_CORES_H
