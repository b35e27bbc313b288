//===- Image.cpp - pictures in memory, and how large they may be ----------===//

#include "runtime/image/Image.h"

#include <new>
#include <stdexcept>
#include <string>

namespace llama4::image {

Status allocatePixels(std::vector<uint8_t> &to, uint64_t bytes) {
  try {
    to.assign(bytes, 0);
  } catch (const std::bad_alloc &) {
    return Status::error(StatusKind::OutOfMemory, "found no memory for a picture of " +
                                                      std::to_string(bytes) +
                                                      " bytes; scale it down.");
  } catch (const std::length_error &) {
    return Status::internal("a picture's size was not checked.");
  }
  return {};
}

} // namespace llama4::image
