//===- BlockOrder.h - bits inside a block, as the cores want them -*- C++ -*-===//
//
// Blocks of some encodings keep parts of their quants or scales in an order that costs the cores
// operations. They are rearranged inside their own bytes, bit by bit and without loss, before their
// bytes are dealt out to a panel (Layout.h), and back after they were collected.
//
// The panel's order, per block:
//   q5_0  d | uint32: bit 8j + g is the fifth bit of column 4g + j | 16 bytes of nibbles
//   q4_k  d | dmin | 8 bytes: 6 bits of scale, above them the top 2 bits of the minimum | 4 bytes:
//         the low 4 bits of the minima of parts 2i and 2i + 1 | per part 16 bytes of nibbles
//   q6_k  per 16 columns 8 bytes: byte 4i + j holds the low bits of column 8i + j in its low and of
//         column 8i + 4 + j in its high half | per 16 columns 4 bytes: byte j holds the top bits of
//         column 4p + j in its bits 2p and 2p + 1 | 16 scales | d
// Nibbles of 32 columns: byte i holds column i in its low and column 16 + i in its high half.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_BLOCKORDER_H
#define LLAMA4_COMPILER_PACK_BLOCKORDER_H

#include "compiler/microkernels/Microkernels.h"

#include <cstddef>
#include <span>

namespace llama4::pack {

/// True for the encodings whose blocks are rearranged; the functions below take no others.
bool isReordered(microkernels::Encoding encoding);

/// Rearranges whole blocks in place, from GGUF's order to the panel's.
void toPanelOrder(microkernels::Encoding encoding, std::span<std::byte> blocks);

/// The inverse.
void toSourceOrder(microkernels::Encoding encoding, std::span<std::byte> blocks);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_BLOCKORDER_H
