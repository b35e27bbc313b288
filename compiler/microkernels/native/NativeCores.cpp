//===- NativeCores.cpp - which levels this machine can run ----------------===//
#include "compiler/microkernels/native/NativeCores.h"

#include <array>

namespace llama4::microkernels {

extern const NativeCores kNativeCores_level0, kNativeCores_level1, kNativeCores_level2;

std::span<const NativeLevel> nativeLevels() {
  const bool vnni = __builtin_cpu_supports("x86-64-v4") && __builtin_cpu_supports("avx512vnni");
  const bool bf16 = vnni && __builtin_cpu_supports("avx512bf16");
  static const std::array<NativeLevel, 3> levels = {{
      {findLevel("x86-64-v3"), __builtin_cpu_supports("x86-64-v3") != 0, &kNativeCores_level0},
      {findLevel("x86-64-v4+vnni"), vnni, &kNativeCores_level1},
      {findLevel("x86-64-v4+vnni+bf16"), bf16, &kNativeCores_level2},
  }};
  return levels;
}

} // namespace llama4::microkernels
