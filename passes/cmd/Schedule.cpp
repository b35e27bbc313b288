//===- Schedule.cpp - what a worker needs to run each kernel --------------===//

#include "passes/Passes.h"
#include "passes/kernel/Units.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_CMDSCHEDULE
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct CmdSchedulePass : llama4::impl::CmdScheduleBase<CmdSchedulePass> {
  void runOnOperation() override {
    llvm::DenseSet<StringAttr> used;
    getOperation()->walk([&](cmd::DispatchOp dispatch) {
      used.insert(dispatch.getKernelAttr().getAttr());
      ++numDispatches;
    });
    Builder builder(&getContext());
    for (auto op : llvm::make_early_inc_range(getOperation().getOps<cmd::KernelOp>())) {
      if (!used.contains(op.getSymNameAttr()))
        op.erase();
      else
        op.setScratchAttr(builder.getI64IntegerAttr(kernel::kernelScratchBytes(op)));
    }
  }
};

} // namespace
