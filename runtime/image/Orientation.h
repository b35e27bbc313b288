//===- Orientation.h - the EXIF orientation, read and applied ----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_IMAGE_ORIENTATION_H
#define LLAMA4_RUNTIME_IMAGE_ORIENTATION_H

#include "runtime/image/Image.h"

#include <span>

namespace llama4::image {

/// The orientation (1 to 8) in the first directory of EXIF data, which begins with its TIFF header
/// or with "Exif\0\0" before it; 1 where there is none or the data is broken. Never fails: a
/// picture with broken EXIF data is still a picture.
int exifOrientation(std::span<const std::byte> exif);

/// Writes `stored` as it is to be looked at. `upright.pixels` has the right size already.
/// `orientation` is 1 to 8: 1 as stored, 2 mirrored, 3 turned by 180 degrees, 4 upside down, 5
/// transposed, 6 turned clockwise, 7 transposed along the other diagonal, 8 turned
/// counter-clockwise.
void orient(const RgbImage &stored, int orientation, RgbImage &upright);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_ORIENTATION_H
