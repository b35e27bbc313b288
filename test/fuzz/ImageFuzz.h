//===- ImageFuzz.h - what the three image targets share ----------*- C++ -*-===//
#ifndef LLAMA4_TEST_FUZZ_IMAGEFUZZ_H
#define LLAMA4_TEST_FUZZ_IMAGEFUZZ_H

#include "runtime/image/Decode.h"
#include "runtime/image/Llama4Images.h"
#include "runtime/image/MllamaImages.h"
#include "test/fuzz/Fuzz.h"

namespace llama4::fuzz {

/// Decodes data[1..], whose first byte chooses the options, under limits that keep one input below
/// a moment; a picture that is taken goes on to the tiles of both families.
inline int decodeInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  image::DecodeOptions options;
  options.alpha = data[0] & 1 ? image::AlphaMode::Drop : image::AlphaMode::White;
  options.allowTruncated = (data[0] & 2) != 0;
  options.limits.maxPixels = 1 << 18;
  options.limits.maxSide = 4096;
  const auto image = image::decodeImage(std::as_bytes(std::span(data + 1, size - 1)), options);
  if (!image.ok()) {
    refuse(image.status());
    return 0;
  }
  take();
  if (image->pixels.size() != 3 * image->size.pixels() ||
      image->size.pixels() > options.limits.maxPixels)
    std::abort();
  image::Llama4ImageConfig llama4;
  llama4.side = 28;
  image::MllamaImageConfig mllama;
  mllama.side = 28;
  if (image::makeTiles(*image, llama4)->count != image::layoutOf(image->size, llama4).tiles ||
      image::makeTiles(*image, mllama)->count != image::layoutOf(image->size, mllama).tiles)
    std::abort();
  return 0;
}

} // namespace llama4::fuzz

#endif // LLAMA4_TEST_FUZZ_IMAGEFUZZ_H
