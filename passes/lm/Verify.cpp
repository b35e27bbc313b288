//===- Verify.cpp - what is left can be lowered ---------------------------===//

#include "passes/Formats.h"
#include "passes/Passes.h"
#include "passes/kernel/Units.h"

namespace llama4 {
#define GEN_PASS_DEF_LMVERIFY
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// State that keeps one chunk of a sequence is read by attention to that chunk alone.
LogicalResult verifyChunk(lm::AttentionOp attention) {
  auto layer = attention.getKv().getDefiningOp<lm::KvLayerOp>();
  int64_t kept = layer ? layer.getKv().getType().getChunk() : 0;
  int64_t read = static_cast<int64_t>(attention.getChunk().value_or(0));
  if (kept != 0 && read != kept)
    return attention.emitOpError("reads state that keeps chunks of ")
           << kept << " tokens, expected mask chunked with that chunk";
  return success();
}

/// Tiles of a core that divides the keys of a token have one token.
LogicalResult verifySplit(lm::AttentionOp attention) {
  if (kernel::isSplit(attention) && attention.getCoreAttr().getTokens() != 1)
    return attention.emitOpError("divides keys among tiles of ")
           << attention.getCoreAttr().getTokens() << " tokens, expected tiles of one";
  return success();
}

/// Rows of experts come in tiles that fit the linear, of as many experts as it has.
LogicalResult verifyTiles(lm::LinearOp linear) {
  if (!linear.getTiles())
    return success();
  auto groups = linear.getTiles().getDefiningOp<lm::GroupByExpertOp>();
  if (!groups || linear.getTiles() != groups.getTiles())
    return linear.emitOpError("has tiles that are not those of an lm.group_by_expert");
  return kernel::verifyGroups(linear, groups);
}

LogicalResult verifyOp(Operation &op) {
  if (auto load = dyn_cast<lm::LoadParamOp>(op)) {
    auto type = cast<RankedTensorType>(load.getType());
    if (!isa_and_nonnull<target::LayoutAttr>(type.getEncoding()))
      return load.emitOpError("has no layout; run lm-select-layout");
    return success();
  }
  if (isa<lm::LinearOp, lm::AttentionOp, lm::UnitAttentionOp, lm::CrossAttentionOp>(op) &&
      !op.getAttr("core") && !op.getAttr(kernel::libraryAttrName))
    return op.emitOpError("has no micro-kernel; run lm-select-layout");
  if (auto attention = dyn_cast<lm::AttentionOp>(op);
      attention && (failed(verifyChunk(attention)) || failed(verifySplit(attention))))
    return failure();
  if (auto linear = dyn_cast<lm::LinearOp>(op); linear && failed(verifyTiles(linear)))
    return failure();
  if (failed(kernel::verifyLibrary(&op)))
    return failure();
  if (!kernel::hasUnits(&op))
    return op.emitOpError("has an epilogue that no tile can compute; keep it an lm.row");
  if (failed(verifyWeights(&op)))
    return failure();
  if (isa<lm::KvLayerOp, func::ReturnOp>(op) || lm::isKernelWork(&op))
    return success();
  if (isa<lm::RowOpInterface>(op))
    return op.emitOpError("is row work by name; run lm-form-rows");
  if (isa<lm::RouteOp, lm::ExpertsOp>(op))
    return op.emitOpError("is a mixture of experts by name; run lm-plan-moe");
  return op.emitOpError(
      "cannot be lowered; entries hold look-ups, row work, linears, attention, groups and rows put "
      "in another order");
}

/// Inputs are rows of numbers, the batch and paged state.
LogicalResult verifyInputs(func::FuncOp func) {
  for (auto [index, type] : llvm::enumerate(func.getArgumentTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    bool fits = isa<lm::BatchType, lm::KvType>(type);
    if (tensor && tensor.getRank() >= 1 && tensor.getRank() <= 3)
      fits = getRowBytes(tensor) && tensor.getDimSize(0) != 0 &&
             llvm::all_of(tensor.getShape().drop_front(), [](int64_t n) { return n > 0; });
    if (!fits)
      return func.emitError("input ")
             << index << " is " << type
             << ", expected rows of numbers, the batch or paged state; weights are lm.param";
  }
  return success();
}

struct LmVerifyPass : llama4::impl::LmVerifyBase<LmVerifyPass> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!lm::getEntry(func)) {
        func.emitError("function '") << func.getName() << "' is no entry; give it lm.entry";
        return signalPassFailure();
      }
      if (failed(verifyInputs(func)))
        return signalPassFailure();
      for (Operation &op : func.getBody().front())
        if (failed(verifyOp(op)))
          return signalPassFailure();
    }
  }
};

} // namespace
