//===- ImageMarks.h - the image marks of a prompt, counted -------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_IMAGE_IMAGEMARKS_H
#define LLAMA4_RUNTIME_IMAGE_IMAGEMARKS_H

#include "runtime/base/Status.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

namespace llama4::image {

/// Every picture has its <|image|> in the prompt, and the reverse. Errors: InvalidInput.
inline Status checkMarks(std::span<const int32_t> ids, int32_t mark, size_t images) {
  const auto marks = static_cast<size_t>(std::count(ids.begin(), ids.end(), mark));
  if (marks == images)
    return {};
  return Status::invalidInput("found " + std::to_string(images) + " images for " +
                              std::to_string(marks) +
                              " marks <|image|> in the prompt, expected as many; give the " +
                              (marks > images ? "missing images" : "missing marks") + ".");
}

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_IMAGEMARKS_H
