//===- EmitKernel.h - one cmd.kernel as one function -------------*- C++ -*-===//
#ifndef LLAMA4_PASSES_KERNEL_EMITKERNEL_H
#define LLAMA4_PASSES_KERNEL_EMITKERNEL_H

#include "dialects/cmd/Cmd.h"
#include "passes/kernel/RegionEmitter.h"

namespace llama4::kernel {

/// Builds  llvm.func @name(%dispatch, %begin, %end, %scratch)  with the kernel's code in front of
/// the kernel and erases the kernel. Adds the kernel's gathers to `numGathers`.
mlir::LogicalResult emitKernel(mlir::OpBuilder &builder, cmd::KernelOp kernel, int64_t &numGathers);

// What one tile computes; `tile` is its i64 index in the grid. Row.cpp, Linear.cpp, Attention.cpp.
mlir::LogicalResult emitEmbedTile(KernelFrame &frame, lm::EmbedOp op, mlir::Value tile);
mlir::LogicalResult emitRowTile(KernelFrame &frame, lm::RowOp op, mlir::Value tile);
mlir::LogicalResult emitLinearTile(KernelFrame &frame, lm::LinearOp op, mlir::Value tile);
mlir::LogicalResult emitAttentionTile(KernelFrame &frame, lm::AttentionOp op, mlir::Value tile);
mlir::LogicalResult emitGroupTile(KernelFrame &frame, lm::GroupByExpertOp op);

mlir::LogicalResult emitUnitAttentionTile(KernelFrame &frame, lm::UnitAttentionOp op,
                                          mlir::Value tile);
mlir::LogicalResult emitCrossAttentionTile(KernelFrame &frame, lm::CrossAttentionOp op,
                                           mlir::Value tile);
mlir::LogicalResult emitMoveTile(KernelFrame &frame, mlir::Operation *op, mlir::Value tile);

/// Where the rows of a block of a contraction over units lie, i64.
struct RowTile {
  mlir::Value unit, first, count; ///< `first` counts from the unit's first row
};
RowTile locateRows(Ir &ir, mlir::Value block, int64_t rows, target::CoreAttr core);

/// The fields of tile `index` of `lm.group_by_expert`, i64.
struct GroupTile {
  mlir::Value expert, firstRow, rows;
};
GroupTile loadGroupTile(Ir &ir, mlir::Value tiles, mlir::Value index);
/// The number of tiles that have rows, i64.
mlir::Value loadGroupCount(Ir &ir, mlir::Value tiles);

/// Calls the micro-kernel `symbol`, declared at the top of the module where it isn't yet. Gives
/// what it returns, null where `result` is.
mlir::Value callCore(Ir &ir, llvm::StringRef symbol, mlir::ValueRange arguments,
                     mlir::Type result = {});

/// scf.for over i64 [0, end) around `body`, which gets the index.
void forEach(Ir &ir, mlir::Value end, llvm::function_ref<void(mlir::Value)> body);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_EMITKERNEL_H
