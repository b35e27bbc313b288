//===- BlockOrder.cpp - rearranging the bits of blocks --------------------===//
#include "compiler/pack/BlockOrder.h"

#include <array>
#include <cassert>
#include <cstring>

namespace llama4::pack {
namespace {

using microkernels::Encoding;

/// The quants of 256 columns, one a byte.
using Quants = std::array<uint8_t, 256>;

template <typename Int> uint8_t byteOf(Int value) { return static_cast<uint8_t>(value); }

/// q5_0's 32 fifth bits: bit 4g + j of one order is bit 8j + g of the other.
void reorderQ5_0(uint8_t *block, bool toPanel) {
  uint32_t from = 0, to = 0;
  std::memcpy(&from, block + 2, 4);
  for (unsigned column = 0; column < 32; ++column) {
    const unsigned place = column % 4 * 8 + column / 4;
    to |= ((from >> (toPanel ? column : place)) & 1u) << (toPanel ? place : column);
  }
  std::memcpy(block + 2, &to, 4);
}

/// Nibbles with `Columns` low ones, then as many high ones in the same bytes: 32 in GGUF's q4_k, 64
/// in its q6_k; 16 and 4 in a panel.
template <unsigned Columns> void readNibbles(const uint8_t *bytes, Quants &quants) {
  for (unsigned at = 0; at < 256; at += 2 * Columns, bytes += Columns)
    for (unsigned i = 0; i < Columns; ++i) {
      quants[at + i] = bytes[i] & 15;
      quants[at + Columns + i] = bytes[i] >> 4;
    }
}

/// Quants of four bits.
template <unsigned Columns> void writeNibbles(uint8_t *bytes, const Quants &quants) {
  for (unsigned at = 0; at < 256; at += 2 * Columns, bytes += Columns)
    for (unsigned i = 0; i < Columns; ++i)
      bytes[i] = byteOf(quants[at + i] | quants[at + Columns + i] << 4);
}

/// From runs of `From` columns to runs of `To`.
template <unsigned From, unsigned To> void reorderNibbles(uint8_t *bytes) {
  Quants quants;
  readNibbles<From>(bytes, quants);
  writeNibbles<To>(bytes, quants);
}

/// Six-bit scales and minima of the eight parts of a q4_k block.
struct SubScales {
  std::array<uint8_t, 8> scale, minimum;
};

SubScales readSourceScales(const uint8_t *bytes) {
  SubScales sub;
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned first = bytes[i], second = bytes[i + 4], both = bytes[i + 8];
    sub.scale[i] = byteOf(first & 63);
    sub.minimum[i] = byteOf(second & 63);
    sub.scale[i + 4] = byteOf((both & 15) | first >> 6 << 4);
    sub.minimum[i + 4] = byteOf(both >> 4 | second >> 6 << 4);
  }
  return sub;
}

void writeSourceScales(uint8_t *bytes, const SubScales &sub) {
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned scale = sub.scale[i + 4], minimum = sub.minimum[i + 4];
    bytes[i] = byteOf(sub.scale[i] | scale >> 4 << 6);
    bytes[i + 4] = byteOf(sub.minimum[i] | minimum >> 4 << 6);
    bytes[i + 8] = byteOf((scale & 15) | (minimum & 15) << 4);
  }
}

SubScales readPanelScales(const uint8_t *bytes) {
  SubScales sub;
  for (unsigned i = 0; i < 8; ++i) {
    sub.scale[i] = bytes[i] & 63;
    sub.minimum[i] = byteOf((bytes[8 + i / 2] >> (i % 2 * 4) & 15) | bytes[i] >> 6 << 4);
  }
  return sub;
}

void writePanelScales(uint8_t *bytes, const SubScales &sub) {
  for (unsigned i = 0; i < 8; ++i)
    bytes[i] = byteOf(sub.scale[i] | sub.minimum[i] >> 4 << 6);
  for (unsigned i = 0; i < 4; ++i)
    bytes[8 + i] = byteOf((sub.minimum[2 * i] & 15) | (sub.minimum[2 * i + 1] & 15) << 4);
}

void reorderQ4_K(uint8_t *block, bool toPanel) {
  if (toPanel) {
    reorderNibbles<32, 16>(block + 16);
    writePanelScales(block + 4, readSourceScales(block + 4));
  } else {
    reorderNibbles<16, 32>(block + 16);
    writeSourceScales(block + 4, readPanelScales(block + 4));
  }
}

/// Pairs of bits, four a byte: column i + Columns * j of a run has bits 2j and 2j + 1 of byte i.
/// Runs of 4 times 32 columns in GGUF's q6_k, of 4 times 4 in a panel.
template <unsigned Columns> void readPairs(const uint8_t *bytes, Quants &pairs) {
  for (unsigned at = 0; at < 256; at += 4 * Columns, bytes += Columns)
    for (unsigned j = 0; j < 4; ++j)
      for (unsigned i = 0; i < Columns; ++i)
        pairs[at + j * Columns + i] = bytes[i] >> (2 * j) & 3;
}

template <unsigned Columns> void writePairs(uint8_t *bytes, const Quants &pairs) {
  for (unsigned at = 0; at < 256; at += 4 * Columns, bytes += Columns)
    for (unsigned i = 0; i < Columns; ++i)
      bytes[i] = byteOf(pairs[at + i] | pairs[at + Columns + i] << 2 |
                        pairs[at + 2 * Columns + i] << 4 | pairs[at + 3 * Columns + i] << 6);
}

template <unsigned From, unsigned To> void reorderPairs(uint8_t *bytes) {
  Quants pairs;
  readPairs<From>(bytes, pairs);
  writePairs<To>(bytes, pairs);
}

void reorderQ6_K(uint8_t *block, bool toPanel) {
  if (toPanel) {
    reorderNibbles<64, 4>(block);
    reorderPairs<32, 4>(block + 128);
  } else {
    reorderNibbles<4, 64>(block);
    reorderPairs<4, 32>(block + 128);
  }
}

void reorder(Encoding encoding, std::span<std::byte> blocks, bool toPanel) {
  assert(isReordered(encoding));
  const auto size = static_cast<size_t>(microkernels::blockSize(encoding).bytes);
  assert(blocks.size() % size == 0);
  for (size_t at = 0; at < blocks.size(); at += size) {
    auto *block = reinterpret_cast<uint8_t *>(blocks.data() + at);
    if (encoding == Encoding::Q5_0)
      reorderQ5_0(block, toPanel);
    else if (encoding == Encoding::Q4_K)
      reorderQ4_K(block, toPanel);
    else
      reorderQ6_K(block, toPanel);
  }
}

} // namespace

bool isReordered(Encoding encoding) {
  return encoding == Encoding::Q5_0 || encoding == Encoding::Q4_K || encoding == Encoding::Q6_K;
}

void toPanelOrder(Encoding encoding, std::span<std::byte> blocks) {
  reorder(encoding, blocks, true);
}

void toSourceOrder(Encoding encoding, std::span<std::byte> blocks) {
  reorder(encoding, blocks, false);
}

} // namespace llama4::pack
