//===- Source.h - where a picture comes from: a path or a URL ----*- C++ -*-===//
//
// Reading is apart from decoding, so that other sources (a request's body, a download) decode the
// same way.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_SOURCE_H
#define LLAMA4_RUNTIME_IMAGE_SOURCE_H

#include "runtime/image/Decode.h"
#include "runtime/image/Fetch.h"

#include <string>
#include <string_view>

namespace llama4::image {

/// The bytes that a `data:` URL carries: base64 (also without padding, also with %-escapes) or
/// %-escaped bytes. The media type is not looked at: the content decides. Errors: InvalidInput (no
/// data URL, broken base64, more than `maxBytes`).
Result<std::string> decodeDataUrl(std::string_view url, uint64_t maxBytes);

/// The encoded picture that `source` names: a `data:` URL, the path of a regular file or, with
/// `fetch`, a URL of http or https. Errors: InvalidInput (also for other URLs), NotFound, Io, those
/// of fetchUrl; each names the source, a data URL as "the data URL".
Result<std::string> readImageSource(const std::string &source, const ImageLimits &limits,
                                    const FetchRules *fetch = nullptr);

/// Reads and decodes. Errors: those of readImageSource and decodeImage, each naming the source.
Result<RgbImage> loadImage(const std::string &source, const DecodeOptions &options = {},
                           const FetchRules *fetch = nullptr);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_SOURCE_H
