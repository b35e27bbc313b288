//===- OutlineKernels.cpp - every fused op becomes a kernel and a call ----===//

#include "passes/Passes.h"
#include "passes/kernel/Units.h"
#include "passes/lm/Fusion.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"

namespace llama4 {
#define GEN_PASS_DEF_LOWEROUTLINEKERNELS
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// Where an op came from: its own places, or its name where it has none.
ArrayAttr getSources(Operation *op) {
  SmallVector<StringAttr> sources = lm::getSources(op->getLoc());
  if (sources.empty())
    sources.push_back(op->getName().getIdentifier());
  SmallVector<Attribute> attrs(sources.begin(), sources.end());
  return ArrayAttr::get(op->getContext(), attrs);
}

struct LowerOutlineKernelsPass : llama4::impl::LowerOutlineKernelsBase<LowerOutlineKernelsPass> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    for (auto func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!lm::getEntry(func))
        continue;
      SmallVector<Operation *> fused;
      for (Operation &op : func.getBody().front())
        if (lm::isKernelWork(&op))
          fused.push_back(&op);
      for (Operation *op : fused)
        if (failed(outline(op, func, symbols)))
          return signalPassFailure();
    }
  }

private:
  LogicalResult outline(Operation *op, func::FuncOp func, SymbolTable &symbols) {
    AffineMap grid = kernel::kernelGrid(op);
    if (!grid)
      return op->emitOpError("has no tiles: its epilogue has no unit, or it names no core; run the "
                             "lm passes first");
    llvm::SetVector<Value> inputs(op->operand_begin(), op->operand_end());
    getUsedValuesDefinedAbove(op->getRegions(), inputs);
    std::string name = (func.getName() + "_" + op->getName().stripDialect()).str();
    OpBuilder builder(func);
    auto outlined = cmd::KernelOp::create(builder, op->getLoc(), name, grid,
                                          kernel::workspaceAttr(op), IntegerAttr());
    symbols.insert(outlined); // makes the name unique
    Block *block = builder.createBlock(&outlined.getBody());
    IRMapping mapping;
    for (Value input : inputs)
      mapping.map(input, block->addArgument(input.getType(), op->getLoc()));
    Operation *body = builder.clone(*op, mapping);
    body->removeAttr(lm::unfusedAttrName); // of this place; kernels are shared between places
    cmd::YieldOp::create(builder, op->getLoc(), body->getResults());
    builder.setInsertionPoint(op);
    auto call = cmd::CallOp::create(builder, op->getLoc(), op->getResultTypes(),
                                    outlined.getSymName(), inputs.getArrayRef(), getSources(op));
    lm::keepReasons(op, call);
    op->replaceAllUsesWith(call);
    op->erase();
    ++numKernels;
    return success();
  }
};

} // namespace
