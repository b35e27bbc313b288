//===- Temperature.h - attention temperatures of positions ------*- C++ -*-===//
//
// The one definition of the factor by which models with very long contexts scale their queries in
// layers without rotary embeddings: the engine fills the temperature input of a step with it, and
// so does the reference interpreter.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_TEMPERATURE_H
#define LLAMA4_RUNTIME_FORMAT_TEMPERATURE_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4 {

/// Sets out[t * stride] to 1 + attnScale * log(1 + floor((position[t] + 1) / floorScale)) for every
/// token t, computed in double and rounded to f32. Positions are not negative, floorScale is not 0;
/// `stride` is in floats, and what lies between is not touched.
inline void fillTemperature(float attnScale, uint64_t floorScale,
                            std::span<const int64_t> positions, float *out, size_t stride) {
  for (size_t token = 0; token < positions.size(); ++token) {
    const uint64_t steps = (static_cast<uint64_t>(positions[token]) + 1) / floorScale;
    out[token * stride] = static_cast<float>(1.0 + static_cast<double>(attnScale) *
                                                       std::log(1.0 + static_cast<double>(steps)));
  }
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_TEMPERATURE_H
