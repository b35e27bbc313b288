//===- Philox.h - random numbers by their number -----------------*- C++ -*-===//
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC 2011).
// A draw is a function of a seed and a counter, so it does not depend on what else is drawn.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_PHILOX_H
#define LLAMA4_RUNTIME_ENGINE_PHILOX_H

#include <array>
#include <cstdint>

namespace llama4 {

/// The block of random words of a counter under a key.
inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

/// A number from [0, 1), a multiple of 2^-53: draw `index` of the stream `seed`.
inline double uniformDraw(uint64_t seed, uint64_t index) {
  const std::array<uint32_t, 4> words =
      philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0, 0},
             {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  const uint64_t bits = (uint64_t{words[1]} << 32 | words[0]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PHILOX_H
