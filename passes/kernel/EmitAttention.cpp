//===- EmitAttention.cpp - one tile of attention --------------------------===//
//
// A tile is a block of tokens x the query heads of one KV head. The core writes float rows, into
// the tile in scratch or directly into the result; then the epilogue runs token by token.
//
// Where the keys of a token are divided, a tile is one of the divisions of a token x a KV head.
// What they give lies in the workspace until the tile that ends last writes the row, and the
// epilogue runs in that tile.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "passes/Formats.h"
#include "passes/kernel/StepAbi.h"
#include "passes/kernel/Units.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

/// Checks that the op names a core that reads the state's elements, with tiles that it can have.
static LogicalResult checkCore(lm::AttentionOp op) {
  lm::KvLayerType kv = op.getKv().getType();
  std::optional<microkernels::KvType> type = getKvType(kv.getElementType());
  const microkernels::AttentionCore *core = type ? microkernels::findAttention(*type) : nullptr;
  if (!core || kvPageBytes(kv) == 0)
    return op.emitOpError("reads ") << kv << ", but no micro-kernel does";
  if (!isSplit(op) && op.getCoreAttr().getSymbol() != StringRef(core->symbol))
    return op.emitOpError("names the core ")
           << op.getCoreAttr().getSymbol() << ", expected " << StringRef(core->symbol);
  if (isSplit(op) && op.getCoreAttr().getTokens() != 1)
    return op.emitOpError("divides keys among tiles of ")
           << op.getCoreAttr().getTokens() << " tokens, expected tiles of one";
  return success();
}

namespace {

/// What is known about a tile of attention.
struct AttentionTile {
  Value kvHead, firstToken, numTokens;
  Value out;         ///< row of the first token
  int64_t rowFloats; ///< floats between rows of `out`
};

} // namespace

static void emitCore(KernelFrame &frame, lm::AttentionOp op, const AttentionTile &tile,
                     Value coreScratch) {
  Ir &ir = frame.ir;
  lm::KvLayerType kv = op.getKv().getType();
  int64_t group = attentionUnit(op) / kv.getDim();
  int64_t queryFloats = storedRowBytes(op.getQuery().getType()) / 4;
  Value scale = ir.make<arith::ConstantOp>(op.getScaleAttr());
  callCore(ir, op.getCoreAttr().getSymbol(),
           {tile.out, ir.index(tile.rowFloats), frame.bindings.lookup(op.getQuery()),
            ir.index(queryFloats), frame.step, ir.index(kv.getKind()),
            frame.bindings.lookup(op.getKv()), tile.kvHead, tile.firstToken,
            ir.add(tile.firstToken, tile.numTokens), ir.index(kv.getHeads()), ir.index(group),
            ir.index(kv.getDim()), ir.index(op.getChunk().value_or(0)), scale, coreScratch});
}

/// Calls the core for division `part` of the tile's one token, and opens the branch that runs where
/// the row is written.
static void emitSplitCore(KernelFrame &frame, lm::AttentionOp op, const AttentionTile &tile,
                          Value part, Value coreScratch) {
  Ir &ir = frame.ir;
  lm::KvLayerType kv = op.getKv().getType();
  int64_t group = attentionUnit(op) / kv.getDim();
  int64_t queryFloats = storedRowBytes(op.getQuery().getType()) / 4;
  Value scale = ir.make<arith::ConstantOp>(op.getScaleAttr());
  // What the tiles of this token and KV head share.
  SmallVector<Type> types = workspaceTypes(op);
  int64_t each[] = {microkernels::splitAttentionFloats(group, kv.getDim()),
                    microkernels::splitAttentionCounters()};
  Value shared[2];
  for (int i = 0; i < 2; ++i)
    shared[i] =
        ir.at(frame.workspace[i],
              ir.add(ir.mul(tile.firstToken, storedRowBytes(cast<RankedTensorType>(types[i]))),
                     ir.mul(tile.kvHead, each[i] * 4)));
  Value written = callCore(
      ir, op.getCoreAttr().getSymbol(),
      {tile.out, frame.bindings.lookup(op.getQuery()), ir.index(queryFloats), frame.step,
       ir.index(kv.getKind()), frame.bindings.lookup(op.getKv()), tile.kvHead, tile.firstToken,
       part, ir.index(kv.getHeads()), ir.index(group), ir.index(kv.getDim()),
       ir.index(op.getChunk().value_or(0)), scale, shared[0], shared[1], coreScratch},
      ir.b.getI32Type());
  Value nothing = ir.intLike(ir.b.getI32Type(), 0);
  auto branch = ir.make<scf::IfOp>(ir.less(nothing, written), /*withElseRegion=*/false);
  ir.b.setInsertionPointToStart(&branch.getThenRegion().front());
}

LogicalResult kernel::emitAttentionTile(KernelFrame &frame, lm::AttentionOp op, Value tileIndex) {
  Ir &ir = frame.ir;
  int64_t columns = op.getQuery().getType().getDimSize(1);
  if (failed(checkCore(op)) || failed(checkRegion(op, op.getEpilogue().front(), columns)))
    return failure();
  int64_t heads = op.getKv().getType().getHeads(), tokens = op.getCoreAttr().getTokens();
  int64_t parts = isSplit(op) ? microkernels::kAttentionParts : 1;
  int64_t unit = attentionUnit(op);
  ScratchPlan plan = attentionScratch(op);
  Value block = ir.div(tileIndex, parts);
  AttentionTile tile;
  tile.kvHead = ir.rem(block, heads);
  tile.firstToken = ir.mul(ir.div(block, heads), tokens);
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
  OpBuilder::InsertionGuard guard(ir.b);
  if (isSplit(op))
    emitSplitCore(frame, op, tile, ir.rem(tileIndex, parts), ir.at(frame.scratch, plan.tile));
  else
    emitCore(frame, op, tile, ir.at(frame.scratch, plan.tile));
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
