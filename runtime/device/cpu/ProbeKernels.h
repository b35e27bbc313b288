//===- ProbeKernels.h - what a processor can do at most ----------*- C++ -*-===//
//
// Kernels that do one thing as fast as the instructions of a level allow: read memory, or multiply
// and add in registers. They run as dispatches of a device, on its threads and with its division
// of tiles, so that what they reach is a limit of whatever else runs there.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_DEVICE_CPU_PROBEKERNELS_H
#define LLAMA4_RUNTIME_DEVICE_CPU_PROBEKERNELS_H

#include "runtime/format/KernelAbi.h"

#include <string_view>

namespace llama4 {

/// Tiles have `bytes` bytes of the memory at bindings[0], one tile behind the other.
struct MemoryProbe {
  l4_kernel write; ///< touches every page, from the thread that will read it
  l4_kernel read;
};

/// `macs` multiply-adds of `instruction` in each of a tile's steps; constants[0] says how many
/// steps, and bindings[0] has room for 64 bytes a tile.
struct MacProbe {
  std::string_view instruction; ///< "vpdpbusd zmm"
  l4_kernel run;
  uint64_t macs;
};

/// constants[0] of both: bytes of a tile, a multiple of 4096. With the widest loads of `level` (a
/// name of cpuLevels(); any other counts as the least).
MemoryProbe memoryProbe(std::string_view level);

/// What the level multiplies 8-bit integers, bfloat16 and float32 with. Where a level has no
/// instruction for bfloat16 it is the one for float32, as cores convert.
MacProbe int8Probe(std::string_view level);
MacProbe bfloat16Probe(std::string_view level);
MacProbe float32Probe(std::string_view level);

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_CPU_PROBEKERNELS_H
