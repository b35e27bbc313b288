//===- PackedTensor.h - packed integers with scales for groups --*- C++ -*-===//
//
// A matrix [N, K] of a checkpoint of format `pack-quantized`, in tensors of its own:
//   NAME.weight_packed      int32 [N, K bits / 32], the integers of a row one behind the other from
//                           the lowest bits on, 2^(bits - 1) added to each
//   NAME.weight_scale       float [N, G], one for each of G groups of neighbouring columns
//   NAME.weight_zero_point  int32 [N bits / 32, G], packed like the weights along the rows; without
//                           it all are zero
// (extents are rounded up). A weight is scale * (integer - zero point). What can be moved into a
// block type of the same integers and scales is; nothing is quantized here.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_PACKEDTENSOR_H
#define LLAMA4_COMPILER_CHECKPOINT_PACKEDTENSOR_H

#include "compiler/checkpoint/SourceTensor.h"
#include "runtime/base/Status.h"

#include <optional>

namespace llama4 {

class PackedTensor {
public:
  struct Parts {
    const SourceTensor *packed = nullptr;
    const SourceTensor *scale = nullptr;
    const SourceTensor *zeroPoint = nullptr; ///< null where all are zero
    int64_t bits = 0;                        ///< of an integer: 4 or 8
  };

  /// The matrix [rows, columns] in `parts`, which must outlive it. Reads all scales. Errors:
  /// InvalidInput, with the name of the tensor, for other types and extents, groups of unequal
  /// size, and scales that are no finite numbers.
  static Result<PackedTensor> make(const Parts &parts, int64_t rows, int64_t columns);

  int64_t groupColumns() const { return groupColumns_; }
  /// The block type that holds these integers, zero points and scales exactly; nothing where there
  /// is none: 8 bits with zero points, groups of no multiple of 32, scales that no float16 is.
  std::optional<DType> blockType() const { return blockType_; }
  /// True where scales stand in the way of a block type.
  bool hasWideScales() const { return hasWideScales_; }

  /// Rows [first, first + count) in blocks of blockType(), which there must be; `out` holds exactly
  /// their bytes.
  Status readBlocks(int64_t first, int64_t count, std::span<std::byte> out) const;
  /// The same rows as float32, each product rounded once; `out` holds exactly their elements.
  Status readValues(int64_t first, int64_t count, std::span<float> out) const;

private:
  PackedTensor(const Parts &parts, int64_t rows, int64_t columns)
      : parts_(parts), rows_(rows), columns_(columns) {}
  Status checkParts();
  Status checkScales();
  Status checkRange(int64_t first, int64_t count) const;
  std::optional<DType> fittingBlock() const;
  float scale(int64_t row, int64_t group) const;
  /// With 2^(bits - 1) added, as the integers are stored.
  int zeroPoint(int64_t row, int64_t group) const;
  const uint8_t *packedRow(int64_t row) const;
  void blockOf(int64_t row, int64_t column, uint8_t *block) const;

  Parts parts_;
  int64_t rows_, columns_, groups_ = 1, groupColumns_ = 0;
  uint64_t rowBytes_ = 0; ///< of packed integers
  bool hasWideScales_ = false;
  std::optional<DType> blockType_;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_PACKEDTENSOR_H
