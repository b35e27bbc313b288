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

/// Two blocks of 32 columns at a time (the last one may stand alone), 1088 bytes:
/// d float16 [2][16 rows] | uint8 q + 128 [2][8][16 rows][4].
struct Q8_0 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr bool kHasMinimum = false;
  static constexpr int64_t kPairBytes = 1088;
  static L4_MEMBER int64_t panelBytes(int64_t k) { return panelAlign(k / 32 * 544); }

  struct Block {
    const uint8_t *quants;
    const uint16_t *scales;
    L4_MEMBER Block(const void *panel, int64_t b) {
      const uint8_t *pair = static_cast<const uint8_t *>(panel) + b / 2 * kPairBytes;
      quants = pair + 64 + b % 2 * 512;
      scales = reinterpret_cast<const uint16_t *>(pair) + b % 2 * kPanel;
    }
    L4_MEMBER F d(int half) const { return loadHalf(scales + half * kLanes); }
    L4_MEMBER void prefetchAt(int64_t distance) const {
#pragma unroll
      for (int line = 0; line < 8; ++line)
        prefetch(quants + distance + line * 64);
      prefetch(reinterpret_cast<const uint8_t *>(scales) + distance);
    }
    /// The unsigned quants of K group g, 4 columns per row.
    L4_MEMBER I quantGroup(int g, int half) const {
      return loadInt(quants + g * 64 + half * kLanes * 4);
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      const I raw = quantGroup(g, half);
      const I byte = splatInt(255), bias = splatInt(128);
      w[0] = mul(d(half), toFloat(subInt(andInt(raw, byte), bias)));
      w[1] = mul(d(half), toFloat(subInt(andInt(shiftRight<8>(raw), byte), bias)));
      w[2] = mul(d(half), toFloat(subInt(andInt(shiftRight<16>(raw), byte), bias)));
      w[3] = mul(d(half), toFloat(subInt(shiftRight<24>(raw), bias)));
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const int64_t b = k / 32;
    const uint8_t *pair = panel + b / 2 * kPairBytes;
    const uint16_t *d = reinterpret_cast<const uint16_t *>(pair) + b % 2 * kPanel;
    const uint8_t q = pair[64 + b % 2 * 512 + (k % 32 / 4 * kPanel + row) * 4 + k % 4];
    return halfToFloat(d[row]) * static_cast<float>(q - 128);
  }
};

/// One block of 32 columns, 320 bytes: nibbles [4][16 rows][4] | d float16 [16] | m float16 [16].
/// Byte (g, row, j) holds column 4g + j in its low and column 16 + 4g + j in its high half.
struct Q4_1 {
  static constexpr int kBlock = 32;
  static constexpr bool kIsBf16 = false;
  static constexpr int kTileAvx2 = 3;
  static constexpr bool kHasMinimum = true;
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
    L4_MEMBER I quantGroup(int g, int half) const {
      const I raw = loadInt(base + g % 4 * 64 + half * kLanes * 4);
      return andInt(g < 4 ? raw : shiftRight<4>(raw), splatInt(0x0f0f0f0f));
    }
    L4_MEMBER void group(int g, int half, F w[4]) const {
      const I raw = quantGroup(g, half);
      const I byte = splatInt(255);
      w[0] = add(mul(d(half), toFloat(andInt(raw, byte))), m(half));
      w[1] = add(mul(d(half), toFloat(andInt(shiftRight<8>(raw), byte))), m(half));
      w[2] = add(mul(d(half), toFloat(andInt(shiftRight<16>(raw), byte))), m(half));
      w[3] = add(mul(d(half), toFloat(shiftRight<24>(raw))), m(half));
    }
  };

  static L4_MEMBER float element(const uint8_t *panel, int64_t row, int64_t k) {
    const uint8_t *block = panel + k / 32 * kBlockBytes;
    const uint16_t *scales = reinterpret_cast<const uint16_t *>(block + 256);
    const uint8_t byte = block[(k % 16 / 4 * kPanel + row) * 4 + k % 4];
    const int q = k % 32 < 16 ? byte & 15 : byte >> 4;
    return halfToFloat(scales[row]) * static_cast<float>(q) + halfToFloat(scales[kPanel + row]);
  }
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_ENCODINGS_H
