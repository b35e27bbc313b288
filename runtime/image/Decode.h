//===- Decode.h - PNG, JPEG, WebP and GIF to RGB -----------------*- C++ -*-===//
//
// The format is recognised by the content, never by a name. Hostile input is the normal case: the
// limits hold before anything is allocated, libjpeg's and libpng's long jumps stay inside one
// function each, and an error is a sentence of ours, never a library's text.
//
// Decisions, all as Pillow's `convert("RGB")` unless said otherwise:
//  - the EXIF orientation is applied (JPEG, PNG eXIf, WebP; no XMP);
//  - alpha, also the transparent colours of a palette or of tRNS, is composited on white as Meta's
//    code does; AlphaMode::Drop keeps the colours under it, as transformers' load_image does;
//  - 16 bits keep the upper 8 (Pillow clips 16-bit grey to 255 instead, which whitens it);
//  - CMYK and YCCK JPEGs are taken as inverted, as Adobe writes them;
//  - colour profiles and gamma are ignored;
//  - an animated WebP is its first frame, on a canvas that is transparent elsewhere; so is a GIF,
//    elsewhere of the first colour where none is transparent;
//  - a cut-off file is refused; `allowTruncated` takes what is there of a PNG (missing rows black)
//    and of a JPEG (missing blocks grey), as Meta's LOAD_TRUNCATED_IMAGES does; never of a WebP or
//    GIF. A JPEG that merely lacks its end marker is complete, if it is not progressive;
//  - damaged data that libjpeg can decode is decoded; a PNG with a wrong CRC is refused.
// Other formats are refused by name.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_DECODE_H
#define LLAMA4_RUNTIME_IMAGE_DECODE_H

#include "runtime/base/Status.h"
#include "runtime/image/Image.h"

#include <span>

namespace llama4::image {

/// What becomes of transparency.
enum class AlphaMode { White, Drop };

struct DecodeOptions {
  AlphaMode alpha = AlphaMode::White;
  bool applyOrientation = true;
  bool allowTruncated = false;
  ImageLimits limits;
};

/// The picture in `bytes`, a whole file. Errors: InvalidInput (empty, another format, over a limit,
/// cut off, damaged), OutOfMemory; the caller adds where the bytes came from.
Result<RgbImage> decodeImage(std::span<const std::byte> bytes, const DecodeOptions &options = {});

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_DECODE_H
