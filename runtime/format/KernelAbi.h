//===- KernelAbi.h - what a compiled kernel and the runtime agree on -*- C++ -*-===//
//
// Included by the runtime (C++), by the micro-kernels (freestanding C++) and, as constants, by the
// code generator. Append-only: a change of an existing field is a new major version of the file
// format. The same argument block is used on every device.
//
// A kernel is  void k(const l4_dispatch *, uint32_t tile_begin, uint32_t tile_end, void *scratch)
// and computes the tiles [tile_begin, tile_end) of the dispatch's grid. Tiles are independent of
// each other and of how they are distributed over threads: where they share memory (workspace among
// the bindings), none waits for another. `scratch` is private to the caller, 64 byte aligned, and
// as large as the kernel table says. A kernel allocates nothing, calls nothing and keeps no state.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_KERNELABI_H
#define LLAMA4_RUNTIME_FORMAT_KERNELABI_H

#include <stddef.h>
#include <stdint.h>

/// Tokens in one KV page.
#define L4_PAGE_TOKENS 16
/// Layer kinds (page tables) a program may have.
#define L4_MAX_KV_KINDS 4
/// Rows of every transient start at a multiple of this many bytes and are padded to it.
#define L4_ROW_ALIGN 64
/// Keys that attention reduces at once; blocks are aligned to absolute positions.
#define L4_ATTENTION_BLOCK 64

/// The step buffer: everything that changes from step to step. One per engine, filled before a step
/// and read-only while it runs.
typedef struct l4_step {
  uint32_t symbol;         ///< value of the entry's symbol (T tokens or R rows)
  uint32_t sequences;      ///< S, sequences of the step
  const int64_t *position; ///< [T] absolute position of each token, from 0
  const int32_t *sequence; ///< [T] index in [0, S) of the token's sequence; ascending
  const int32_t *start;    ///< [S + 1] first token of each sequence in the step
  const int64_t *length;   ///< [S] tokens in the KV cache after this step
  const int32_t *page_table[L4_MAX_KV_KINDS]; ///< per kind: [S][page_stride[kind]] page ids
  uint32_t page_stride[L4_MAX_KV_KINDS];      ///< entries in one row of the page table
} l4_step;

/// What a kernel is called with. `bindings` are base pointers in the order of the kernel's
/// signature: operands first, then results. A KV binding points at the pool of its layer:
/// page p starts at  pool + p * page_bytes  and is
///   float32   K [kv_head][head_dim][16 tokens], then V [kv_head][16 tokens][head_dim padded to 16]
///   bfloat16  K [kv_head][head_dim / 2][16 tokens][2], then
///             V [kv_head][8 pairs of tokens][head_dim padded to 16][2]
typedef struct l4_dispatch {
  void *const *bindings;
  const l4_step *step;
  const int64_t *constants; ///< the dispatch's own constants, null when it has none
  /// Tiles of the dispatch's whole grid, of which a call computes some. A kernel whose number of
  /// tiles is known only on the device (`real` of them, at most so many) takes instead of
  /// [tile_begin, tile_end) the tiles [tile_begin * real / tiles, tile_end * real / tiles).
  uint32_t tiles;
} l4_dispatch;

typedef void (*l4_kernel)(const l4_dispatch *, uint32_t tile_begin, uint32_t tile_end,
                          void *scratch);

/// One row of a `q8<32>` tensor (activations in 8 bits, blocks of 32 columns; nb = ceil(K / 32)):
///   int8 q[32 nb] | l4_q8_block[nb]   padded to 64 bytes
/// with scale = max|x| / 127, q = round-to-nearest-even(x * (127 / max|x|)), all zero where
/// max|x| is 0. What a block writes lies in two places only: rows are written block by block, many
/// rows at a time.
#define L4_Q8_BLOCK 32

typedef struct l4_q8_block {
  float scale;
  float scaled_sum; ///< scale times the sum of the block's q
  int32_t offset;   ///< -128 times that sum: where a dot product with quants + 128 starts
} l4_q8_block;

/// One row of a `q8<128>` tensor (the same with blocks of 128 columns, for weights whose scales
/// stand for as many, or that have whole numbers for scales; nb = ceil(K / 128)):
///   int8 q[128 nb] | l4_q8_wide_block[nb]   padded to 64 bytes
#define L4_Q8_WIDE_BLOCK 128

typedef struct l4_q8_wide_block {
  float scale;
  int32_t sum;          ///< of the block's q
  int16_t part_sums[4]; ///< of those of each 32 columns
} l4_q8_wide_block;

/// Rows of a mixture of experts that belong to one expert: what one tile of a grouped linear
/// computes. T tokens that choose K experts each make T * K slots; the slot of choice k of token t
/// is t * K + k. In group order the slots are sorted by expert, and by their number within one.
/// The tensor i32[T * K, 4] of descriptors (one in each row of 64 bytes) names tiles in ascending
/// order of expert, then of row; together they cover all T * K rows, each once. A tile has at least
/// one row, so that there is a descriptor for each; those that are left over have rows = 0.
typedef struct l4_group_tile {
  int32_t expert;    ///< in [0, E)
  int32_t first_row; ///< in group order
  int32_t rows;      ///< from 1 up to the rows of a tile; 0: nothing to compute
  int32_t count;     ///< tiles that have rows; the same number in every descriptor
} l4_group_tile;

#endif // LLAMA4_RUNTIME_FORMAT_KERNELABI_H
