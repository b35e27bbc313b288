//===- Tiles.h - the tile registers of AMX -----------------------*- C++ -*-===//
//
// Eight registers of up to 16 rows of up to 64 bytes, whose shapes a TileConfig says. `Tiles` is
// what the cores of LinearTiles.h are written over:
//   configure(config)         shapes from now on; all registers become zero
//   zero<T>()
//   load<T>(from, stride)     the register's rows, `stride` bytes apart
//   store<T>(to, stride)
//   dotSignedUnsigned<C, A, B>()
//       C.int32[m][n] += A.int8[m][4k + j] * B.uint8[k][4n + j] over k and j < 4
//   dotBf16<C, A, B>()
//       C.float32[m][n] += the sum over even columns of A plus that over odd ones, each a chain of
//       fma in ascending order from 0: A.bf16[m][2k + j] * B.bf16[k][2n + j]. Rounds to nearest
//       even; numbers below 2^-126 count as 0 and become 0.
//   release()                 the thread has no tiles any more, and none to be saved
// A register's number is part of the instruction, so it is a template's argument. Columns of B lie
// as those of a panel do: groups of 4 bytes, the 16 rows of the panel one after another.
//
// A build for tests that defines L4_EMULATED_TILES takes registers made of memory instead.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_TILES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_TILES_H

#include "compiler/microkernels/cpu/Simd.h"

#if defined(L4_EMULATED_TILES) ||                                                                  \
    (defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AMX_BF16__))
#define L4_TILES 1
#else
#define L4_TILES 0
#endif

#if L4_TILES

namespace {

/// Rows of a register.
constexpr int kTileRows = 16;
/// Bytes of a register's row.
constexpr int kTileBytes = 64;

/// What ldtilecfg reads. A register that is not set has no rows and may not be used.
struct alignas(64) TileConfig {
  uint8_t palette = 1, startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t rowBytes[16] = {};
  uint8_t rows[16] = {};

  L4_MEMBER void set(int tile, int64_t rowCount, int bytes) {
    rows[tile] = static_cast<uint8_t>(rowCount);
    rowBytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileConfig) == 64);

/// The first n (0 to 31) bfloat16 at `p`, then zeros; nothing behind them is read.
L4_INLINE I loadFirstShorts(const uint16_t *p, int64_t n) {
  return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((1u << n) - 1), p);
}

} // namespace

#ifdef L4_EMULATED_TILES
#include "compiler/microkernels/cpu/EmulatedTiles.h"
#else

namespace {

struct Tiles {
  L4_MEMBER void configure(const TileConfig &config) { _tile_loadconfig(&config); }
  L4_MEMBER void release() { _tile_release(); }
  template <int T> L4_MEMBER void zero() { _tile_zero(T); }
  template <int T> L4_MEMBER void load(const void *from, int64_t stride) {
    _tile_loadd(T, from, stride);
  }
  template <int T> L4_MEMBER void store(void *to, int64_t stride) { _tile_stored(T, to, stride); }
  template <int C, int A, int B> L4_MEMBER void dotSignedUnsigned() { _tile_dpbsud(C, A, B); }
  template <int C, int A, int B> L4_MEMBER void dotBf16() { _tile_dpbf16ps(C, A, B); }
};

} // namespace

#endif // L4_EMULATED_TILES
#endif // L4_TILES

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_TILES_H
