//===- EmitGroups.cpp - tokens grouped by expert --------------------------===//
//
// One tile chooses the experts of all tokens and sorts the slots. What follows reads tiles whose
// number only the device knows.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "compiler/microkernels/Microkernels.h"
#include "passes/Formats.h"
#include "runtime/format/KernelAbi.h"

#include <cstddef>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static_assert(offsetof(l4_group_tile, expert) == 0 && offsetof(l4_group_tile, first_row) == 4 &&
                  offsetof(l4_group_tile, rows) == 8 && offsetof(l4_group_tile, count) == 12,
              "l4_group_tile is append-only");

LogicalResult kernel::emitGroupTile(KernelFrame &frame, lm::GroupByExpertOp op) {
  Ir &ir = frame.ir;
  RankedTensorType logits = op.getLogits().getType();
  SmallVector<Value> arguments = {frame.bindings.lookup(op.getLogits()),
                                  ir.index(storedRowBytes(logits) / 4),
                                  frame.symbol,
                                  ir.index(logits.getDimSize(1)),
                                  ir.index(static_cast<int64_t>(op.getTop())),
                                  ir.index(static_cast<int64_t>(op.getTile()))};
  for (Value result : op.getResults())
    arguments.push_back(frame.bindings.lookup(result));
  arguments.append({ir.index(L4_ROW_ALIGN), frame.scratch});
  callCore(ir, microkernels::groupCore().symbol, arguments);
  return success();
}

GroupTile kernel::loadGroupTile(Ir &ir, Value tiles, Value index) {
  Value tile = ir.at(tiles, ir.mul(index, L4_ROW_ALIGN));
  return {ir.loadInt32(ir.at(tile, offsetof(l4_group_tile, expert))),
          ir.loadInt32(ir.at(tile, offsetof(l4_group_tile, first_row))),
          ir.loadInt32(ir.at(tile, offsetof(l4_group_tile, rows)))};
}

Value kernel::loadGroupCount(Ir &ir, Value tiles) {
  return ir.loadInt32(ir.at(tiles, offsetof(l4_group_tile, count)));
}
