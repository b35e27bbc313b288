//===- Units.h - tiles, units and scratch of kernels -------------*- C++ -*-===//
//
// What fusion, lowering and code generation must agree on about a kernel before there is code: how
// many columns one tile of a contraction holds, how many tiles there are, and how much private
// memory a worker needs. Nothing here changes IR.
//
// A tile of a linear is `tokens` tokens (its core attribute) x one unit of one group. A unit is a
// whole number of weight panels, of rotated and reduced heads and of quantization blocks, so that
// an epilogue never needs an element of another tile. The last unit of a group may be cut by the
// group's width.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL_UNITS_H
#define LLAMA4_PASSES_KERNEL_UNITS_H

#include "compiler/microkernels/Microkernels.h"
#include "dialects/cmd/Cmd.h"

#include "mlir/IR/AffineMap.h"

namespace llama4::kernel {

/// Widest unit in columns: a tile of 64 tokens then fits the second-level cache.
inline constexpr int64_t maxUnitColumns = 1024;

/// The fewest columns of `results` that hold whole blocks of each: 1 where none is quantized.
int64_t storedBlock(mlir::ValueRange results);

/// Columns of one unit of `group`, or 0 where its epilogue has no unit: it reduces over the row,
/// rotates or reduces heads that don't divide the width, or needs more than `maxUnitColumns` at
/// once.
int64_t linearUnit(lm::LinearOp op, unsigned group);

/// Units of all groups together; 0 when a group has no unit.
int64_t linearUnits(lm::LinearOp op);

/// Columns of one attention tile (the query heads of one KV head), or 0 where the epilogue has no
/// such unit.
int64_t attentionUnit(lm::AttentionOp op);

/// True when the keys of each token are divided among tiles: by the core that the op names.
bool isSplit(lm::AttentionOp op);

/// What the tiles of a kernel of `op` share, as the types of cmd.kernel's workspace; empty for
/// most. A split attention: the parts of each token's KV heads, and a counter for each of them.
llvm::SmallVector<mlir::Type> workspaceTypes(mlir::Operation *op);

/// The same as an attribute, null where there is none.
mlir::ArrayAttr workspaceAttr(mlir::Operation *op);

/// Checks that a cmd.kernel has the grid and the workspace that its op needs.
mlir::LogicalResult verifyShape(cmd::KernelOp kernel);

/// Checks that the tiles of `groups` are ones that the grouped linear `op` can compute: no more
/// rows than its own, experts that its weights have.
mlir::LogicalResult verifyGroups(lm::LinearOp op, lm::GroupByExpertOp groups);

/// Rows of one tile of a contraction over units of `rows` rows: as many in each tile of a unit as
/// can be, at most `most`.
int64_t unitTokens(int64_t rows, int64_t most);

/// Tiles of rows of a unit of a contraction over units, by its core.
int64_t unitTiles(int64_t rows, target::CoreAttr core);

/// True when every epilogue of `op` has a unit; true for ops without epilogues.
bool hasUnits(mlir::Operation *op);

/// Tiles of a kernel that holds `op`, as a map of the entry's symbol. Null where `op` has no units
/// or is a contraction without core.
mlir::AffineMap kernelGrid(mlir::Operation *op);

/// True when the contraction writes its results itself and there is no tile in scratch: the
/// epilogue is the identity and everything is stored as f32.
bool isDirect(lm::LinearOp op, unsigned group);
bool isDirect(lm::AttentionOp op);

/// True for ops that fill a row in scratch before they are read: reductions over heads, and
/// rotations whose partner columns don't lie in memory anyway or next to them in registers.
bool needsSlot(mlir::Operation *op);

/// Private memory of a worker: the tile, then what the core wants, then one float row per op that
/// `needsSlot`. Parts start at multiples of 64 bytes.
struct ScratchPlan {
  int64_t tile = 0;
  int64_t core = 0;
  int64_t slots = 0;
  int64_t bytes() const { return tile + core + slots; }
};
ScratchPlan rowScratch(lm::RowOp op);
ScratchPlan linearScratch(lm::LinearOp op, unsigned group);
ScratchPlan attentionScratch(lm::AttentionOp op);
int64_t unitAttentionScratch(lm::UnitAttentionOp op);
/// The core for the op's element type.
const microkernels::UnitAttentionCore &unitAttentionCore(lm::UnitAttentionOp op);
int64_t crossAttentionScratch(lm::CrossAttentionOp op);

/// Heads of keys and values of cross-attention.
int64_t crossKvHeads(lm::CrossAttentionOp op);

/// On an lm.linear: the library that computes it ("onednn"). Its tiles are calls of the library
/// (LibraryCall.h), there is no code for it and no core.
inline constexpr llvm::StringLiteral libraryAttrName = "lm.library";

/// Why no library can compute `op`; empty when one can: without epilogues, over the rows of units,
/// so that what it multiplies does not depend on the step.
llvm::StringRef whyNoLibrary(lm::LinearOp op);

/// Checks that a library that `op` names can compute it. True for ops that name none.
mlir::LogicalResult verifyLibrary(mlir::Operation *op);

/// Bytes of one slot of a region over `width` columns.
int64_t slotBytes(int64_t width);

/// Bytes of scratch that a kernel needs; what the kernel table of the program says.
int64_t kernelScratchBytes(cmd::KernelOp kernel);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_UNITS_H
