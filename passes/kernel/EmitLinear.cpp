//===- EmitLinear.cpp - one tile of a linear ------------------------------===//
//
// A tile is a block of tokens, or of the rows of a unit, x one unit of one group; of a grouped
// linear, the rows of one tile of lm.group_by_expert x one unit. For every segment and every panel
// of the unit the core writes 16 columns of all tokens, into the tile in scratch (one float row per
// segment and token) or directly into the result; then the epilogue runs token by token.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "compiler/pack/Layout.h"
#include "passes/Formats.h"
#include "passes/kernel/Units.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static constexpr int64_t kPanel = microkernels::kPanelRows;

static RankedTensorType tensorOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// The core of one segment, or null after an error.
static const microkernels::LinearCore *coreOf(lm::LinearOp op, unsigned segment) {
  RankedTensorType input = tensorOf(op.getInput()), weight = tensorOf(op.getWeights()[segment]);
  const microkernels::LinearCore *core =
      findLinearCore(input.getElementType(), weight.getElementType());
  if (!core)
    op.emitOpError("multiplies ") << input << " with " << weight << ", but no micro-kernel does";
  else if (lm::getColumns(input) % core->kMultiple != 0)
    op.emitOpError("has rows of ")
        << lm::getColumns(input) << " columns, but " << StringRef(core->symbol)
        << " needs a multiple of " << core->kMultiple;
  else
    return core;
  return nullptr;
}

namespace {

/// Emits the tiles of one linear.
class LinearEmitter {
public:
  LinearEmitter(KernelFrame &frame, lm::LinearOp op)
      : frame_(frame), ir_(frame.ir), op_(op), tokens_(op.getCoreAttr().getTokens()) {}

  LogicalResult check();
  void emit(Value tile);

private:
  void emitGroups(unsigned group, Value unit);
  void emitGroup(unsigned group, Value unit);
  void emitPanels(unsigned segment, Value firstPanel, Value count, Value out, Value outStep,
                  int64_t outStride);
  void emitEpilogue(RegionSite site, Value tile, int64_t segments, int64_t unitColumns);

  KernelFrame &frame_;
  Ir &ir_;
  lm::LinearOp op_;
  int64_t tokens_;
  Value firstToken_, numTokens_;
  Value expert_; ///< of a grouped linear, else null
};

} // namespace

LogicalResult LinearEmitter::check() {
  bool isNamed = false;
  for (unsigned segment = 0; segment < op_.getWeights().size(); ++segment) {
    const microkernels::LinearCore *core = coreOf(op_, segment);
    if (!core)
      return failure();
    isNamed |= op_.getCoreAttr().getSymbol() == StringRef(core->symbol);
  }
  if (!isNamed)
    return op_.emitOpError("names the core ")
           << op_.getCoreAttr().getSymbol() << ", but its operands need another one";
  for (unsigned group = 0; group < op_.getGroups().size(); ++group)
    if (failed(checkRegion(op_, op_.getEpilogues()[group].front(), op_.getGroupWidth(group))))
      return failure();
  return success();
}

void LinearEmitter::emit(Value tile) {
  int64_t units = linearUnits(op_);
  if (Value tiles = op_.getTiles()) {
    GroupTile rows = loadGroupTile(ir_, frame_.bindings.lookup(tiles), ir_.div(tile, units));
    expert_ = rows.expert;
    firstToken_ = rows.firstRow;
    numTokens_ = rows.rows;
  } else if (int64_t rows = lm::getRowSlots(op_)) {
    RowTile found = locateRows(ir_, ir_.div(tile, units), rows, op_.getCoreAttr());
    firstToken_ = ir_.add(ir_.mul(found.unit, rows), found.first);
    numTokens_ = found.count;
  } else {
    firstToken_ = ir_.mul(ir_.div(tile, units), tokens_);
    numTokens_ = ir_.min(ir_.sub(frame_.symbol, firstToken_), ir_.index(tokens_));
  }
  emitGroups(0, ir_.rem(tile, units));
}

/// Finds the group of a unit, counted from the first unit of `group`.
void LinearEmitter::emitGroups(unsigned group, Value unit) {
  if (group + 1 == op_.getGroups().size())
    return emitGroup(group, unit);
  int64_t units = llvm::divideCeil(op_.getGroupWidth(group), linearUnit(op_, group));
  auto branch = ir_.make<scf::IfOp>(ir_.less(unit, ir_.index(units)), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(ir_.b);
  ir_.b.setInsertionPointToStart(branch.thenBlock());
  emitGroup(group, unit);
  ir_.b.setInsertionPointToStart(branch.elseBlock());
  emitGroups(group + 1, ir_.sub(unit, ir_.index(units)));
}

void LinearEmitter::emitGroup(unsigned group, Value unit) {
  int64_t columns = linearUnit(op_, group), width = op_.getGroupWidth(group);
  int64_t segments = op_.getGroups()[group], first = op_.getFirstSegment(group);
  RegionSite site;
  site.body = &op_.getEpilogues()[group].front();
  site.results = op_.getOutputs().slice(op_.getFirstResult(group), op_.getNumResults(group));
  site.width = columns;
  site.base = ir_.mul(unit, columns);
  site.baseMultiple = columns;
  site.partialWidth = width % columns;
  Value panels = ir_.index(columns / kPanel);
  if (site.partialWidth != 0) {
    site.isPartial = ir_.equal(unit, ir_.index(width / columns));
    panels =
        ir_.select(site.isPartial, ir_.index(llvm::divideCeil(site.partialWidth, kPanel)), panels);
  }
  Value firstPanel = ir_.mul(unit, columns / kPanel);
  bool direct = isDirect(op_, group);
  for (int64_t i = 0; i < segments; ++i) {
    int64_t stride = direct ? storedRowBytes(tensorOf(site.results[i])) : columns * 4;
    Value out = ir_.at(frame_.scratch, i * tokens_ * columns * 4);
    if (direct)
      out = ir_.at(frame_.bindings.lookup(site.results[i]),
                   ir_.add(ir_.mul(firstToken_, stride), ir_.mul(site.base, 4)));
    emitPanels(first + i, firstPanel, panels, out, ir_.index(kPanel * 4), stride / 4);
  }
  if (direct)
    return;
  site.slots = ir_.at(frame_.scratch, linearScratch(op_, group).tile);
  emitEpilogue(site, frame_.scratch, segments, columns);
}

/// Calls the core of `segment` for `count` panels; `outStep` bytes lie between their columns.
void LinearEmitter::emitPanels(unsigned segment, Value firstPanel, Value count, Value out,
                               Value outStep, int64_t outStride) {
  RankedTensorType input = tensorOf(op_.getInput());
  int64_t k = lm::getColumns(input), rowBytes = storedRowBytes(input);
  const microkernels::LinearCore *core = coreOf(op_, segment);
  Value weight = op_.getWeights()[segment];
  int64_t panelBytes = pack::panelBytes(core->encoding, k);
  Value act = ir_.at(frame_.bindings.lookup(op_.getInput()), ir_.mul(firstToken_, rowBytes));
  if (expert_) {
    int64_t panels = llvm::divideCeil(lm::getMatrixRows(tensorOf(weight)), kPanel);
    firstPanel = ir_.add(ir_.mul(expert_, panels), firstPanel);
  }
  Value panels = ir_.at(frame_.bindings.lookup(weight), ir_.mul(firstPanel, panelBytes));
  forEach(ir_, count, [&](Value index) {
    Value column = ir_.at(out, ir_.mul(index, outStep));
    Value panel = ir_.at(panels, ir_.mul(index, panelBytes));
    callCore(
        ir_, core->symbol,
        {column, ir_.index(outStride), act, ir_.index(rowBytes), panel, numTokens_, ir_.index(k)});
  });
}

void LinearEmitter::emitEpilogue(RegionSite site, Value tile, int64_t segments,
                                 int64_t unitColumns) {
  forEach(ir_, numTokens_, [&](Value token) {
    site.row = ir_.add(firstToken_, token);
    Value row = ir_.at(tile, ir_.mul(token, unitColumns * 4));
    for (int64_t i = 0; i < segments; ++i)
      site.arguments.push_back(ir_.at(row, i * tokens_ * unitColumns * 4));
    RegionEmitter(frame_, site).emit();
  });
}

LogicalResult kernel::emitLinearTile(KernelFrame &frame, lm::LinearOp op, Value tile) {
  LinearEmitter emitter(frame, op);
  if (failed(emitter.check()))
    return failure();
  emitter.emit(tile);
  return success();
}
