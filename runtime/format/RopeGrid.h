//===- RopeGrid.h - cosines and sines of places in a grid -------*- C++ -*-===//
//
// The one definition of the angles of a grid of tokens (the patches of a tile), as Rope.h is of
// positions in a text.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_ROPEGRID_H
#define LLAMA4_RUNTIME_FORMAT_ROPEGRID_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4 {

/// Fills rows * columns + 1 rows of 2 F floats, F = invFreq.size(): row r * columns + c has the
/// angles f32(c + 1) * invFreq in its first F places and f32(r + 1) * invFreq behind, rounded to
/// f32; the last row has angle 0. Cosine and sine are taken in double and rounded to f32.
inline void fillRopeGrid(std::span<const float> invFreq, int64_t rows, int64_t columns, float *cos,
                         float *sin) {
  auto put = [&](float angle) {
    *cos++ = static_cast<float>(std::cos(static_cast<double>(angle)));
    *sin++ = static_cast<float>(std::sin(static_cast<double>(angle)));
  };
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      for (float frequency : invFreq)
        put(static_cast<float>(column + 1) * frequency);
      for (float frequency : invFreq)
        put(static_cast<float>(row + 1) * frequency);
    }
  for (size_t i = 0; i < 2 * invFreq.size(); ++i)
    put(0.0f);
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_ROPEGRID_H
