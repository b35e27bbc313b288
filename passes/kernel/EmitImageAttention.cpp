//===- EmitImageAttention.cpp - one tile of attention without pages -------===//
//
// A tile of unit attention is a block of the rows of a unit x one head; of cross-attention, a block
// of tokens x the query heads of one KV head. The core writes the result.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "compiler/microkernels/Microkernels.h"
#include "passes/kernel/Units.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static constexpr int64_t kFloat = sizeof(float);

/// Checks that `op` names the core of its kind and gives it no more rows than it takes.
static LogicalResult checkCore(Operation *op, target::CoreAttr core, StringRef symbol,
                               int64_t most) {
  if (core.getSymbol() != symbol || core.getTokens() > most)
    return op->emitOpError("names the core ")
           << core.getSymbol() << " for " << core.getTokens() << " rows, expected " << symbol
           << " for at most " << most;
  return success();
}

LogicalResult kernel::emitUnitAttentionTile(KernelFrame &frame, lm::UnitAttentionOp op,
                                            Value tile) {
  Ir &ir = frame.ir;
  StringRef symbol = unitAttentionCore(op).symbol;
  if (failed(checkCore(op, op.getCoreAttr(), symbol, microkernels::kUnitAttentionRows)))
    return failure();
  RankedTensorType type = op.getType();
  auto heads = static_cast<int64_t>(op.getHeads());
  int64_t rows = lm::getRowsPerSymbol(type), dim = lm::getColumns(type) / heads;
  int64_t element = op.getQuery().getType().getElementTypeBitWidth() / 8;
  RowTile found = locateRows(ir, ir.div(tile, heads), rows, op.getCoreAttr());
  Value firstRow = ir.mul(found.unit, rows);
  Value head = ir.rem(tile, heads);
  auto at = [&](Value tensor, Value row, int64_t elementBytes) {
    int64_t bytes = storedRowBytes(cast<RankedTensorType>(tensor.getType()));
    return ir.at(frame.bindings.lookup(tensor),
                 ir.add(ir.mul(row, bytes), ir.mul(head, dim * elementBytes)));
  };
  Value pictures = ir.index(1);
  if (Value counts = op.getPictures())
    pictures = ir.loadInt32(ir.at(frame.bindings.lookup(counts), ir.mul(found.unit, 4)));
  Value scale = ir.make<arith::ConstantOp>(op.getScaleAttr());
  callCore(ir, symbol,
           {at(op.getResult(), ir.add(firstRow, found.first), kFloat),
            ir.index(storedRowBytes(type) / kFloat), at(op.getQuery(), firstRow, element),
            at(op.getKey(), firstRow, element), at(op.getValue(), firstRow, element),
            ir.index(storedRowBytes(op.getQuery().getType()) / element), found.first,
            ir.add(found.first, found.count), ir.index(rows), ir.index(dim),
            ir.index(static_cast<int64_t>(op.getGroups().value_or(1))),
            ir.index(static_cast<int64_t>(op.getReal().value_or(rows))), pictures, scale,
            frame.scratch});
  return success();
}

LogicalResult kernel::emitCrossAttentionTile(KernelFrame &frame, lm::CrossAttentionOp op,
                                             Value tile) {
  Ir &ir = frame.ir;
  StringRef symbol = microkernels::findCrossAttention()->symbol;
  if (failed(checkCore(op, op.getCoreAttr(), symbol, microkernels::kAttentionTokens)))
    return failure();
  RankedTensorType type = op.getType(), key = op.getKey().getType();
  auto heads = static_cast<int64_t>(op.getHeads()), groups = static_cast<int64_t>(op.getGroups());
  int64_t kvHeads = crossKvHeads(op), dim = lm::getColumns(type) / heads;
  int64_t group = heads / kvHeads, tokens = op.getCoreAttr().getTokens();
  int64_t bytes = storedRowBytes(type), keyBytes = storedRowBytes(key);
  Value kvHead = ir.rem(tile, kvHeads), first = ir.mul(ir.div(tile, kvHeads), tokens);
  Value end = ir.min(frame.symbol, ir.add(first, tokens));
  Value column = ir.mul(kvHead, group * dim * kFloat), keyColumn = ir.mul(kvHead, dim * kFloat);
  auto bound = [&](Value tensor) { return frame.bindings.lookup(tensor); };
  Value scale = ir.make<arith::ConstantOp>(op.getScaleAttr());
  callCore(ir, symbol,
           {ir.at(bound(op.getResult()), ir.add(ir.mul(first, bytes), column)),
            ir.index(bytes / kFloat), ir.at(bound(op.getQuery()), column), ir.index(bytes / kFloat),
            ir.at(bound(op.getKey()), keyColumn), ir.at(bound(op.getValue()), keyColumn),
            ir.index(keyBytes / kFloat), bound(op.getFirst()), bound(op.getCount()),
            bound(op.getTiles()), first, end, ir.index(groups),
            ir.index(lm::getRowsPerSymbol(key) / groups), ir.index(group), ir.index(dim), scale,
            frame.scratch});
  return success();
}
