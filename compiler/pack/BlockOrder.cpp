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

/// Nibbles with `columns` low ones, then as many high ones in the same bytes: 32 in GGUF's q4_k, 64
/// in its q6_k; 16 and 4 in a panel.
void readNibbles(const uint8_t *bytes, unsigned columns, Quants &quants) {
  for (unsigned i = 0; i < 256; ++i)
    quants[i] = bytes[i / (2 * columns) * columns + i % columns] >> (i / columns % 2 * 4) & 15;
}

void writeNibbles(uint8_t *bytes, unsigned columns, const Quants &quants) {
  for (unsigned i = 0; i < 256; ++i)
    if (i / columns % 2 == 0)
      bytes[i / (2 * columns) * columns + i % columns] =
          byteOf((quants[i] & 15u) | (quants[i + columns] & 15u) << 4);
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
  Quants quants;
  readNibbles(block + 16, toPanel ? 32 : 16, quants);
  writeNibbles(block + 16, toPanel ? 16 : 32, quants);
  if (toPanel)
    writePanelScales(block + 4, readSourceScales(block + 4));
  else
    writeSourceScales(block + 4, readPanelScales(block + 4));
}

/// Where the top two bits of column `i` of a q6_k block lie.
struct Place {
  unsigned byte, shift;
};
Place sourcePlace(unsigned i) { return {i / 128 * 32 + i % 32, i % 128 / 32 * 2}; }
Place panelPlace(unsigned i) { return {i / 16 * 4 + i % 4, i % 16 / 4 * 2}; }

void reorderQ6_K(uint8_t *block, bool toPanel) {
  Quants quants;
  readNibbles(block, toPanel ? 64 : 4, quants);
  writeNibbles(block, toPanel ? 4 : 64, quants);
  std::array<uint8_t, 64> pairs = {};
  for (unsigned i = 0; i < 256; ++i) {
    const Place from = toPanel ? sourcePlace(i) : panelPlace(i);
    const Place to = toPanel ? panelPlace(i) : sourcePlace(i);
    const unsigned pair = block[128 + from.byte] >> from.shift & 3;
    pairs[to.byte] = byteOf(pairs[to.byte] | pair << to.shift);
  }
  std::memcpy(block + 128, pairs.data(), pairs.size());
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
