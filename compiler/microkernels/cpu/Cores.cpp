//===- Cores.cpp - every core of Table.def, for one CPU level -------------===//
//
// The only source of the micro-kernels' bitcode: freestanding, no calls, no globals. The level is
// what the compiler's flags say.
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/cpu/Cores.h"

#include "compiler/microkernels/cpu/Attention.h"
#include "compiler/microkernels/cpu/Group.h"
#include "compiler/microkernels/cpu/LinearTiles.h"
#include "compiler/microkernels/cpu/RowAttention.h"

extern "C" {

#define L4_LINEAR(symbol, activation, encoding, k_multiple)                                        \
  void L4_CORE(symbol) L4_LINEAR_PARAMETERS {                                                      \
    linearOfLevel<activation, encoding>(out, out_stride, act, act_stride, panel, m, k);            \
  }

#define L4_DECODE_ROW(symbol, encoding)                                                            \
  void L4_CORE(symbol) L4_DECODE_ROW_PARAMETERS { decodeRow<encoding>(out, weights, row, k); }

#define L4_ATTENTION(symbol, kv_type)                                                              \
  void L4_CORE(symbol) L4_ATTENTION_PARAMETERS {                                                   \
    attention<Kv##kv_type>({out, out_stride, q, q_stride, step, kind, pool, kv_head, kv_heads,     \
                            group, head_dim, chunk, scale},                                        \
                           token_begin, token_end, scratch);                                       \
  }

#define L4_SPLIT_ATTENTION(symbol, kv_type)                                                        \
  int32_t L4_CORE(symbol) L4_SPLIT_ATTENTION_PARAMETERS {                                          \
    return attendPart<Kv##kv_type>(                                                                \
        {out, 0, q, q_stride, step, kind, pool, kv_head, kv_heads, group, head_dim, chunk, scale}, \
        token, tile, {parts, group, l4_padded_head(head_dim), l4_part_floats(group, head_dim)},    \
        counter, scratch);                                                                         \
  }

#define L4_UNIT_ATTENTION(symbol, row_type)                                                        \
  void L4_CORE(symbol) L4_UNIT_ATTENTION_PARAMETERS {                                              \
    using Element = const Kv##row_type::Element *;                                                 \
    unitAttention<Kv##row_type>({out, out_stride, static_cast<Element>(q), stride,                 \
                                 static_cast<Element>(k), static_cast<Element>(v), stride,         \
                                 head_dim, scale, scratch},                                        \
                                row_begin, row_end, {rows / groups, rows, real, pictures});        \
  }

#define L4_CROSS_ATTENTION(symbol)                                                                 \
  void L4_CORE(symbol) L4_CROSS_ATTENTION_PARAMETERS {                                             \
    crossAttention({out, out_stride, q, q_stride, k, v, kv_stride, head_dim, scale, scratch},      \
                   {first, count, tiles, groups * group_rows, group_rows}, token_begin, token_end, \
                   group);                                                                         \
  }

#define L4_GROUP(symbol)                                                                           \
  void L4_CORE(symbol) L4_GROUP_PARAMETERS {                                                       \
    groupByExpert({logits, logits_stride, tokens, experts, top, tile_rows, token_rows, scores,     \
                   places, tiles, row_stride, counts});                                            \
  }

#include "compiler/microkernels/Table.def"
}
