//===- Decoders.h - the four decoders behind decodeImage --------*- C++ -*-===//
//
// Private to this room. Each takes bytes that begin with its signature and returns the picture as
// it is stored, with alpha already treated, and the EXIF orientation beside it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_DECODERS_H
#define LLAMA4_RUNTIME_IMAGE_DECODERS_H

#include "runtime/image/Decode.h"

#include <string>

namespace llama4::image {

/// A picture as stored, and the EXIF orientation (1 to 8) in which it is to be looked at.
struct StoredImage {
  RgbImage image;
  int orientation = 1;
};

Result<StoredImage> decodePng(std::span<const std::byte> bytes, const DecodeOptions &options);
Result<StoredImage> decodeJpeg(std::span<const std::byte> bytes, const DecodeOptions &options);
Result<StoredImage> decodeWebp(std::span<const std::byte> bytes, const DecodeOptions &options);
Result<StoredImage> decodeGif(std::span<const std::byte> bytes, const DecodeOptions &options);

/// Refuses a size that is zero or over the limits. `format` is "PNG" and the like.
Status checkSize(const char *format, uint64_t width, uint64_t height, const ImageLimits &limits);
/// The errors that all formats share: "found a PNG that is cut off, ...".
Status cutOff(const char *format);
Status damaged(const char *format);

/// Turns RGBA, four bytes a pixel, into RGB in place.
void removeAlpha(std::vector<uint8_t> &pixels, AlphaMode mode);

/// a * b / 255, rounded, for a and b up to 255.
inline uint32_t mulDiv255(uint32_t a, uint32_t b) {
  const uint32_t product = a * b + 128;
  return ((product >> 8) + product) >> 8;
}

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_DECODERS_H
