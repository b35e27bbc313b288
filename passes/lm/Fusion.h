//===- Fusion.h - what the fusions of row work share ------------*- C++ -*-===//
//
// A fusion inlines the body of one region into another: loads of the producer's results become the
// scalars that the producer would have yielded.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_LM_FUSION_H
#define LLAMA4_PASSES_LM_FUSION_H

#include "dialects/lm/Lm.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace llama4::lm {

/// Scalars that stand for tensors while a body is inlined.
using KnownElements = llvm::SmallDenseMap<mlir::Value, mlir::Value>;

/// The location of an op with the op's name put before each module path: from there on row work has
/// no name of its own, and reports still say what a dispatch computes.
mlir::Location nameSources(mlir::Location loc, llvm::StringRef op);

/// The module paths that a location was made from, each once, in order.
llvm::SmallVector<mlir::StringAttr> getSources(mlir::Location loc);

/// Adds why `pass` left `op` as it is to what reports say about it (lm.unfused).
void noteUnfused(mlir::Operation *op, llvm::StringRef pass, const llvm::Twine &reason);

/// Keeps the reasons of `from` on the op that takes its place.
void keepReasons(mlir::Operation *from, mlir::Operation *to);

/// What a reason calls another op: the last of the places it came from, or its name.
std::string nameInReasons(mlir::Operation *op);

/// The reason of a fusion that was switched off.
inline constexpr llvm::StringRef switchedOff = "the pass is switched off";

/// True when `row` reads `tensor` only at the current row and column.
bool readsElementwise(RowOp row, mlir::Value tensor);

/// True when `row` reads any result of `producer`.
bool readsResultOf(RowOp row, mlir::Operation *producer);

/// Clones the ops of `block` except its terminator at the builder's insertion point; loads of
/// tensors in `known` become their scalars, block arguments what `mapping` says. Returns the
/// scalars that the terminator yields.
llvm::SmallVector<mlir::Value> inlineBody(mlir::OpBuilder &builder, mlir::Block &block,
                                          mlir::IRMapping &mapping, const KnownElements &known);

/// True when every use of `producer` other than `consumer` comes after `consumer` in their block.
bool isFirstUser(mlir::Operation *producer, mlir::Operation *consumer);

/// Moves the side-effect free ops that `op` needs and that stand after `place` before `place`;
/// false, with nothing moved, when a value that is computed by other ops is needed.
bool hoistOperandsBefore(mlir::Operation *op, mlir::Operation *place);

} // namespace llama4::lm

#endif // LLAMA4_PASSES_LM_FUSION_H
