//===- Layout.cpp - packing of weight panels and its inverse --------------===//
//
// Each layout is written once, as a visitor of (offset in the source row, offset in the panel)
// pairs of equal bytes; packing and unpacking walk the same pairs. Rows of encodings that keep
// their bits in an order of their own are rearranged before and after (BlockOrder.h).
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/Layout.h"

#include "compiler/pack/BlockOrder.h"

#include <cassert>
#include <cstring>
#include <vector>

namespace llama4::pack {
namespace {

// Columns of a block, and its bytes in the source.
constexpr int64_t kBlock = 32;
constexpr int64_t kSuper = 256;
constexpr int64_t kQ8Block = 34;
constexpr int64_t kQ4Block = 20;
/// Panel bytes of two q8_0 blocks, and of the scales in front of them; of one q4_1 block.
constexpr int64_t kQ8Pair = 2 * kQ8Block * kPanelRows;
constexpr int64_t kQ8Scales = 2 * 2 * kPanelRows;
constexpr int64_t kQ4Panel = kQ4Block * kPanelRows;
/// Stored quants of q8_0 are unsigned: q + 128, which is q with its highest bit flipped.
constexpr std::byte kQ8Bias{0x80};

/// Where the 512 quants of q8_0 block `b` start in a panel.
int64_t q8Quants(int64_t b) { return b / 2 * kQ8Pair + kQ8Scales + b % 2 * kBlock * kPanelRows; }

template <typename Move> void visitFloat32(int64_t row, int64_t cols, Move move) {
  for (int64_t k = 0; k < cols; ++k)
    move(k * 4, (k * kPanelRows + row) * 4, 4);
}

template <typename Move> void visitBFloat16(int64_t row, int64_t cols, Move move) {
  for (int64_t k = 0; k < cols; ++k)
    move(k * 2, ((k / 2 * kPanelRows + row) * 2 + k % 2) * 2, 2);
}

/// Source block: d float16, int8 q[32].
template <typename Move> void visitQ8_0(int64_t row, int64_t cols, Move move) {
  for (int64_t b = 0; b < cols / kBlock; ++b) {
    move(b * kQ8Block, b / 2 * kQ8Pair + (b % 2 * kPanelRows + row) * 2, 2);
    for (int64_t g = 0; g < 8; ++g)
      move(b * kQ8Block + 2 + g * 4, q8Quants(b) + (g * kPanelRows + row) * 4, 4);
  }
}

/// Source block: d float16, m float16, 16 bytes: byte i holds column i low and column 16 + i high,
/// which is the panel's order too.
template <typename Move> void visitQ4_1(int64_t row, int64_t cols, Move move) {
  for (int64_t b = 0; b < cols / kBlock; ++b) {
    const int64_t scales = b * kQ4Panel + 16 * kPanelRows;
    move(b * kQ4Block, scales + row * 2, 2);
    move(b * kQ4Block + 2, scales + (kPanelRows + row) * 2, 2);
    for (int64_t g = 0; g < 4; ++g)
      move(b * kQ4Block + 4 + g * 4, b * kQ4Panel + (g * kPanelRows + row) * 4, 4);
  }
}

/// Two blocks at a time, as in q8_0: d float16 [2][16], then the bodies of both. `source` are the
/// bytes of a block in the source, d first.
struct Paired {
  int64_t source;
  int64_t scales(int64_t b, int64_t row) const {
    return b / 2 * 2 * source * kPanelRows + (b % 2 * kPanelRows + row) * 2;
  }
  int64_t body(int64_t b) const {
    return (b / 2 * 2 * source + 4 + b % 2 * (source - 2)) * kPanelRows;
  }
};

/// Moves the 16 bytes of nibbles of 32 columns to [4][16 rows][4] at `to`.
template <typename Move> void visitNibbles(int64_t row, int64_t from, int64_t to, Move move) {
  for (int64_t g = 0; g < 4; ++g)
    move(from + g * 4, to + (g * kPanelRows + row) * 4, 4);
}

/// Source block: d float16, 16 bytes of nibbles.
template <typename Move> void visitQ4_0(int64_t row, int64_t cols, Move move) {
  constexpr Paired pairs{18};
  for (int64_t b = 0; b < cols / kBlock; ++b) {
    move(b * 18, pairs.scales(b, row), 2);
    visitNibbles(row, b * 18 + 2, pairs.body(b), move);
  }
}

/// Block: d float16, high bits uint32, 16 bytes of nibbles.
template <typename Move> void visitQ5_0(int64_t row, int64_t cols, Move move) {
  constexpr Paired pairs{22};
  for (int64_t b = 0; b < cols / kBlock; ++b) {
    move(b * 22, pairs.scales(b, row), 2);
    move(b * 22 + 2, pairs.body(b) + row * 4, 4);
    visitNibbles(row, b * 22 + 6, pairs.body(b) + 64, move);
  }
}

/// Block: d float16, dmin float16, 8 + 4 bytes of scales, 8 times 16 bytes of nibbles.
template <typename Move> void visitQ4_K(int64_t row, int64_t cols, Move move) {
  for (int64_t b = 0; b < cols / kSuper; ++b) {
    const int64_t from = b * 144, to = b * 144 * kPanelRows;
    move(from, to + row * 2, 2);
    move(from + 2, to + (kPanelRows + row) * 2, 2);
    for (int64_t i = 0; i < 12; ++i)
      move(from + 4 + i, to + (4 + i) * kPanelRows + row, 1);
    for (int64_t part = 0; part < 8; ++part)
      visitNibbles(row, from + 16 + part * 16, to + (16 + part * 16) * kPanelRows, move);
  }
}

/// Block: 16 times 8 bytes of nibbles, 16 times 4 bytes of pairs of bits, 16 scales, d float16.
template <typename Move> void visitQ6_K(int64_t row, int64_t cols, Move move) {
  constexpr Paired pairs{210};
  for (int64_t b = 0; b < cols / kSuper; ++b) {
    const int64_t from = b * 210;
    move(from + 208, pairs.scales(b, row), 2);
    for (int64_t part = 0; part < 16; ++part) {
      const int64_t unit = pairs.body(b) + part / 4 * 52 * kPanelRows;
      const int64_t quants = unit + (4 + part % 4 * 12) * kPanelRows + row * 4;
      move(from + 192 + part, unit + part % 4 * kPanelRows + row, 1);
      move(from + 128 + part * 4, quants, 4);
      move(from + part * 8, quants + 4 * kPanelRows, 4);
      move(from + part * 8 + 4, quants + 8 * kPanelRows, 4);
    }
  }
}

// Units of groups of int4_g128: bytes in the source, in a panel, and of the scales and zero points.
constexpr int64_t kGroup = 128, kGroupBlock = 67, kUnitGroups = 8;
constexpr int64_t kGroupBody = kGroup / 2 * kPanelRows;
constexpr int64_t kUnitZeros = kUnitGroups * kPanelRows * 2;
constexpr int64_t kUnitHead = kUnitZeros + kUnitGroups / 2 * kPanelRows;

/// Where the unit of group `g` starts in a panel.
constexpr int64_t groupUnit(int64_t g) {
  return g / kUnitGroups * (kUnitHead + kUnitGroups * kGroupBody);
}

/// Block: d float16, zero point, four times 16 bytes of nibbles. Zero points are half a byte in a
/// panel: visitZeroPoints.
template <typename Move> void visitInt4_G128(int64_t row, int64_t cols, Move move) {
  for (int64_t g = 0; g < cols / kGroup; ++g) {
    const int64_t unit = groupUnit(g), place = g % kUnitGroups;
    move(g * kGroupBlock, unit + (place * kPanelRows + row) * 2, 2);
    for (int64_t part = 0; part < 4; ++part)
      visitNibbles(row, g * kGroupBlock + 3 + part * 16,
                   unit + kUnitHead + place * kGroupBody + part * 16 * kPanelRows, move);
  }
}

/// Calls move(source offset, panel offset, bits to shift) for the zero points of a row.
template <typename Move> void visitZeroPoints(int64_t row, int64_t cols, Move move) {
  for (int64_t g = 0; g < cols / kGroup; ++g)
    move(g * kGroupBlock + 2, groupUnit(g) + kUnitZeros + g % kUnitGroups / 2 * kPanelRows + row,
         static_cast<unsigned>(g % 2 * 4));
}

/// Calls move(source offset, panel offset, bytes) for all of row `row` of a panel.
template <typename Move> void visitRow(Encoding encoding, int64_t row, int64_t cols, Move move) {
  switch (encoding) {
  case Encoding::Float32:
    return visitFloat32(row, cols, move);
  case Encoding::BFloat16:
    return visitBFloat16(row, cols, move);
  case Encoding::Q8_0:
    return visitQ8_0(row, cols, move);
  case Encoding::Q4_1:
    return visitQ4_1(row, cols, move);
  case Encoding::Q4_0:
    return visitQ4_0(row, cols, move);
  case Encoding::Q5_0:
    return visitQ5_0(row, cols, move);
  case Encoding::Q4_K:
    return visitQ4_K(row, cols, move);
  case Encoding::Q6_K:
    return visitQ6_K(row, cols, move);
  case Encoding::Int4_G128:
    return visitInt4_G128(row, cols, move);
  }
}

/// Flips quants between signed and stored form.
void flipQ8(std::span<std::byte> quants) {
  for (std::byte &quant : quants)
    quant ^= kQ8Bias;
}

} // namespace

uint64_t sourceRowBytes(Encoding encoding, int64_t cols) {
  const microkernels::BlockSize block = microkernels::blockSize(encoding);
  assert(cols % block.columns == 0);
  return static_cast<uint64_t>(cols / block.columns * block.bytes);
}

uint64_t panelBytes(Encoding encoding, int64_t cols) {
  if (encoding == Encoding::Int4_G128) {
    assert(cols % kGroup == 0);
    const int64_t groups = cols / kGroup, units = (groups + kUnitGroups - 1) / kUnitGroups;
    return static_cast<uint64_t>(groups * kGroupBody + units * kUnitHead);
  }
  const int64_t padded = encoding == Encoding::BFloat16 ? (cols + 1) / 2 * 2 : cols;
  const uint64_t bytes = sourceRowBytes(encoding, padded) * static_cast<uint64_t>(kPanelRows);
  return (bytes + 63) / 64 * 64;
}

uint64_t packedBytes(Encoding encoding, int64_t rows, int64_t cols) {
  const int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
  return static_cast<uint64_t>(panels) * panelBytes(encoding, cols);
}

void packPanel(Encoding encoding, std::span<const std::byte> source, int64_t rows, int64_t cols,
               std::span<std::byte> out) {
  const uint64_t rowBytes = sourceRowBytes(encoding, cols);
  assert(rows >= 1 && rows <= kPanelRows);
  assert(source.size() == static_cast<uint64_t>(rows) * rowBytes);
  assert(out.size() == panelBytes(encoding, cols));
  std::memset(out.data(), 0, out.size());
  std::vector<std::byte> reordered(isReordered(encoding) ? rowBytes : 0);
  for (int64_t row = 0; row < rows; ++row) {
    const std::byte *from = source.data() + static_cast<uint64_t>(row) * rowBytes;
    if (!reordered.empty()) {
      std::memcpy(reordered.data(), from, rowBytes);
      toPanelOrder(encoding, reordered);
      from = reordered.data();
    }
    visitRow(encoding, row, cols, [&](int64_t in, int64_t at, size_t bytes) {
      std::memcpy(out.data() + at, from + in, bytes);
    });
    if (encoding == Encoding::Int4_G128)
      visitZeroPoints(row, cols, [&](int64_t in, int64_t at, unsigned shift) {
        out[static_cast<size_t>(at)] |= (from[in] & std::byte{15}) << shift;
      });
  }
  if (encoding == Encoding::Q8_0)
    for (int64_t b = 0; b < cols / kBlock; ++b)
      flipQ8(out.subspan(static_cast<size_t>(q8Quants(b)), kBlock * kPanelRows));
}

void packWeight(Encoding encoding, std::span<const std::byte> source, int64_t rows, int64_t cols,
                std::span<std::byte> out) {
  const uint64_t rowBytes = sourceRowBytes(encoding, cols);
  const uint64_t panel = panelBytes(encoding, cols);
  assert(out.size() == packedBytes(encoding, rows, cols));
  for (int64_t row = 0; row < rows; row += kPanelRows) {
    const int64_t count = rows - row < kPanelRows ? rows - row : kPanelRows;
    packPanel(encoding,
              source.subspan(static_cast<uint64_t>(row) * rowBytes,
                             static_cast<uint64_t>(count) * rowBytes),
              count, cols, out.subspan(static_cast<uint64_t>(row / kPanelRows) * panel, panel));
  }
}

void unpackRow(Encoding encoding, std::span<const std::byte> packed, int64_t row, int64_t cols,
               std::span<std::byte> source) {
  assert(source.size() == sourceRowBytes(encoding, cols));
  const uint64_t panel = panelBytes(encoding, cols);
  const std::span<const std::byte> from =
      packed.subspan(static_cast<uint64_t>(row / kPanelRows) * panel, panel);
  visitRow(encoding, row % kPanelRows, cols, [&](int64_t in, int64_t at, size_t bytes) {
    std::memcpy(source.data() + in, from.data() + at, bytes);
  });
  if (encoding == Encoding::Int4_G128)
    visitZeroPoints(row % kPanelRows, cols, [&](int64_t in, int64_t at, unsigned shift) {
      source[static_cast<size_t>(in)] = (from[static_cast<size_t>(at)] >> shift) & std::byte{15};
    });
  if (encoding == Encoding::Q8_0)
    for (int64_t b = 0; b < cols / kBlock; ++b)
      flipQ8(source.subspan(static_cast<size_t>(b * kQ8Block + 2), kBlock));
  if (isReordered(encoding))
    toSourceOrder(encoding, source);
}

} // namespace llama4::pack
