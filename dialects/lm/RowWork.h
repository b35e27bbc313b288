//===- RowWork.h - what verifiers and bodies of row work share --*- C++ -*-===//
//
// Private to the dialect.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_LM_ROWWORK_H
#define LLAMA4_DIALECTS_LM_ROWWORK_H

#include "dialects/lm/Lm.h"

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/Builders.h"

namespace llama4::lm {

/// Columns of a tensor value.
int64_t columnsOf(mlir::Value value);

/// An lm.element of `source` at the current row, or at the row that `rows` names.
mlir::Value element(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value source,
                    mlir::Value rows = {}, mlir::AffineMap column = {});

mlir::Value constant(mlir::OpBuilder &builder, mlir::Location loc, float value);

/// A row vector must have as many elements as the rows have columns.
mlir::LogicalResult verifyRowVector(mlir::Operation *op, mlir::Value vector, int64_t width,
                                    llvm::StringRef what);

/// A row vector of `rows`, or [R, columns]: a vector for each row of a unit of R rows, over and
/// over.
mlir::LogicalResult verifyRowVectors(mlir::Operation *op, mlir::Value vectors, mlir::Value rows,
                                     llvm::StringRef what);

/// Inputs of row work are [symbol, columns].
mlir::LogicalResult verifyRows(mlir::Operation *op, mlir::Value value);

/// Those of row work that units may have are that, or [symbol, rows of a unit, columns].
mlir::LogicalResult verifyUnitRows(mlir::Operation *op, mlir::Value value);

/// An eps is no number below 0.
mlir::LogicalResult verifyEps(mlir::Operation *op, const llvm::APFloat &eps);

} // namespace llama4::lm

#endif // LLAMA4_DIALECTS_LM_ROWWORK_H
