//===- SourceParam.h - a parameter in the tensors of a checkpoint -*- C++ -*-===//
//
// A parameter of the model is a vector, a matrix [N, K] or a matrix per expert [E, N, K]; a
// checkpoint may hold it permuted, transposed, fused with another one, one tensor per expert, or
// beside factors that it has to be multiplied by. This reads the rows of the parameter wherever
// they are; what becomes of them is up to the packer and to the interpreter.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_SOURCEPARAM_H
#define LLAMA4_COMPILER_CHECKPOINT_SOURCEPARAM_H

#include "compiler/checkpoint/PackedTensor.h"
#include "compiler/checkpoint/SourceTensor.h"
#include "runtime/base/Status.h"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

namespace llama4 {

class Checkpoint;

/// A parameter and how its values become rows; the meaning of #lm.source.
struct SourceSpec {
  std::string name;           ///< of the parameter, for errors
  std::string source;         ///< tensor of the checkpoint
  int64_t unpermuteHeads = 0; ///< heads whose rows are stored interleaved; 0 = none
  std::vector<int64_t> shape; ///< of the parameter: [K], [N, K] or [E, N, K]
  bool transpose = false;     ///< the two innermost extents are stored swapped
  int64_t firstRow = 0;       ///< the rows are the stored ones from this one on
  bool perExpert = false;     ///< `*` in source, scale and zeroPoint stands for the expert
  std::string scale = {};     ///< tensor of factors, one per row or one in all; empty = none
  int64_t bits = 0;           ///< `source` holds packed integers (PackedTensor.h); 0 = it doesn't
  std::string zeroPoint = {}; ///< tensor of zero points of packed integers; empty = none
};

/// The tensor of a name, or null; what it returns outlives every SourceParam made with it.
using FindTensor = std::function<const SourceTensor *(std::string_view)>;

/// A parameter whose tensors were found and fit. Refers to the tensors.
class SourceParam {
public:
  /// Finds the tensors and checks their extents: those of the parameter; more rows in the tensors
  /// of experts [E, N, K] and after `firstRow`, where tensors are fused. A matrix may be the weight
  /// of a convolution [N, C, h, w], K = C h w. Errors: InvalidInput, with the names of the
  /// parameter and of the tensor.
  static Result<SourceParam> find(const SourceSpec &spec, const FindTensor &tensors);
  /// The same in a checkpoint; errors also say its path and the nearest name.
  static Result<SourceParam> find(const SourceSpec &spec, const Checkpoint &checkpoint);

  int64_t matrices() const { return matrices_; } ///< E; 1 for a matrix or vector
  int64_t rows() const { return rows_; }         ///< of one matrix; 1 for a vector
  int64_t columns() const { return columns_; }
  /// The tensor that holds a matrix.
  const SourceTensor &tensor(int64_t matrix) const;

  /// True if rows are gathered from all over the tensor, so that many cost little more than one.
  bool isTransposed() const { return spec_.transpose; }
  /// The stored type, where the rows of `matrix` are made of stored bytes alone; nothing where
  /// values are computed from them: scaled ones, blocks that lie across the rows, and permuted
  /// elements of a vector. Packed integers are of the block type that holds them exactly.
  std::optional<DType> storedType(int64_t matrix) const;
  /// Rows [first, first + count) of `matrix` in the type storedType(matrix), which there must be.
  Status readStored(int64_t matrix, int64_t first, int64_t count, std::span<std::byte> out) const;
  /// The same rows as float32, scaled; `out` holds count * columns() numbers.
  Status readRows(int64_t matrix, int64_t first, int64_t count, std::span<float> out) const;

private:
  Status setExtents();
  /// A tensor [N, K] for each matrix, its rows in order.
  bool isPlainMatrix() const;
  Status addTensor(const std::string &name, const FindTensor &tensors);
  const SourceTensor *flatten(const SourceTensor *tensor);
  Status addScale(const std::string &name, const FindTensor &tensors);
  Status addPacked(const PackedTensor::Parts &parts, const std::string &source);
  const PackedTensor *packed(int64_t matrix) const;
  Status misfit(const std::string &name, const SourceTensor *found,
                const std::string &expected) const;
  /// Where row `row` of permuted heads lies.
  int64_t storedPlace(int64_t row) const;
  /// Rows of one stored matrix, in the order of the parameter.
  uint64_t storedRows(int64_t matrix) const;
  // Of rows [first, first + count) behind firstRow, as they lie in the checkpoint.
  Status copyRun(int64_t matrix, int64_t first, int64_t count, std::span<std::byte> out) const;
  Status decodeRun(int64_t matrix, int64_t first, int64_t count, std::span<float> out) const;
  Status decodeAcross(int64_t matrix, int64_t first, int64_t count, std::span<float> out) const;
  template <typename Run>
  Status forRuns(int64_t matrix, int64_t first, int64_t count, size_t size, size_t expected,
                 Run run) const;
  /// True where stored blocks lie across the rows.
  bool isTorn(int64_t matrix) const;

  SourceSpec spec_;
  int64_t matrices_ = 1, rows_ = 1, columns_ = 0;
  int64_t headRows_ = 0;                      ///< rows (elements) of a permuted head; 0 = none
  std::shared_ptr<const SourceTensor> flat_;  ///< a convolution's weight as a matrix
  std::vector<const SourceTensor *> tensors_; ///< of each matrix, or one for all
  std::vector<std::vector<float>> scales_;    ///< as tensors_; empty = none
  std::vector<PackedTensor> packed_;          ///< as tensors_; empty = none
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_SOURCEPARAM_H
