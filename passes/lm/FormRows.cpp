//===- FormRows.cpp - named row work becomes lm.row -----------------------===//

#include "passes/Passes.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_LMFORMROWS
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// The location of an op with the op's name put before each module path: from here on row work has
/// no name of its own, and reports still say what a dispatch computes.
Location nameSources(Location loc, StringRef op) {
  MLIRContext *context = loc.getContext();
  if (auto name = dyn_cast<NameLoc>(loc))
    return NameLoc::get(StringAttr::get(context, op + " " + name.getName().getValue()),
                        name.getChildLoc());
  auto fused = dyn_cast<FusedLoc>(loc);
  if (!fused)
    return NameLoc::get(StringAttr::get(context, op), loc);
  SmallVector<Location> parts;
  for (Location part : fused.getLocations())
    parts.push_back(nameSources(part, op));
  return FusedLoc::get(parts, fused.getMetadata(), context);
}

struct LmFormRowsPass : llama4::impl::LmFormRowsBase<LmFormRowsPass> {
  void runOnOperation() override {
    SmallVector<lm::RowOpInterface> ops;
    getOperation()->walk([&](Operation *op) {
      if (isa<lm::RowOpInterface, lm::EmbedOp, lm::LinearOp, lm::AttentionOp>(op))
        op->setLoc(nameSources(op->getLoc(), op->getName().stripDialect()));
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
