//===- Rope.h - cosines and sines of rotary positions -----------*- C++ -*-===//
//
// The one definition of the angles that models see: the engine fills the cos and sin inputs of a
// step with it, and so does the reference interpreter.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_ROPE_H
#define LLAMA4_RUNTIME_FORMAT_ROPE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4 {

/// Fills row t of `cos` and `sin` with cos and sin of position[t] * invFreq[i], for all i. Rows are
/// `stride` floats apart (at least invFreq.size()); what lies between is not touched. The angle is
/// f32(position) * invFreq rounded to f32, its cosine and sine are taken in double and rounded to
/// f32.
inline void fillRope(std::span<const float> invFreq, std::span<const int64_t> positions, float *cos,
                     float *sin, size_t stride) {
  for (size_t token = 0; token < positions.size(); ++token) {
    const auto position = static_cast<float>(positions[token]);
    for (size_t i = 0; i < invFreq.size(); ++i) {
      const float angle = position * invFreq[i];
      cos[token * stride + i] = static_cast<float>(std::cos(static_cast<double>(angle)));
      sin[token * stride + i] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_ROPE_H
