//===- ParamPacker.h - checkpoint tensors to packed weights -----*- C++ -*-===//
//
// Streams one parameter at a time, sixteen rows at a time, from the bytes of the checkpoint to the
// bytes of the weight section. Blocks that are stored in the asked-for encoding are moved, never
// decoded; everything else goes through float32.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_PARAMPACKER_H
#define LLAMA4_COMPILER_PACK_PARAMPACKER_H

#include "compiler/checkpoint/SourceTensor.h"
#include "compiler/pack/Layout.h"
#include "runtime/base/Status.h"

#include <functional>
#include <vector>

namespace llama4::pack {

/// The rows of a checkpoint tensor in the order of the model: GGUF's permuted query and key rows
/// are put back.
class SourceRows {
public:
  /// `tensor` is rows of `cols` elements and outlives the object; `unpermuteHeads` (0 = none)
  /// divides the rows into heads of an even number of rows. Of a vector (one row: a bias) it
  /// divides the elements.
  static Result<SourceRows> create(const SourceTensor &tensor, int64_t rows, int64_t cols,
                                   int64_t unpermuteHeads);

  /// Row `row` as float32; `out` holds cols floats.
  Status decode(int64_t row, std::span<float> out) const;
  /// Row `row` as it is stored; not for a permuted vector, whose elements are not in order.
  std::span<const std::byte> raw(int64_t row) const;
  const SourceTensor &tensor() const { return *tensor_; }

private:
  int64_t storedPlace(int64_t row) const;

  const SourceTensor *tensor_ = nullptr;
  int64_t cols_ = 0;
  int64_t headRows_ = 0;          ///< rows of a permuted head, 0 = none
  bool permutedElements_ = false; ///< the elements of one row are permuted, not rows
  uint64_t rowBytes_ = 0;
};

/// One parameter as the artifact stores it.
struct ParamSpec {
  const SourceTensor *source = nullptr;
  int64_t unpermuteHeads = 0;
  int64_t rows = 0, cols = 0; ///< a vector has one row
  Encoding encoding = Encoding::Float32;
  bool panels = false; ///< panels of 16 rows, else one padded float32 row
};

/// Bytes of the parameter in the weight section.
uint64_t paramBytes(const ParamSpec &param);

/// Takes the packed bytes in order.
using ByteSink = std::function<Status(std::span<const std::byte>)>;

/// Writes exactly paramBytes(param) bytes to `sink`. Errors: InvalidInput, naming the tensor, when
/// the source can't be read; what the sink returns.
Status packParam(const ParamSpec &param, const ByteSink &sink);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_PARAMPACKER_H
