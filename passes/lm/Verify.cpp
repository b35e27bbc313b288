//===- Verify.cpp - what is left can be lowered ---------------------------===//

#include "passes/Passes.h"

namespace llama4 {
#define GEN_PASS_DEF_LMVERIFY
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

LogicalResult verifyOp(Operation &op) {
  if (auto load = dyn_cast<lm::LoadParamOp>(op)) {
    auto type = cast<RankedTensorType>(load.getType());
    if (!isa_and_nonnull<target::LayoutAttr>(type.getEncoding()))
      return load.emitOpError("has no layout; run lm-select-layout");
    return success();
  }
  if (auto linear = dyn_cast<lm::LinearOp>(op); linear && !linear.getCoreAttr())
    return linear.emitOpError("has no micro-kernel; run lm-select-layout");
  if (auto attention = dyn_cast<lm::AttentionOp>(op); attention && !attention.getCoreAttr())
    return attention.emitOpError("has no micro-kernel; run lm-select-layout");
  if (isa<lm::KvLayerOp, lm::EmbedOp, lm::RowOp, lm::LinearOp, lm::AttentionOp, func::ReturnOp>(op))
    return success();
  if (isa<lm::RowOpInterface>(op))
    return op.emitOpError("is row work by name; run lm-form-rows");
  return op.emitOpError(
      "cannot be lowered; entries hold look-ups, row work, linears and attention");
}

struct LmVerifyPass : llama4::impl::LmVerifyBase<LmVerifyPass> {
  void runOnOperation() override {
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (!lm::getEntry(func)) {
        func.emitError("function '") << func.getName() << "' is no entry; give it lm.entry";
        return signalPassFailure();
      }
      for (Operation &op : func.getBody().front())
        if (failed(verifyOp(op)))
          return signalPassFailure();
    }
  }
};

} // namespace
