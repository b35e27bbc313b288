//===- EmulatedTiles.h - tile registers made of memory -----------*- C++ -*-===//
//
// The `Tiles` of cpu/Tiles.h for machines without AMX, after the pseudo-code of Intel's manual:
// the same sums in the same order, and a trap where the processor would refuse an instruction
// (#GP of ldtilecfg, #UD of the others). Of numbers that are none, only that they are none.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_EMULATEDTILES_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_EMULATEDTILES_H

#include "compiler/microkernels/cpu/FlushedMath.h"

namespace {

class Tiles {
public:
  void configure(const TileConfig &config) {
    require(config.palette == 1 && config.startRow == 0);
    for (int t = 0; t < kTiles; ++t) {
      require(config.rows[t] <= kTileRows && config.rowBytes[t] <= kTileBytes);
      require((config.rows[t] == 0) == (config.rowBytes[t] == 0));
    }
    config_ = config;
    for (auto &tile : bytes_)
      for (auto &row : tile)
        for (uint8_t &byte : row)
          byte = 0;
  }

  void release() { config_.palette = 0; }

  template <int T> void zero() {
    requireTile(T);
    for (auto &row : bytes_[T])
      for (uint8_t &byte : row)
        byte = 0;
  }

  template <int T> void load(const void *from, int64_t stride) {
    zero<T>();
    for (int r = 0; r < config_.rows[T]; ++r)
      __builtin_memcpy(bytes_[T][r], static_cast<const uint8_t *>(from) + r * stride,
                       config_.rowBytes[T]);
  }

  template <int T> void store(void *to, int64_t stride) {
    requireTile(T);
    for (int r = 0; r < config_.rows[T]; ++r)
      __builtin_memcpy(static_cast<uint8_t *>(to) + r * stride, bytes_[T][r], config_.rowBytes[T]);
  }

  template <int C, int A, int B> void dotSignedUnsigned() {
    requireProduct(C, A, B);
    for (int m = 0; m < config_.rows[C]; ++m)
      for (int k = 0; k < config_.rows[B]; ++k)
        for (int n = 0; n < config_.rowBytes[C] / 4; ++n) {
          // Sums wrap around, as those of the instruction.
          auto sum = read<uint32_t>(C, m, n);
          for (int j = 0; j < 4; ++j)
            sum += static_cast<uint32_t>(read<int8_t>(A, m, 4 * k + j) *
                                         read<uint8_t>(B, k, 4 * n + j));
          write(C, m, n, sum);
        }
  }

  template <int C, int A, int B> void dotBf16() {
    requireProduct(C, A, B);
    for (int m = 0; m < config_.rows[C]; ++m)
      for (int n = 0; n < config_.rowBytes[C] / 4; ++n) {
        float sums[2] = {0, 0};
        for (int k = 0; k < config_.rows[B]; ++k)
          for (int j = 0; j < 2; ++j)
            sums[j] = fmaFlushed(bf16ToFloat(read<uint16_t>(A, m, 2 * k + j)),
                                 bf16ToFloat(read<uint16_t>(B, k, 2 * n + j)), sums[j]);
        write(C, m, n, addFlushed(read<float>(C, m, n), addFlushed(sums[0], sums[1])));
      }
  }

private:
  static constexpr int kTiles = 8;

  static void require(bool held) {
    if (!held)
      __builtin_trap();
  }
  void requireTile(int t) const {
    require(config_.palette == 1 && t >= 0 && t < kTiles && config_.rows[t] != 0 &&
            config_.rowBytes[t] % 4 == 0);
  }
  void requireProduct(int c, int a, int b) const {
    requireTile(a);
    requireTile(b);
    requireTile(c);
    require(a != b && a != c && b != c);
    require(config_.rows[c] == config_.rows[a] && config_.rowBytes[c] == config_.rowBytes[b] &&
            config_.rowBytes[a] / 4 == config_.rows[b]);
  }

  /// Element `i` of row `row` of register `t`.
  template <typename T> T read(int t, int row, int i) const {
    T value;
    __builtin_memcpy(&value, bytes_[t][row] + i * static_cast<int>(sizeof(T)), sizeof(T));
    return value;
  }
  template <typename T> void write(int t, int row, int i, T value) {
    __builtin_memcpy(bytes_[t][row] + i * static_cast<int>(sizeof(T)), &value, sizeof(T));
  }

  TileConfig config_ = {.palette = 0};
  uint8_t bytes_[kTiles][kTileRows][kTileBytes];
};

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_EMULATEDTILES_H
