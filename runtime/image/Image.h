//===- Image.h - pictures in memory, and how large they may be ---*- C++ -*-===//
//
// The one form in which a picture leaves the decoders: 8-bit RGB, row by row. What is not RGB in a
// file (alpha, palette, grey, CMYK, 16 bits) has been turned into it by then.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_IMAGE_H
#define LLAMA4_RUNTIME_IMAGE_IMAGE_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama4::image {

/// Width and height in pixels.
struct ImageSize {
  uint32_t width = 0, height = 0;

  uint64_t pixels() const { return uint64_t{width} * height; }
  bool operator==(const ImageSize &) const = default;
};

/// 8-bit RGB, no padding between rows: pixel (x, y) is at 3 * (y * width + x).
struct RgbImage {
  ImageSize size;
  std::vector<uint8_t> pixels;

  const uint8_t *row(uint32_t y) const { return pixels.data() + size_t{3} * size.width * y; }
  uint8_t *row(uint32_t y) { return pixels.data() + size_t{3} * size.width * y; }
};

/// What a picture may cost. Sizes are compared with these as soon as they are read and before
/// anything is allocated from them; decoding then takes at most about 16 bytes for each pixel.
struct ImageLimits {
  uint64_t maxBytes = 20'000'000;  ///< of the encoded picture
  uint64_t maxPixels = 50'000'000; ///< width times height
  uint32_t maxSide = 65'535;       ///< width, and height
  uint32_t maxJpegScans = 256;     ///< of a progressive JPEG
};

/// `bytes` zeros in `to`. Errors: OutOfMemory where the machine has not that much.
Status allocatePixels(std::vector<uint8_t> &to, uint64_t bytes);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_IMAGE_H
