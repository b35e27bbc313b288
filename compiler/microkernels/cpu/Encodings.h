//===- Encodings.h - how the cores read a panel of weights -------*- C++ -*-===//
//
// One struct per encoding of Table.def (layouts: compiler/pack/Layout.h):
//   kBlock                 columns that share a Block
//   Block(panel, b)        the block's scales, and where its quants lie; 16 rows
//   prefetchAt(distance)   asks for what lies `distance` bytes behind the block
//   d(half), m(half)       scales and minima of the rows of one vector
//   group(g, half, w)      columns 4g .. 4g + 3 of the block for the rows of one vector, as
//   float32,
//                          bit-equal to the checkpoint's dequantization
//   kOffsetLog2            block encodings: stored quants are q + 2^kOffsetLog2; -1: they are q,
//   and
//                          the block has minima
//   kQuantBits             block encodings: bits of a stored quant
//   quantGroup(g, half)    block encodings: the stored quants of columns 4g .. 4g + 3, in bytes
//   kIsBf16                the panel holds pairs of bfloat16: block.pair(p, half)
//   kTileAvx2              tokens of a float tile whose sums AVX2's 16 registers hold
//   column(panel, k, half) float encodings only: what is left when K is no multiple of kBlock
//   element(...)           one element as float32
//   panelBytes(k)          size of a panel
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGS_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGS_H

#include "compiler/microkernels/cpu/Simd.h"

namespace {

/// Panels start at multiples of 64 bytes.
L4_INLINE int64_t panelAlign(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/// float [k][16 rows].
struct Float32 {
  static constexpr int kBlock = 4;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return k * 64; }

  struct Block {
    const float *base;
    L4_MEMBER Block(const void *panel, int64_t b)
        : base(static_cast<const float *>(panel) + b * kBlock * kPanel) {}
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 4; ++line)
        prefetch(reinterpret_cast<const uint8_t *>(base) + distance + line * 64);
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = load(base + (4 * g + j) * kPanel + half * kLanes);
    }
  };

  static L4_MEMBER F column(const void *panel, int64_t k, int half) {
    return load(static_cast<const float *>(panel) + k * kPanel + half * kLanes);
  }
  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    return reinterpret_cast<const float *>(panel)[k * kPanel + row];
  }
};

/// bfloat16 [k / 2][16 rows][2].
struct BFloat16 {
  static constexpr int kBlock = 4;
  static constexpr bool kIsBf16 = true;
  static constexpr int kTileAvx2 = 2;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return (k + 1) / 2 * 64; }

  struct Block {
    const uint8_t *base;
    L4_MEMBER Block(const void *panel, int64_t b)
        : base(static_cast<const uint8_t *>(panel) + b * kBlock * kPanel * 2) {}
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 2; ++line)
        prefetch(base + distance + line * 64);
    }
    /// Columns 2 * pair and 2 * pair + 1 of the block as they are stored.
    L4_MEMBER I pair(int pair, int half) const {
      return loadInt(base + pair * 64 + half * kLanes * 4);
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
#pragma unroll
      for (int pair = 0; pair < 2; ++pair) {
        I raw = this->pair(2 * g + pair, half);
        w[2 * pair] = asFloat(shiftLeft<16>(raw));
        w[2 * pair + 1] = asFloat(andInt(raw, splatInt(static_cast<int32_t>(0xffff0000))));
      }
    }
  };

  static L4_MEMBER F column(const void *panel, int64_t k, int half) {
    I raw = loadInt(static_cast<const uint8_t *>(panel) + k / 2 * 64 + half * kLanes * 4);
    return k % 2 == 0 ? asFloat(shiftLeft<16>(raw))
                      : asFloat(andInt(raw, splatInt(static_cast<int32_t>(0xffff0000))));
  }
  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    return bf16ToFloat(
        reinterpret_cast<const uint16_t *>(panel)[(k / 2 * kPanel + row) * 2 + k % 2]);
  }
};

/// Two blocks of 32 columns at a time (the last one may stand alone):
/// d float16 [2][16 rows] | two bodies of kBody bytes, whose quants start at multiples of 64.
template <int kBody> struct PairedBlock {
  static constexpr int64_t kPairBytes = 64 + 2 * kBody;
  const uint8_t *body;
  const uint16_t *scales;
  L4_MEMBER PairedBlock(const void *panel, int64_t b) {
    const uint8_t *pair = static_cast<const uint8_t *>(panel) + b / 2 * kPairBytes;
    body = pair + 64 + b % 2 * kBody;
    scales = reinterpret_cast<const uint16_t *>(pair) + b % 2 * kPanel;
  }
  L4_MEMBER F d(int half) const { return loadHalf(scales + half * kLanes); }
  L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
    for (int line = 0; line < kBody / 64; ++line)
      prefetch(body + distance + line * 64);
    prefetch(reinterpret_cast<const uint8_t *>(scales) + distance);
  }
};

/// Byte j of every lane of `raw`, minus `offset`, as w[j].
L4_INLINE void widenBytes(I raw, int offset, F w[4]) {
  const I byte = splatInt(255), bias = splatInt(offset);
  w[0] = toFloat(subInt(andInt(raw, byte), bias));
  w[1] = toFloat(subInt(andInt(shiftRight<8>(raw), byte), bias));
  w[2] = toFloat(subInt(andInt(shiftRight<16>(raw), byte), bias));
  w[3] = toFloat(subInt(shiftRight<24>(raw), bias));
}

/// Columns 4g .. 4g + 3 of nibbles [4][16 rows][4] of 32 columns: byte (g, row, j) holds column
/// 4g + j in its low and column 16 + 4g + j in its high half.
L4_INLINE I nibbleGroup(const uint8_t *nibbles, int g, int half) {
  const I raw = loadInt(nibbles + g % 4 * 64 + half * kLanes * 4);
  return andInt(g < 4 ? raw : shiftRight<4>(raw), splatInt(0x0f0f0f0f));
}
L4_INLINE int nibbleElement(const uint8_t *nibbles, int64_t row, int64_t column) {
  const uint8_t byte = nibbles[(column % 16 / 4 * kPanel + row) * 4 + column % 4];
  return column < 16 ? byte & 15 : byte >> 4;
}

/// PairedBlock with bodies uint8 q + 128 [8][16 rows][4].
struct Q8_0 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kOffsetLog2 = 7, kQuantBits = 8;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return panelAlign(k / 32 * 544); }

  struct Block : PairedBlock<512> {
    using PairedBlock::PairedBlock;
    L4_MEMBER I quantGroup(int g, int half) const {
      return loadInt(body + g * 64 + half * kLanes * 4);
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 128, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = mul(d(half), w[j]);
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / 32);
    const uint8_t q = block.body[(k % 32 / 4 * kPanel + row) * 4 + k % 4];
    return halfToFloat(block.scales[row]) * static_cast<float>(q - 128);
  }
};

/// PairedBlock with bodies of nibbles q + 8.
struct Q4_0 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kOffsetLog2 = 3, kQuantBits = 4;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return panelAlign(k / 32 * 288); }

  struct Block : PairedBlock<256> {
    using PairedBlock::PairedBlock;
    L4_MEMBER I quantGroup(int g, int half) const { return nibbleGroup(body, g, half); }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 8, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = mul(d(half), w[j]);
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / 32);
    return halfToFloat(block.scales[row]) *
           static_cast<float>(nibbleElement(block.body, row, k % 32) - 8);
  }
};

/// PairedBlock with bodies of uint32 [16 rows], the high bits of q + 16, and nibbles, the low ones:
/// bit 8j + g is that of column 4g + j, so one shift puts four of them above their nibbles.
struct Q5_0 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kOffsetLog2 = 4, kQuantBits = 5;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return panelAlign(k / 32 * 352); }

  struct Block : PairedBlock<320> {
    using PairedBlock::PairedBlock;
    L4_MEMBER I quantGroup(int g, int half) const {
      const I high = loadInt(body + half * kLanes * 4);
      const I fifth = g <= 4 ? shiftLeftBy(high, 4 - g) : shiftRightBy(high, g - 4);
      return orInt(nibbleGroup(body + 64, g, half), andInt(fifth, splatInt(0x10101010)));
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 16, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = mul(d(half), w[j]);
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const Block block(panel, k / 32);
    const int64_t column = k % 32;
    const int fifth = block.body[row * 4 + column % 4] >> (column / 4) & 1;
    return halfToFloat(block.scales[row]) *
           static_cast<float>((nibbleElement(block.body + 64, row, column) | fifth << 4) - 16);
  }
};

/// One block of 32 columns, 320 bytes: nibbles [4][16 rows][4] | d float16 [16] | m float16 [16].
struct Q4_1 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr int kOffsetLog2 = -1, kQuantBits = 4;
  static constexpr int64_t kBlockBytes = 320;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return k / 32 * kBlockBytes; }

  struct Block {
    const uint8_t *base;
    L4_MEMBER Block(const void *panel, int64_t b)
        : base(static_cast<const uint8_t *>(panel) + b * kBlockBytes) {}
    L4_MEMBER F d(int half) const {
      return loadHalf(reinterpret_cast<const uint16_t *>(base + 256) + half * kLanes);
    }
    L4_MEMBER F m(int half) const {
      return loadHalf(reinterpret_cast<const uint16_t *>(base + 256) + kPanel + half * kLanes);
    }
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 5; ++line)
        prefetch(base + distance + line * 64);
    }
    L4_MEMBER I quantGroup(int g, int half) const { return nibbleGroup(base, g, half); }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      widenBytes(quantGroup(g, half), 0, w);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        w[j] = add(mul(d(half), w[j]), m(half));
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const uint8_t *block = panel + k / 32 * kBlockBytes;
    const uint16_t *scales = reinterpret_cast<const uint16_t *>(block + 256);
    const auto q = static_cast<float>(nibbleElement(block, row, k % 32));
    return halfToFloat(scales[row]) * q + halfToFloat(scales[kPanel + row]);
  }
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGS_H
