//===- RowRegion.h - row and epilogue regions, one row at a time *- C++ -*-===//
#ifndef LLAMA4_COMPILER_REFERENCE_ROWREGION_H
#define LLAMA4_COMPILER_REFERENCE_ROWREGION_H

#include "compiler/reference/Frame.h"

namespace llama4::reference {

/// Evaluates a region of scalar ops along a row of `width` columns: every scalar value is a vector
/// of its elements at all columns, so that reductions and rotations see the whole row.
class RowRegion {
public:
  RowRegion(Frame &frame, mlir::Region &region, int64_t width)
      : frame_(frame), block_(region.front()), width_(width) {}

  /// Binds argument `index` of the region for the next run.
  void setArgument(unsigned index, std::span<const float> lanes) {
    lanes_[block_.getArgument(index)] = Lanes(lanes.begin(), lanes.end());
  }
  /// Evaluates the region at `row`; yields() are then the results.
  Status run(int64_t row);
  const Lanes &yield(unsigned index);

private:
  Status evaluate(mlir::Operation &op);
  Status load(lm::ElementOp op);
  Status rotate(lm::RotateOp op);
  Status put(lm::KvPutOp op);
  Status reduce(lm::ReduceOp op);
  Lanes compare(mlir::arith::CmpFOp op);
  /// The elements of an operand, also of a constant outside of the region.
  const Lanes &lanes(mlir::Value value);
  template <typename Function> Lanes map(mlir::Operation &op, Function function);

  Frame &frame_;
  mlir::Block &block_;
  int64_t width_;
  int64_t row_ = 0;
  llvm::DenseMap<mlir::Value, Lanes> lanes_;
};

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_ROWREGION_H
