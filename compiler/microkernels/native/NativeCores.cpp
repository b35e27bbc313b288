//===- NativeCores.cpp - which levels this machine can run ----------------===//
#include "compiler/microkernels/native/NativeCores.h"

#include "runtime/device/cpu/CpuFeatures.h"

#include <array>

namespace llama4::microkernels {

extern const NativeCores kNativeCores_level0, kNativeCores_level1, kNativeCores_level2,
    kNativeCores_level3, kNativeCores_emulated;

/// Level `index` of cpuLevels(); it runs wherever the runtime says so of level `runsAs`.
static NativeLevel nativeLevel(size_t index, const NativeCores &cores, size_t runsAs) {
  const std::span<const Level> levels = microkernels::cpuLevels();
  return {&levels[index], levelRuns(levels[runsAs].name, cpuHas), &cores};
}

std::span<const NativeLevel> nativeLevels() {
  static const std::array<NativeLevel, 4> levels = {
      {nativeLevel(0, kNativeCores_level0, 0), nativeLevel(1, kNativeCores_level1, 1),
       nativeLevel(2, kNativeCores_level2, 2), nativeLevel(3, kNativeCores_level3, 3)}};
  return levels;
}

const NativeLevel &emulatedTiles() {
  static const NativeLevel level = nativeLevel(3, kNativeCores_emulated, 2);
  return level;
}

} // namespace llama4::microkernels
