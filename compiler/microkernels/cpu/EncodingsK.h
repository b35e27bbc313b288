//===- EncodingsK.h - encodings with scales inside superblocks ---*- C++ -*-===//
//
// Superblocks of 256 columns whose parts have small integer scales of their own. To the float cores
// they are blocks of 32 columns like the others (Encodings.h), whose scales take a few more
// operations to read. The 8-bit core (LinearK.h) takes a superblock at a time:
//   Super(panel, s)        where the superblock's scales lie; 16 rows
//   kPartColumns           columns that share a small scale
//   d(half)                scales of the rows of one vector
//   scale(part, half)      small scales of part `part`
//   kHasMinima             minusMin(half) times minima is added; minima(pair, half) are those of
//                          blocks 2 * pair (low) and 2 * pair + 1 (high), 16 bits each
//   kOffsetLog2            else: stored quants are q + 2^kOffsetLog2
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSK_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSK_H

#include "compiler/microkernels/cpu/Encodings.h"

namespace {

/// Blocks of 32 columns in a superblock.
constexpr int kSuperBlocks = 8;

/// One superblock, 2304 bytes: d float16 [16 rows] | dmin float16 [16] | scales [8][16] |
/// minima [4][16] | nibbles [8 blocks][4][16][4]. Byte b of the scales holds block b's scale below
/// and the top two bits of its minimum above; the minima's other four bits lie in pairs of blocks.
struct Q4_K {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kPartColumns = 32, kQuantBits = 4;
  static constexpr bool kHasMinima = true;
  static constexpr int64_t kSuperBytes = 2304, kScales = 64, kMinima = 192, kNibbles = 256;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return k / 256 * kSuperBytes; }

  struct Super {
    const uint8_t *base;
    L4_MEMBER Super(const void *panel, int64_t s)
        : base(static_cast<const uint8_t *>(panel) + s * kSuperBytes) {}
    L4_MEMBER F d(int half) const {
      return loadHalf(reinterpret_cast<const uint16_t *>(base) + half * kLanes);
    }
    L4_MEMBER F minusMin(int half) const {
      const auto *halves = reinterpret_cast<const uint16_t *>(base) + kPanel;
      return mul(loadHalf(halves + half * kLanes), splat(-1.0f));
    }
    L4_MEMBER I scaleByte(int b, int half) const {
      return loadBytes(base + kScales + b * kPanel + half * kLanes);
    }
    L4_MEMBER F scale(int b, int half) const {
      return toFloat(andInt(scaleByte(b, half), splatInt(63)));
    }
    L4_MEMBER I minima(int pair, int half) const {
      const I low = loadBytes(base + kMinima + pair * kPanel + half * kLanes);
      const I even = shiftRight<2>(scaleByte(2 * pair, half));
      const I odd = shiftLeft<14>(scaleByte(2 * pair + 1, half));
      return orInt(andInt(orInt(low, shiftLeft<12>(low)), splatInt(0x000f000f)),
                   andInt(orInt(even, odd), splatInt(0x00300030)));
    }
  };

  struct Block {
    Super super;
    const uint8_t *nibbles;
    int b;
    L4_MEMBER Block(const void *panel, int64_t block)
        : super(panel, block / kSuperBlocks),
          nibbles(super.base + kNibbles + block % kSuperBlocks * 256),
          b(static_cast<int>(block % kSuperBlocks)) {}
    L4_MEMBER F d(int half) const { return mul(super.d(half), super.scale(b, half)); }
    /// What is added, so minus the stored minimum.
    L4_MEMBER F m(int half) const {
      const I minimum = shiftRightBy(super.minima(b / 2, half), b % 2 * 16);
      return mul(super.minusMin(half), toFloat(andInt(minimum, splatInt(0xffff))));
    }
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 4; ++line)
        prefetch(nibbles + distance + line * 64);
      prefetch(super.base + b / 2 * 64 + distance);
    }
    L4_MEMBER I quantGroup(int g, int half) const { return nibbleGroup(nibbles, g, half); }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 0, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = add(mul(d(half), w[j]), m(half));
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / 32);
    const uint8_t *base = block.super.base;
    const uint16_t *halves = reinterpret_cast<const uint16_t *>(base);
    const int scale = base[kScales + block.b * kPanel + row];
    const int low = base[kMinima + block.b / 2 * kPanel + row] >> (block.b % 2 * 4) & 15;
    const float d = halfToFloat(halves[row]) * static_cast<float>(scale & 63);
    const float m = halfToFloat(halves[kPanel + row]) * static_cast<float>(low | scale >> 6 << 4);
    return d * static_cast<float>(nibbleElement(block.nibbles, row, k % 32)) - m;
  }
};

/// Two superblocks at a time (the last one may stand alone), 6720 bytes: d float16 [2][16 rows] |
/// two bodies. A body is four times 64 columns: int8 scales [4][16 rows], of 16 columns each, and
/// four times such 16 columns: pairs of bits [16][4], byte (row, j) of which holds the high bits of
/// q + 32 of column 4p + j in its bits 2p and 2p + 1 | nibbles [2][16][4], byte (i, row, j) of
/// which holds the low bits of column 8i + j and above them those of column 8i + 4 + j.
struct Q6_K {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kPartColumns = 16, kOffsetLog2 = 5, kQuantBits = 6;
  static constexpr bool kHasMinima = false;
  static constexpr int64_t kPartBytes = 192, kUnitBytes = 64 + 4 * kPartBytes,
                           kBodyBytes = 4 * kUnitBytes;
  static constexpr int64_t kPairBytes = 64 + 2 * kBodyBytes;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return panelAlign(k / 256 * 3360); }

  struct Super {
    const uint16_t *halves;
    const uint8_t *body;
    L4_MEMBER Super(const void *panel, int64_t s) {
      const uint8_t *pair = static_cast<const uint8_t *>(panel) + s / 2 * kPairBytes;
      halves = reinterpret_cast<const uint16_t *>(pair) + s % 2 * kPanel;
      body = pair + 64 + s % 2 * kBodyBytes;
    }
    L4_MEMBER F d(int half) const { return loadHalf(halves + half * kLanes); }
    L4_MEMBER F scale(int part, int half) const {
      const uint8_t *scales = body + part / 4 * kUnitBytes + part % 4 * kPanel;
      return toFloat(loadSignedBytes(scales + half * kLanes));
    }
  };

  struct Block {
    Super super;
    int64_t b;
    const uint8_t *scales, *quants;
    L4_MEMBER Block(const void *panel, int64_t block)
        : super(panel, block / kSuperBlocks), b(block % kSuperBlocks),
          scales(super.body + b / 2 * kUnitBytes + b % 2 * 2 * kPanel),
          quants(super.body + b / 2 * kUnitBytes + 64 + b % 2 * 2 * kPartBytes) {}
    /// The scale of columns 16 * part .. 16 * part + 15.
    L4_MEMBER F d(int part, int half) const {
      return mul(super.d(half), super.scale(static_cast<int>(b) * 2 + part, half));
    }
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 6; ++line)
        prefetch(quants + distance + line * 64);
      prefetch(scales + distance);
    }
    L4_MEMBER I quantGroup(int g, int half) const {
      const uint8_t *part = quants + g / 4 * kPartBytes + half * kLanes * 4;
      const int p = g % 4;
      const I pairs = loadInt(part);
      const I high = p <= 2 ? shiftLeftBy(pairs, 4 - 2 * p) : shiftRight<2>(pairs);
      const I raw = loadInt(part + 64 + p / 2 * 64);
      const I low = andInt(p % 2 == 0 ? raw : shiftRight<4>(raw), splatInt(0x0f0f0f0f));
      return orInt(low, andInt(high, splatInt(0x30303030)));
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 32, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = mul(d(g / 4, half), w[j]);
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / 32);
    const int64_t part = k % 32 / 16, column = k % 16;
    const uint8_t *at = block.quants + part * kPartBytes + row * 4 + column % 4;
    const int low = at[64 + column / 8 * 64] >> (column / 4 % 2 * 4) & 15;
    const int q = low | (at[0] >> (column / 4 * 2) & 3) << 4;
    const auto scale = static_cast<int8_t>(block.scales[part * kPanel + row]);
    return halfToFloat(block.super.halves[row]) * static_cast<float>(scale) *
           static_cast<float>(q - 32);
  }
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGSK_H
