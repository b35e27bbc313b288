//===- EncodingsG.h - integers with one scale for 128 columns ----*- C++ -*-===//
//
// Groups of 128 columns with a scale and a zero point. To float cores they are blocks of 32 columns
// like the others (Encodings.h). The 8-bit core (LinearG.h) takes a whole group at a time:
//   Group(panel, g)        the group's scales and zero points; 16 rows
//   d(half)                scales of the rows of one vector
//   zeroPoint(half)        what is subtracted from their stored quants, in 32-bit lanes, below 2^15
//   prefetchAt(distance)   as that of a Block
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSG_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSG_H

#include "compiler/microkernels/cpu/Encodings.h"

namespace {

/// Up to eight groups at a time: d float16 [8][16 rows] | zero points uint8 [4][16], that of group
/// 2i in the low half of byte (i, row) and that of group 2i + 1 in its high half | for each group
/// the nibbles of four times 32 columns.
struct Int4_G128 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kQuantBits = 4;
  static constexpr int kGroup = 128, kUnitGroups = 8, kGroupBlocks = kGroup / kBlock;
  static constexpr int64_t kZeroPoints = kUnitGroups * kPanel * 2,
                           kHeadBytes = kZeroPoints + kUnitGroups / 2 * kPanel,
                           kBodyBytes = kGroup / 2 * kPanel;
  static L4_MEMBER int64_t panelBytes(int64_t k) {
    const int64_t groups = k / kGroup;
    return groups * kBodyBytes + (groups + kUnitGroups - 1) / kUnitGroups * kHeadBytes;
  }

  struct Group {
    const uint8_t *head, *nibbles;
    int place;
    L4_MEMBER Group(const void *panel, int64_t g)
        : head(static_cast<const uint8_t *>(panel) +
               g / kUnitGroups * (kHeadBytes + kUnitGroups * kBodyBytes)),
          nibbles(head + kHeadBytes + g % kUnitGroups * kBodyBytes),
          place(static_cast<int>(g % kUnitGroups)) {}
    L4_MEMBER F d(int half) const {
      return loadHalf(reinterpret_cast<const uint16_t *>(head) + place * kPanel + half * kLanes);
    }
    L4_MEMBER I zeroPoint(int half) const {
      const I pair = loadBytes(head + kZeroPoints + place / 2 * kPanel + half * kLanes);
      return andInt(shiftRightBy(pair, place % 2 * 4), splatInt(15));
    }
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < kBodyBytes / 64; ++line)
        prefetch(nibbles + distance + line * 64);
      prefetch(head + distance + place * kPanel * 2);
      if (place == 0)
        prefetch(head + distance + kZeroPoints);
    }
  };

  struct Block {
    Group group_;
    const uint8_t *nibbles;
    L4_MEMBER Block(const void *panel, int64_t b)
        : group_(panel, b / kGroupBlocks),
          nibbles(group_.nibbles + b % kGroupBlocks * (kBodyBytes / kGroupBlocks)) {}
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < kBodyBytes / kGroupBlocks / 64; ++line)
        prefetch(nibbles + distance + line * 64);
      prefetch(group_.head + distance + group_.place * kPanel * 2);
    }
    L4_MEMBER I quantGroup(int g, int half) const { return nibbleGroup(nibbles, g, half); }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      const I raw = quantGroup(g, half), zeroPoint = group_.zeroPoint(half), byte = splatInt(255);
      const F d = group_.d(half);
      w[0] = mul(d, toFloat(subInt(andInt(raw, byte), zeroPoint)));
      w[1] = mul(d, toFloat(subInt(andInt(shiftRight<8>(raw), byte), zeroPoint)));
      w[2] = mul(d, toFloat(subInt(andInt(shiftRight<16>(raw), byte), zeroPoint)));
      w[3] = mul(d, toFloat(subInt(shiftRight<24>(raw), zeroPoint)));
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / kBlock);
    const Group &group = block.group_;
    const uint16_t *scales = reinterpret_cast<const uint16_t *>(group.head) + group.place * kPanel;
    const int pair = group.head[kZeroPoints + group.place / 2 * kPanel + row];
    const int zeroPoint = pair >> (group.place % 2 * 4) & 15;
    return halfToFloat(scales[row]) *
           static_cast<float>(nibbleElement(block.nibbles, row, k % kBlock) - zeroPoint);
  }
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSG_H
