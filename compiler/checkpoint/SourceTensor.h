//===- SourceTensor.h - a tensor as the checkpoint stores it ----*- C++ -*-===//
//
// The common form of tensors of safetensors and GGUF files.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_SOURCETENSOR_H
#define LLAMA4_COMPILER_CHECKPOINT_SOURCETENSOR_H

#include "runtime/format/DType.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llama4 {

/// A view of one stored tensor. The bytes belong to the Checkpoint (or the mapped file) that it
/// came from, are dense, have exactly the size that shape and type say, and may be unaligned.
struct SourceTensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<int64_t> shape; ///< row-major, outermost first; for GGUF its `ne` reversed
  std::span<const std::byte> bytes;
  int file = 0; ///< index into Checkpoint::files()

  /// Product of the shape; 1 for a scalar. Can't overflow in a tensor that a reader made.
  uint64_t elements() const {
    uint64_t count = 1;
    for (int64_t extent : shape)
      count *= static_cast<uint64_t>(extent);
    return count;
  }
  /// Extent of the innermost dimension; 1 for a scalar.
  uint64_t rowElements() const { return shape.empty() ? 1 : static_cast<uint64_t>(shape.back()); }
};

/// "[512, 128]".
std::string shapeText(std::span<const int64_t> shape);

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_SOURCETENSOR_H
