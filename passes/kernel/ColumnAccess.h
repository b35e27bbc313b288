//===- ColumnAccess.h - how a column map reads a chunk of columns -*- C++ -*-===//
//
// An lm.element reads column f(j) for every column j of a chunk. Proves from the affine expression
// of f what kind of load that is, and emits f for a chunk's first column or for all of its lanes.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL_COLUMNACCESS_H
#define LLAMA4_PASSES_KERNEL_COLUMNACCESS_H

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/Builders.h"

namespace llama4::kernel {

/// How f(j + i) depends on the lane i of a chunk.
enum class ColumnStride {
  Uniform, ///< not at all
  Unit,    ///< f(j) + i
  Half,    ///< f(j) + i / 2: neighbours share an element
  Any,     ///< no simple way; gather
};

/// The stride of an expression, and a number that its value at lane 0 is known to be a multiple of.
struct ColumnAccess {
  ColumnStride stride;
  int64_t divisor;
};

/// How `expr` behaves on chunks of `lanes` columns whose first column is a multiple of `divisor`.
ColumnAccess analyseColumns(mlir::AffineExpr expr, int64_t lanes, int64_t divisor);

/// `expr` of one dimension at `column`, an integer or a vector of integers. Division and remainder
/// are those of affine maps: towards negative infinity.
mlir::Value emitColumns(mlir::OpBuilder &builder, mlir::Location loc, mlir::AffineExpr expr,
                        mlir::Value column);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_COLUMNACCESS_H
