//===- Resize.h - scaling pictures, equal to Pillow's bits -------*- C++ -*-===//
//
// What vision models were trained on went through Pillow's `Image.resize`: a filter whose support
// grows when a picture shrinks (antialiasing), applied along one axis, rounded to 8 bits, and then
// along the other. Weights are doubles turned into 22-bit fixed point, sums are integers, so every
// bit is defined. The order of the passes is part of the definition, because of the rounding
// between them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_RESIZE_H
#define LLAMA4_RUNTIME_IMAGE_RESIZE_H

#include "runtime/base/Status.h"
#include "runtime/image/Image.h"

namespace llama4::image {

enum class ResizeFilter { Bilinear, Bicubic };

/// Which axis comes first.
enum class PassOrder {
  Pillow12, ///< rows always (Pillow up to 12, torchvision)
  Pillow13, ///< columns where that is less work (Pillow from 13)
};

/// `image` scaled to `size`; a copy where that is its size. Both have at least one pixel and at
/// most 65,535 on a side. Errors: OutOfMemory.
Result<RgbImage> resize(const RgbImage &image, ImageSize size, ResizeFilter filter,
                        PassOrder order);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_RESIZE_H
