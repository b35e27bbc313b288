//===- Quantizers.h - the quantizers of every level of CPU -------*- C++ -*-===//
//
// The sources of this folder are compiled once for each level, with the widest vectors that it has,
// and give the same bytes on all of them: a lane does what a single thread of scalar code would do,
// in the same order, without fused operations where these would round differently.
//
// What is compiled for a level lies in a namespace of its own, and uses nothing inline from outside
// it: the linker may take any object's copy of an inline function, also one that this processor
// can't run.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_LANES_QUANTIZERS_H
#define LLAMA4_COMPILER_PACK_LANES_QUANTIZERS_H

#include <cstddef>

namespace llama4::pack {

/// Quantizes `blocks` whole blocks of GGUF (those of compiler/pack/Quantize.h) that lie one behind
/// the other.
using Quantizer = void (*)(const float *values, size_t blocks, std::byte *out);

/// All quantizers of one level.
struct Quantizers {
  Quantizer q8_0, q4_0, q4_1, q5_0, q4_k, q6_k;
};

/// A level; its quantizers may be called only where `runsHere`.
struct QuantizerLevel {
  const char *name;
  bool runsHere;
  const Quantizers *quantizers;
};

constexpr size_t kQuantizerLevels = 3;

/// Level `index`, in ascending order of speed; the first one runs everywhere.
QuantizerLevel quantizerLevel(size_t index);

/// Those of the best level that runs here.
const Quantizers &quantizers();

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_LANES_QUANTIZERS_H
