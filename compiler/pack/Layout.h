//===- Layout.h - how weights lie in a program file --------------*- C++ -*-===//
//
// A packed weight [rows][cols] is a sequence of panels of 16 rows, the last one padded with zero
// rows. A panel is what one call of a contraction core reads, from its first byte to its last:
//   float32   float [cols][16]
//   bfloat16  uint16 [ceil(cols / 2)][16][2], zero beyond cols
//   q8_0      per two blocks of 32 columns: d float16 [2][16] | uint8 q + 128 [2][8][16][4], where
//             element (g, row, j) is column 4g + j; the last pair may lack its second block
//   q4_1      per block: uint8 [4][16][4] | d float16 [16] | m float16 [16]; byte (g, row, j) holds
//             column 4g + j in its low and column 16 + 4g + j in its high half. These 256 bytes
//             are called the nibbles of 32 columns below.
//   q4_0      as q8_0, two blocks at a time: d float16 [2][16] | nibbles of both blocks, q + 8
//   q5_0      as q8_0: d float16 [2][16] | for both blocks: uint32 [16], bit 8j + g of which is the
//             fifth bit of q + 16 of column 4g + j | nibbles, the low bits
//   q4_k      per superblock of 256 columns, in parts of 32: d float16 [16] | dmin float16 [16] |
//             uint8 [8 parts][16], 6 bits of scale and above them the top 2 bits of the minimum |
//             uint8 [4][16], the low 4 bits of the minima of parts 2i and 2i + 1 | nibbles of the
//             8 parts
//   q6_k      per two superblocks: d float16 [2][16] | for both, per 64 columns: int8 scale
//   [4][16],
//             one for 16 columns | per such 16 columns: uint8 [16][4], byte (row, j) of which holds
//             the top two bits of q + 32 of column 4p + j in its bits 2p and 2p + 1 | uint8
//             [2][16][4], byte (i, row, j) of which holds the low bits of column 8i + j and above
//             them those of column 8i + 4 + j; the last pair may lack its second superblock
//   int4_g128 per up to eight groups of 128 columns: d float16 [8][16] | zero points uint8 [4][16],
//             that of group 2i in the low half of byte (i, row), that of group 2i + 1 in its high
//             half | for each group the nibbles of four times 32 columns. The last unit has room
//             for the scales of eight groups, too.
// Panels start at multiples of 64 bytes and are zero padded. Every bit of the source is kept: 8.5
// bits per weight for q8_0, 5 for q4_1, 4.5 for q4_0 and q4_k, 5.5 for q5_0, 6.5625 for q6_k,
// 4.15625 for int4_g128. The vectors that a core reads start at multiples of 64 bytes, which is why
// blocks whose bytes times 16 are no multiple of 64 go in pairs. Quantized weights need cols to be
// a multiple of 32, int4_g128 of 128, q4_k and q6_k of 256.
//
// Scales stand beside the quants they scale, not in planes of their own at the end of the panel:
// one token reads weights at the full speed of memory only if they are a single ascending stream.
// For the same reason the parts of a quant that lie apart stand in the order in which a core reads
// them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_LAYOUT_H
#define LLAMA4_COMPILER_PACK_LAYOUT_H

#include "compiler/microkernels/Microkernels.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4::pack {

using microkernels::Encoding;
using microkernels::kPanelRows;

/// Bytes of `cols` columns of one row in source form: float32, bfloat16 or GGUF blocks; int4_g128
/// has blocks {d float16, zero point uint8 from 0 to 15, four times 16 bytes of nibbles}, of which
/// byte i holds columns i and 16 + i of 32.
/// `cols` is a multiple of the encoding's block.
uint64_t sourceRowBytes(Encoding encoding, int64_t cols);

/// Bytes of one panel.
uint64_t panelBytes(Encoding encoding, int64_t cols);

/// Bytes of a packed weight. The sizes come from a checked graph: rows * cols * 4 must fit 2^63.
uint64_t packedBytes(Encoding encoding, int64_t rows, int64_t cols);

/// Packs `rows` (1 .. 16) consecutive source rows into one panel. `source` holds exactly rows *
/// sourceRowBytes bytes at any alignment, `out` exactly panelBytes; all of it is written.
void packPanel(Encoding encoding, std::span<const std::byte> source, int64_t rows, int64_t cols,
               std::span<std::byte> out);

/// Packs a whole weight, panel by panel; sizes as above.
void packWeight(Encoding encoding, std::span<const std::byte> source, int64_t rows, int64_t cols,
                std::span<std::byte> out);

/// The inverse, for tests and tools: source bytes of row `row` of a packed weight.
void unpackRow(Encoding encoding, std::span<const std::byte> packed, int64_t row, int64_t cols,
               std::span<std::byte> source);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_LAYOUT_H
