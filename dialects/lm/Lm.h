//===- Lm.h - the model dialect ---------------------------------*- C++ -*-===//
#ifndef LLAMA4_DIALECTS_LM_LM_H
#define LLAMA4_DIALECTS_LM_LM_H

#include "dialects/target/Target.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/lm/LmDialect.h.inc"
#include "dialects/lm/LmEnums.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/lm/LmTypes.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/lm/LmAttrs.h.inc"

namespace llama4::lm {

/// Paged keys and values, as a side-effect resource.
struct KvResource : mlir::SideEffects::Resource::Base<KvResource> {
  llvm::StringRef getName() final { return "KvResource"; }
};

inline constexpr llvm::StringLiteral entryAttrName = "lm.entry";
inline constexpr llvm::StringLiteral modelAttrName = "lm.model";
inline constexpr llvm::StringLiteral optionsAttrName = "lm.options";
/// On a fused op, later on its dispatch: why fusions left it alone, "PASS: REASON" each. Reports
/// only; no pass reads it and no kernel has it.
inline constexpr llvm::StringLiteral unfusedAttrName = "lm.unfused";
inline constexpr llvm::StringLiteral argNameAttrName = "lm.name";
inline constexpr llvm::StringLiteral argRoleAttrName = "lm.role";
inline constexpr llvm::StringLiteral argRopeAttrName = "lm.rope";
inline constexpr llvm::StringLiteral argTemperatureAttrName = "lm.temperature";

/// The entry that makes features of pictures. Its matrices are those of the image tower, which has
/// an encoding of its own.
inline constexpr llvm::StringLiteral towerEntryName = "encode_image";

/// The largest bound that an entry's symbol may have.
inline constexpr int64_t maxEntryBound = 1 << 24;

/// The most rows and columns of an lm.rope_grid.
inline constexpr uint64_t maxGridSide = 1 << 12;

/// The entry attribute of a function, or null when the function is no entry.
EntryAttr getEntry(mlir::func::FuncOp func);

/// Columns of a tensor: its innermost extent; 1 for a scalar or a vector over the symbol.
int64_t getColumns(mlir::RankedTensorType type);

/// Rows of a tensor of activations for each unit of the symbol: K of [?, K, N], 1 of [?, N] and
/// [?].
int64_t getRowsPerSymbol(mlir::RankedTensorType type);

/// K where a row op or the epilogue of a contraction runs on the rows of tensors [?, K, N], the
/// slots of a mixture of experts; 0 where it runs on those of tensors [?, N].
int64_t getRowSlots(mlir::Operation *op);

/// True for the ops that put rows in another order (`lm.patches` to `lm.merge_rows`).
bool isRowMove(mlir::Operation *op);

/// True for the ops of which a kernel holds exactly one.
bool isKernelWork(mlir::Operation *op);

/// Rows of one matrix of a weight: N of [N, K] and of [E, N, K].
int64_t getMatrixRows(mlir::RankedTensorType type);

/// Columns of a block of a tensor's elements: what its columns must be a multiple of; 1 for plain
/// elements.
int64_t getBlockColumns(mlir::Type element);

/// True for the blocks of activations, q8_32 and q8_128.
bool isActivationBlock(mlir::Type element);

/// True when `region` only yields its block arguments in order.
bool isIdentityEpilogue(mlir::Region &region);

/// Appends a block with `arguments` f32 arguments that yields them to `region`.
void buildIdentityEpilogue(mlir::OpBuilder &builder, mlir::Location loc, mlir::Region &region,
                           unsigned arguments);

} // namespace llama4::lm

#include "dialects/lm/LmInterfaces.h.inc"

#define GET_OP_CLASSES
#include "dialects/lm/LmOps.h.inc"

#endif // LLAMA4_DIALECTS_LM_LM_H
