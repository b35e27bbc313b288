//===- EmitRows.cpp - the pass kernel-emit-rows ---------------------------===//

#include "passes/kernel/EmitKernel.h"
#include "passes/kernel/KernelPasses.h"
#include "passes/kernel/Units.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace llama4::kernel {
#define GEN_PASS_DEF_KERNELEMITROWS
#include "passes/kernel/KernelPasses.h.inc"
} // namespace llama4::kernel

using namespace mlir;
using namespace llama4;

namespace {

struct KernelEmitRowsPass : kernel::impl::KernelEmitRowsBase<KernelEmitRowsPass> {
  void runOnOperation() override {
    OpBuilder builder(&getContext());
    int64_t gathers = 0;
    // Entries and parameters refer to kernels and to each other: they go first.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*getOperation().getBody())))
      if (!isa<cmd::KernelOp, LLVM::LLVMFuncOp>(op))
        op.erase();
    SmallVector<cmd::KernelOp> kernels(getOperation().getOps<cmd::KernelOp>());
    for (cmd::KernelOp kernel : kernels) {
      if (kernel.getFusedOp()->hasAttr(kernel::libraryAttrName)) {
        kernel.erase(); // no code of ours
        continue;
      }
      if (failed(kernel::emitKernel(builder, kernel, gathers)))
        return signalPassFailure();
      ++numKernels;
    }
    numGathers += gathers;
  }
};

} // namespace

void kernel::addEmitPasses(OpPassManager &manager) {
  manager.addPass(createKernelEmitRows());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void kernel::addLoweringPasses(OpPassManager &manager) {
  manager.addPass(createKernelExpandMath());
  manager.addPass(createKernelToLlvm());
}
