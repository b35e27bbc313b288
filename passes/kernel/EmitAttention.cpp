//===- EmitAttention.cpp - one tile of attention --------------------------===//
//
// A tile is a block of tokens x the query heads of one KV head. The core writes float rows, into
// the tile in scratch or directly into the result; then the epilogue runs token by token.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "passes/Formats.h"
#include "passes/kernel/StepAbi.h"
#include "passes/kernel/Units.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

/// The core for the state's elements, or null after an error.
static const microkernels::AttentionCore *coreOf(lm::AttentionOp op) {
  lm::KvLayerType kv = op.getKv().getType();
  std::optional<microkernels::KvType> type = getKvType(kv.getElementType());
  const microkernels::AttentionCore *core = type ? microkernels::findAttention(*type) : nullptr;
  if (!core || kvPageBytes(kv) == 0)
    op.emitOpError("reads ") << kv << ", but no micro-kernel does";
  else if (op.getCoreAttr().getSymbol() != StringRef(core->symbol))
    op.emitOpError("names the core ")
        << op.getCoreAttr().getSymbol() << ", expected " << StringRef(core->symbol);
  else
    return core;
  return nullptr;
}

namespace {

/// What is known about a tile of attention.
struct AttentionTile {
  Value kvHead, firstToken, numTokens;
  Value out;         ///< row of the first token
  int64_t rowFloats; ///< floats between rows of `out`
};

} // namespace

static void emitCore(KernelFrame &frame, lm::AttentionOp op, StringRef symbol,
                     const AttentionTile &tile, Value coreScratch) {
  Ir &ir = frame.ir;
  lm::KvLayerType kv = op.getKv().getType();
  int64_t group = attentionUnit(op) / kv.getDim();
  int64_t queryFloats = storedRowBytes(op.getQuery().getType()) / 4;
  Value scale = ir.make<arith::ConstantOp>(op.getScaleAttr());
  callCore(ir, symbol,
           {tile.out, ir.index(tile.rowFloats), frame.bindings.lookup(op.getQuery()),
            ir.index(queryFloats), frame.step, ir.index(kv.getKind()),
            frame.bindings.lookup(op.getKv()), tile.kvHead, tile.firstToken,
            ir.add(tile.firstToken, tile.numTokens), ir.index(kv.getHeads()), ir.index(group),
            ir.index(kv.getDim()), ir.index(op.getChunk().value_or(0)), scale, coreScratch});
}

LogicalResult kernel::emitAttentionTile(KernelFrame &frame, lm::AttentionOp op, Value tileIndex) {
  Ir &ir = frame.ir;
  const microkernels::AttentionCore *core = coreOf(op);
  int64_t columns = op.getQuery().getType().getDimSize(1);
  if (!core || failed(checkRegion(op, op.getEpilogue().front(), columns)))
    return failure();
  int64_t heads = op.getKv().getType().getHeads(), tokens = op.getCoreAttr().getTokens();
  int64_t unit = attentionUnit(op);
  ScratchPlan plan = attentionScratch(op);
  AttentionTile tile;
  tile.kvHead = ir.rem(tileIndex, heads);
  tile.firstToken = ir.mul(ir.div(tileIndex, heads), tokens);
  tile.numTokens = ir.min(ir.sub(frame.symbol, tile.firstToken), ir.index(tokens));
  tile.out = frame.scratch;
  tile.rowFloats = slotBytes(unit) / 4;
  RegionSite site;
  site.base = ir.mul(tile.kvHead, unit);
  if (isDirect(op)) {
    int64_t bytes = storedRowBytes(cast<RankedTensorType>(op.getOutputs()[0].getType()));
    tile.rowFloats = bytes / 4;
    tile.out = ir.at(frame.bindings.lookup(op.getOutputs()[0]),
                     ir.add(ir.mul(tile.firstToken, bytes), ir.mul(site.base, 4)));
  }
  emitCore(frame, op, core->symbol, tile, ir.at(frame.scratch, plan.tile));
  if (isDirect(op))
    return success();
  site.body = &op.getEpilogue().front();
  site.results = op.getOutputs();
  site.width = unit;
  site.baseMultiple = unit;
  site.slots = ir.at(frame.scratch, plan.tile + plan.core);
  forEach(ir, tile.numTokens, [&](Value token) {
    site.row = ir.add(tile.firstToken, token);
    site.arguments = {ir.at(tile.out, ir.mul(token, tile.rowFloats * 4))};
    RegionEmitter(frame, site).emit();
  });
  return success();
}
