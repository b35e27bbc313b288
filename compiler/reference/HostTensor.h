//===- HostTensor.h - tensors of the reference interpreter ------*- C++ -*-===//
//
// A tensor's decoded values, and the roundings that storing in a format means. No MLIR here.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REFERENCE_HOSTTENSOR_H
#define LLAMA4_COMPILER_REFERENCE_HOSTTENSOR_H

#include "dialects/lm/Shape.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llama4::reference {

using lm::shape::Element;

/// A dense tensor of rank 1 to 3, row-major. `values` holds the decoded elements of every format
/// but i32, whose elements are in `ints`. A q8_32 or q8_128 tensor also keeps what it stores:
/// `quants` [rows, B nb] and `scales` [rows, nb] of blocks of B columns, nb = ceil(columns / B).
struct HostTensor {
  Element element = Element::F32;
  std::vector<int64_t> shape;
  std::vector<float> values;
  std::vector<int32_t> ints;
  std::vector<int8_t> quants;
  std::vector<float> scales;

  static HostTensor zeros(Element element, std::vector<int64_t> shape);
  static HostTensor floats(std::vector<int64_t> shape, std::vector<float> values);
  static HostTensor indices(std::vector<int32_t> ints);

  /// Rank 2: rows and columns. Rank 3: the rows of all experts, one expert after the other. Rank 1:
  /// one row, or as many rows as elements for indices.
  int64_t rows() const {
    if (shape.size() == 1)
      return isIndices() ? shape[0] : 1;
    return shape.size() == 3 ? shape[0] * shape[1] : shape[0];
  }
  int64_t columns() const { return shape.size() == 1 && isIndices() ? 1 : shape.back(); }
  bool isIndices() const { return element == Element::I32; }
  std::span<const float> row(int64_t index) const {
    return {values.data() + index * columns(), static_cast<size_t>(columns())};
  }
  /// Stores a row in the tensor's format: rounds to bf16, quantizes to q8_32 and q8_128.
  void store(int64_t index, std::span<const float> row);
  /// Row `index` in double, exact even for q8_32 and q8_128 (quant times scale unrounded).
  std::vector<double> exactRow(int64_t index) const;

private:
  void storeQuantized(int64_t index, std::span<const float> row);
};

/// Rounds to bfloat16, nearest even; NaN stays NaN.
float roundToBFloat16(float value);

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_HOSTTENSOR_H
