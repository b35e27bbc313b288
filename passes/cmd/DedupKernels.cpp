//===- DedupKernels.cpp - identical kernels become one --------------------===//

#include "passes/Passes.h"

#include "mlir/IR/OperationSupport.h"

namespace llama4 {
#define GEN_PASS_DEF_CMDDEDUPKERNELS
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// A cheap key: kernels that differ in it are different.
llvm::hash_code hashKernel(cmd::KernelOp kernel) {
  llvm::hash_code hash = mlir::hash_value(kernel.getGrid());
  kernel.getBody().walk<WalkOrder::PreOrder>([&](Operation *op) {
    hash = llvm::hash_combine(hash, op->getName(), op->getAttrDictionary(),
                              op->getDiscardableAttrDictionary(), op->getNumOperands());
    for (Type type : op->getResultTypes())
      hash = llvm::hash_combine(hash, type);
  });
  return hash;
}

bool isSame(cmd::KernelOp a, cmd::KernelOp b) {
  return a.getGrid() == b.getGrid() &&
         OperationEquivalence::isRegionEquivalentTo(&a.getBody(), &b.getBody(),
                                                    OperationEquivalence::IgnoreLocations);
}

struct CmdDedupKernelsPass : llama4::impl::CmdDedupKernelsBase<CmdDedupKernelsPass> {
  void runOnOperation() override {
    llvm::DenseMap<size_t, SmallVector<cmd::KernelOp>> unique;
    llvm::DenseMap<StringAttr, FlatSymbolRefAttr> replaced;
    for (auto kernel : llvm::make_early_inc_range(getOperation().getOps<cmd::KernelOp>())) {
      SmallVector<cmd::KernelOp> &same = unique[hashKernel(kernel)];
      auto *it = llvm::find_if(same, [&](cmd::KernelOp other) { return isSame(other, kernel); });
      if (it == same.end()) {
        same.push_back(kernel);
        continue;
      }
      replaced[kernel.getSymNameAttr()] = FlatSymbolRefAttr::get(it->getSymNameAttr());
      kernel.erase();
      ++numRemoved;
    }
    getOperation()->walk([&](cmd::DispatchOp dispatch) {
      auto it = replaced.find(dispatch.getKernelAttr().getAttr());
      if (it != replaced.end())
        dispatch.setKernelAttr(it->second);
    });
  }
};

} // namespace
