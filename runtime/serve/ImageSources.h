//===- ImageSources.h - where pictures of requests may come from -*- C++ -*-===//
//
// A data: URL carries the picture. Everything else makes the server reach out, so it is off unless
// its owner allows it: URLs of http and https, and files under one folder.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_IMAGESOURCES_H
#define LLAMA4_RUNTIME_SERVE_IMAGESOURCES_H

#include "runtime/engine/ImagePrompt.h"
#include "runtime/image/Decode.h"
#include "runtime/serve/ChatMessages.h"

#include <span>

namespace llama4::serve {

struct ImageRules {
  bool remote = false;            ///< URLs of http and https, public addresses only
  std::vector<std::string> hosts; ///< of those URLs; empty: any
  std::string mediaRoot;          ///< folder of the files that may be named; empty: none
  image::AlphaMode alpha = image::AlphaMode::White;
};

/// The pictures of a request, read, decoded and cut for a program, in their order. Thread-safe;
/// takes as long as the network does. Errors are those of the client: each names the field and
/// neither the file system nor a library.
std::optional<ApiError> loadImages(const ImageRules &rules, const ImagePreparer &preparer,
                                   std::span<const ImageReference> references,
                                   std::vector<PreparedImage> &out);

/// The content of a file below `root`, at most `maxBytes`: `path` is relative to it or begins with
/// it. No link leads out of the folder, and none is followed. Errors: InvalidInput, NotFound, Io.
Result<std::string> readBeneath(const std::string &root, std::string_view path, uint64_t maxBytes);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_IMAGESOURCES_H
