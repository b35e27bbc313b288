//===- Support.h - what the tests of the cores share -------------*- C++ -*-===//
#ifndef LLAMA4_TEST_MICROKERNELS_SUPPORT_H
#define LLAMA4_TEST_MICROKERNELS_SUPPORT_H

#include "compiler/microkernels/native/NativeCores.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

namespace llama4::microkernels {

inline void PrintTo(const LinearCore &core, std::ostream *stream) { *stream << core.symbol; }

/// Calls `body(level)` for every level that this machine has, and prints the others. The level
/// with AMX comes a second time, with emulated tiles.
template <typename Body> void forEachLevel(Body body) {
  std::vector<const NativeLevel *> levels;
  for (const NativeLevel &level : nativeLevels())
    levels.push_back(&level);
  levels.push_back(&emulatedTiles());
  for (const NativeLevel *level : levels) {
    const std::string name =
        std::string(level->level->name) + (level == &emulatedTiles() ? " with emulated tiles" : "");
    if (!level->runsHere) {
      std::printf("[  SKIPPED ] level %s: this machine does not have it\n", name.c_str());
      continue;
    }
    SCOPED_TRACE(name);
    body(*level);
    if (::testing::Test::HasFatalFailure())
      return;
  }
}

inline std::vector<float> randomFloats(size_t count, uint32_t seed, float scale = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(count);
  for (float &value : values)
    value = normal(generator);
  return values;
}

/// True when both have the same bits.
inline bool sameBits(const float *a, const float *b, size_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

} // namespace llama4::microkernels

#endif // LLAMA4_TEST_MICROKERNELS_SUPPORT_H
