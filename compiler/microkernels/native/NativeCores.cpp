//===- NativeCores.cpp - which levels this machine can run ----------------===//
#include "compiler/microkernels/native/NativeCores.h"

#include <array>

namespace llama4::microkernels {

extern const NativeCores kNativeCores_level0, kNativeCores_level1;

std::span<const NativeLevel> nativeLevels() {
  static const std::array<NativeLevel, 2> levels = {{
      {findLevel("x86-64-v3"), __builtin_cpu_supports("x86-64-v3") != 0, &kNativeCores_level0},
      {findLevel("x86-64-v4+vnni"),
       __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni"),
       &kNativeCores_level1},
  }};
  return levels;
}

} // namespace llama4::microkernels
