//===- Pixels.h - from 8-bit tiles to what a vision tower reads --*- C++ -*-===//
//
// Pixels are scaled in 8 bits, so there are 256 values for each channel and normalising is a look-
// up. The tables are made in the very arithmetic of the reference: Llama 4's image processor works
// in bfloat16, Llama 3.2 Vision's in float32 with the rescaling folded into mean and deviation.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_PIXELS_H
#define LLAMA4_RUNTIME_IMAGE_PIXELS_H

#include "runtime/image/Image.h"

#include <array>
#include <span>

namespace llama4::image {

/// (value * rescale - mean[c]) / deviation[c]
struct Normalization {
  std::array<double, 3> mean = {0.5, 0.5, 0.5}, deviation = {0.5, 0.5, 0.5};
  double rescale = 1.0 / 255;
  /// Each step rounds to bfloat16, else float32 with (value - mean/rescale) / (deviation/rescale).
  bool bfloat16 = false;
};

/// The normalised value of each byte, per channel.
using PixelTable = std::array<std::array<float, 256>, 3>;
PixelTable makePixelTable(const Normalization &normalization);

/// The square tiles of one picture, 8-bit, in the order in which the tower sees them:
/// pixels[tile][channel][row][column].
struct Tiles {
  uint32_t count = 0, side = 0;
  std::vector<uint8_t> pixels;

  size_t tileBytes() const { return size_t{3} * side * side; }
  std::span<const uint8_t> tile(uint32_t i) const {
    return std::span(pixels).subspan(tileBytes() * i, tileBytes());
  }
};

/// Writes the normalised pixels of one tile, f32[3, side, side].
void normalizeTile(std::span<const uint8_t> tile, const PixelTable &table, std::span<float> to);

/// All tiles as f32[tiles, 3, side, side], followed by zeros up to `tiles` tiles (0: as many as
/// there are): an absent tile is zero after normalising.
std::vector<float> normalizeTiles(const Tiles &tiles, const PixelTable &table, uint32_t count = 0);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_PIXELS_H
