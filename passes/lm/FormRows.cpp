//===- FormRows.cpp - named row work becomes lm.row -----------------------===//

#include "passes/Passes.h"
#include "passes/lm/Fusion.h"

namespace llama4 {
#define GEN_PASS_DEF_LMFORMROWS
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct LmFormRowsPass : llama4::impl::LmFormRowsBase<LmFormRowsPass> {
  void runOnOperation() override {
    SmallVector<lm::RowOpInterface> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<lm::RowOpInterface>(op) || lm::isKernelWork(op))
        op->setLoc(lm::nameSources(op->getLoc(), op->getName().stripDialect()));
      if (auto row = dyn_cast<lm::RowOpInterface>(op))
        ops.push_back(row);
    });
    for (lm::RowOpInterface op : ops) {
      OpBuilder builder(op);
      auto row = lm::RowOp::create(builder, op.getLoc(), op->getResultTypes(), op.getRowWidth());
      builder.createBlock(&row.getBody());
      SmallVector<Value> yields;
      op.buildRowBody(builder, yields);
      lm::YieldOp::create(builder, op.getLoc(), yields);
      op->replaceAllUsesWith(row);
      op->erase();
      ++numRows;
    }
  }
};

} // namespace
