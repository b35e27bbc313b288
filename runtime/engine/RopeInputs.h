//===- RopeInputs.h - the cos and sin inputs of an entry ---------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H
#define LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H

#include "runtime/format/ProgramDesc.h"
#include "runtime/format/Rope.h"
#include "runtime/format/RopeGrid.h"

#include <cstring>
#include <span>
#include <vector>

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

/// fillRopeGrid() into rows padded as in Rows.h: the cosines, or the sines.
inline void fillGridInput(const RopeGrid &grid, bool sine, float *rows) {
  const size_t columns = 2 * grid.invFreq.size(), tokens = grid.tokens();
  const size_t stride = rowBytes(ElementType::F32, static_cast<uint32_t>(columns)) / sizeof(float);
  std::vector<float> cos(tokens * columns), sin(tokens * columns);
  fillRopeGrid(grid.invFreq, grid.rows, grid.columns, cos.data(), sin.data());
  for (size_t token = 0; token < tokens; ++token)
    std::memcpy(rows + token * stride, (sine ? sin : cos).data() + token * columns,
                columns * sizeof(float));
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_ROPEINPUTS_H
