//===- RopeInputs.h - the cos and sin inputs of a step -----------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H
#define LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H

#include "runtime/format/ProgramDesc.h"
#include "runtime/format/Rope.h"

#include <span>

namespace llama4 {

/// fillRope() for a program's table: times its attention scaling. `stride` is in floats.
inline void fillRopeInputs(const RopeTable &table, std::span<const int64_t> positions, float *cos,
                           float *sin, size_t stride) {
  fillRope(table.invFreq, positions, cos, sin, stride);
  if (table.attentionScaling == 1.0f)
    return;
  for (size_t token = 0; token < positions.size(); ++token)
    for (size_t i = 0; i < table.invFreq.size(); ++i) {
      cos[token * stride + i] *= table.attentionScaling;
      sin[token * stride + i] *= table.attentionScaling;
    }
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H
