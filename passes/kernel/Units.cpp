//===- Units.cpp - tiles, units and scratch of kernels --------------------===//

#include "passes/kernel/Units.h"

#include "compiler/microkernels/Microkernels.h"
#include "passes/Formats.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/format/LibraryCall.h"

#include "llvm/Support/MathExtras.h"

#include <numeric>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static bool isFloat32(Value result) {
  return cast<RankedTensorType>(result.getType()).getElementType().isF32();
}

/// The columns of a head that `op` works on: 1 for ops on single columns, 0 for a reduction over
/// the row.
static int64_t headOf(Operation &op) {
  if (auto reduce = dyn_cast<lm::ReduceOp>(op))
    return static_cast<int64_t>(reduce.getDim().value_or(0));
  auto rotate = dyn_cast<lm::RotateOp>(op);
  return rotate ? static_cast<int64_t>(rotate.getDim()) : 1;
}

int64_t kernel::storedBlock(ValueRange results) {
  int64_t block = 1;
  for (Value result : results)
    block = std::lcm(
        block, lm::getBlockColumns(cast<RankedTensorType>(result.getType()).getElementType()));
  return block;
}

/// Columns that rotations, reductions over heads and quantized results in `region` need together, 0
/// when it reduces over the row or the width cuts a head.
static int64_t regionUnit(Region &region, ValueRange results, int64_t width) {
  int64_t unit = storedBlock(results);
  for (Operation &op : region.front()) {
    int64_t dim = headOf(op);
    if (dim < 1 || dim > maxUnitColumns || width % dim != 0)
      return 0;
    unit = std::lcm(unit, dim);
    if (unit > maxUnitColumns)
      return 0;
  }
  return unit;
}

int64_t kernel::linearUnit(lm::LinearOp op, unsigned group) {
  ValueRange results = op.getOutputs().slice(op.getFirstResult(group), op.getNumResults(group));
  int64_t unit = regionUnit(op.getEpilogues()[group], results, op.getGroupWidth(group));
  if (unit == 0)
    return 0;
  unit = std::lcm(unit, microkernels::kPanelRows);
  return unit <= maxUnitColumns ? unit : 0;
}

int64_t kernel::linearUnits(lm::LinearOp op) {
  int64_t total = 0;
  for (unsigned group = 0; group < op.getGroups().size(); ++group) {
    int64_t unit = linearUnit(op, group);
    if (unit == 0)
      return 0;
    total += llvm::divideCeil(op.getGroupWidth(group), unit);
  }
  return total;
}

int64_t kernel::attentionUnit(lm::AttentionOp op) {
  int64_t columns = cast<RankedTensorType>(op.getQuery().getType()).getDimSize(1);
  int64_t unit = columns / op.getKv().getType().getHeads();
  int64_t needed = regionUnit(op.getEpilogue(), op.getOutputs(), columns);
  return needed != 0 && unit % needed == 0 ? unit : 0;
}

bool kernel::isSplit(lm::AttentionOp op) {
  std::optional<microkernels::KvType> type = getKvType(op.getKv().getType().getElementType());
  target::CoreAttr core = op.getCoreAttr();
  return type && core &&
         core.getSymbol() == StringRef(microkernels::findSplitAttention(*type)->symbol);
}

SmallVector<Type> kernel::workspaceTypes(Operation *op) {
  auto attention = dyn_cast<lm::AttentionOp>(op);
  if (!attention || !isSplit(attention) || attentionUnit(attention) == 0)
    return {};
  lm::KvLayerType kv = attention.getKv().getType();
  auto rows = [&](int64_t columns, Type element, Attribute encoding) {
    return RankedTensorType::get({ShapedType::kDynamic, kv.getHeads() * columns}, element,
                                 encoding);
  };
  int64_t group = attentionUnit(attention) / kv.getDim();
  Builder builder(op->getContext());
  return {rows(microkernels::splitAttentionFloats(group, kv.getDim()), builder.getF32Type(), {}),
          rows(microkernels::splitAttentionCounters(), builder.getI32Type(),
               target::ZeroAttr::get(op->getContext()))};
}

ArrayAttr kernel::workspaceAttr(Operation *op) {
  SmallVector<Type> types = workspaceTypes(op);
  return types.empty() ? ArrayAttr() : Builder(op->getContext()).getTypeArrayAttr(types);
}

LogicalResult kernel::verifyShape(cmd::KernelOp kernel) {
  Operation *op = kernel.getFusedOp();
  AffineMap grid = kernelGrid(op);
  if (!grid)
    return op->emitOpError("has no tiles: its epilogue has no unit, or it names no core");
  if (grid != kernel.getGrid())
    return kernel.emitOpError("has the grid ")
           << kernel.getGridAttr() << ", but its tiles are " << AffineMapAttr::get(grid);
  if (ArrayAttr workspace = workspaceAttr(op); workspace != kernel.getWorkspaceAttr()) {
    InFlightDiagnostic error = kernel.emitOpError("has ");
    auto print = [&](ArrayAttr types) {
      types ? error << "the workspace " << types : error << "no workspace";
    };
    print(kernel.getWorkspaceAttr());
    error << ", but needs ";
    print(workspace);
    return error;
  }
  return success();
}

LogicalResult kernel::verifyGroups(lm::LinearOp op, lm::GroupByExpertOp groups) {
  auto rows = static_cast<int64_t>(groups.getTile());
  int64_t fits = op.getCoreAttr() ? op.getCoreAttr().getTokens() : 0;
  if (rows > fits)
    return op.emitOpError("has tiles of ") << rows << " rows, expected at most its own " << fits;
  int64_t found = groups.getLogits().getType().getDimSize(1);
  int64_t experts = cast<RankedTensorType>(op.getWeights().front().getType()).getDimSize(0);
  if (found != experts)
    return op.emitOpError("has tiles of ")
           << found << " experts, expected the " << experts << " of its weights";
  return success();
}

int64_t kernel::unitTokens(int64_t rows, int64_t most) {
  return llvm::divideCeil(rows, llvm::divideCeil(rows, most));
}

int64_t kernel::unitTiles(int64_t rows, target::CoreAttr core) {
  return llvm::divideCeil(rows, core.getTokens());
}

int64_t kernel::crossKvHeads(lm::CrossAttentionOp op) {
  int64_t dim = op.getType().getShape().back() / static_cast<int64_t>(op.getHeads());
  return op.getKey().getType().getShape().back() / dim;
}

bool kernel::hasUnits(Operation *op) {
  if (auto linear = dyn_cast<lm::LinearOp>(op))
    return linearUnits(linear) != 0;
  if (auto attention = dyn_cast<lm::AttentionOp>(op))
    return attentionUnit(attention) != 0;
  return true;
}

StringRef kernel::whyNoLibrary(lm::LinearOp op) {
  auto input = cast<RankedTensorType>(op.getInput().getType());
  Type element = input.getElementType();
  if (op.getTiles() || input.getRank() != 3)
    return "its rows are not those of units";
  if (!element.isF32() && !element.isBF16())
    return "its rows are neither f32 nor bf16";
  const int64_t multiple =
      libraryColumnMultiple(element.isBF16() ? ElementType::BF16 : ElementType::F32);
  llvm::SmallPtrSet<Value, 4> weights(op.getWeights().begin(), op.getWeights().end());
  if (weights.size() != op.getOutputs().size() || !llvm::all_of(op.getOutputs(), isFloat32) ||
      !llvm::all_of(op->getRegions(), lm::isIdentityEpilogue))
    return "it has an epilogue or one weight twice";
  for (Value weight : op.getWeights()) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (type.getElementType() != element)
      return "its rows and weights are of different types";
    if (lm::getColumns(type) % multiple != 0 || lm::getMatrixRows(type) % libraryRowMultiple != 0)
      return "its panels would need padding";
  }
  return "";
}

LogicalResult kernel::verifyLibrary(Operation *op) {
  auto linear = dyn_cast<lm::LinearOp>(op);
  if (!linear || !linear->hasAttr(libraryAttrName))
    return success();
  if (StringRef reason = whyNoLibrary(linear); !reason.empty())
    return op->emitOpError("names the library ")
           << op->getAttr(libraryAttrName) << ", but " << reason;
  return success();
}

/// Calls of a library for each unit.
static int64_t libraryTiles(lm::LinearOp op) {
  return static_cast<int64_t>(libraryCalls(static_cast<uint64_t>(lm::getRowSlots(op))) *
                              op.getWeights().size());
}

AffineMap kernel::kernelGrid(Operation *op) {
  AffineExpr symbol = getAffineDimExpr(0, op->getContext());
  // Blocks of tokens, or of the rows of each unit, times the units of columns.
  auto tiles = [&](target::CoreAttr core, int64_t units, int64_t rows = 0) {
    if (!core || core.getTokens() < 1 || units == 0)
      return AffineMap();
    AffineExpr blocks = rows ? symbol * unitTiles(rows, core) : symbol.ceilDiv(core.getTokens());
    return AffineMap::get(1, 0, blocks * units);
  };
  if (isa<lm::GroupByExpertOp>(op))
    return AffineMap::get(1, 0, getAffineConstantExpr(1, op->getContext()));
  if (auto attention = dyn_cast<lm::UnitAttentionOp>(op))
    return tiles(attention.getCoreAttr(), static_cast<int64_t>(attention.getHeads()),
                 lm::getRowsPerSymbol(attention.getType()));
  if (auto attention = dyn_cast<lm::CrossAttentionOp>(op))
    return tiles(attention.getCoreAttr(), crossKvHeads(attention));
  if (lm::isRowMove(op))
    return AffineMap::get(
        1, 0, symbol * lm::getRowsPerSymbol(cast<RankedTensorType>(op->getResult(0).getType())));
  auto linear = dyn_cast<lm::LinearOp>(op);
  if (linear && linear->hasAttr(libraryAttrName))
    return AffineMap::get(1, 0, symbol * libraryTiles(linear));
  if (linear && !linear.getTiles())
    return tiles(linear.getCoreAttr(), linearUnits(linear), lm::getRowSlots(linear));
  if (linear && (!linear.getCoreAttr() || linearUnits(linear) == 0))
    return AffineMap();
  // No more tiles than rows; how many there are is known on the device.
  int64_t slots = std::max<int64_t>(1, lm::getRowSlots(op));
  if (linear)
    return AffineMap::get(1, 0, symbol * (slots * linearUnits(linear)));
  if (auto attention = dyn_cast<lm::AttentionOp>(op)) {
    int64_t heads = attentionUnit(attention) ? attention.getKv().getType().getHeads() : 0;
    return tiles(attention.getCoreAttr(),
                 heads * (isSplit(attention) ? microkernels::kAttentionParts : 1));
  }
  return AffineMap::get(1, 0, symbol * slots);
}

bool kernel::isDirect(lm::LinearOp op, unsigned group) {
  return op.isIdentity(group) &&
         llvm::all_of(op.getOutputs().slice(op.getFirstResult(group), op.getNumResults(group)),
                      isFloat32);
}

bool kernel::isDirect(lm::AttentionOp op) {
  return op.isIdentity() && llvm::all_of(op.getOutputs(), isFloat32);
}

bool kernel::needsSlot(Operation *op) {
  if (auto reduce = dyn_cast<lm::ReduceOp>(op))
    return reduce.getDim().has_value();
  auto rotate = dyn_cast<lm::RotateOp>(op);
  if (!rotate || rotate.getStyle() == lm::RotateStyle::Pairs ||
      isa<BlockArgument>(rotate.getInput()))
    return false;
  auto element = rotate.getInput().getDefiningOp<lm::ElementOp>();
  return !element || (element.getColumn() && !element.getColumn()->isIdentity());
}

int64_t kernel::slotBytes(int64_t width) { return llvm::alignTo(width * 4, 64); }

static int64_t allSlots(Region &region, int64_t width) {
  return slotBytes(width) *
         llvm::count_if(region.front(), [](Operation &op) { return needsSlot(&op); });
}

ScratchPlan kernel::rowScratch(lm::RowOp op) {
  ScratchPlan plan;
  plan.slots = allSlots(op.getBody(), op.getWidth());
  return plan;
}

ScratchPlan kernel::linearScratch(lm::LinearOp op, unsigned group) {
  ScratchPlan plan;
  int64_t unit = linearUnit(op, group);
  int64_t tokens = op.getCoreAttr() ? op.getCoreAttr().getTokens() : 0;
  if (!isDirect(op, group))
    plan.tile = op.getGroups()[group] * tokens * unit * 4;
  plan.slots = allSlots(op.getEpilogues()[group], unit);
  return plan;
}

ScratchPlan kernel::attentionScratch(lm::AttentionOp op) {
  ScratchPlan plan;
  lm::KvLayerType kv = op.getKv().getType();
  int64_t unit = attentionUnit(op);
  int64_t tokens = op.getCoreAttr() ? op.getCoreAttr().getTokens() : 0;
  if (!isDirect(op))
    plan.tile = tokens * slotBytes(unit);
  plan.core = llvm::alignTo(
      microkernels::attentionScratchBytes(unit / kv.getDim(), kv.getDim(), tokens), 64);
  plan.slots = allSlots(op.getEpilogue(), unit);
  return plan;
}

int64_t kernel::unitAttentionScratch(lm::UnitAttentionOp op) {
  int64_t dim = op.getType().getShape().back() / static_cast<int64_t>(op.getHeads());
  return microkernels::unitAttentionScratchBytes(dim);
}

const microkernels::UnitAttentionCore &kernel::unitAttentionCore(lm::UnitAttentionOp op) {
  const bool isNarrow = op.getQuery().getType().getElementType().isBF16();
  return *microkernels::findUnitAttention(isNarrow ? microkernels::KvType::BFloat16
                                                   : microkernels::KvType::Float32);
}

int64_t kernel::crossAttentionScratch(lm::CrossAttentionOp op) {
  auto heads = static_cast<int64_t>(op.getHeads());
  int64_t tokens = op.getCoreAttr() ? op.getCoreAttr().getTokens() : 0;
  return microkernels::crossAttentionScratchBytes(heads / crossKvHeads(op),
                                                  op.getType().getShape().back() / heads, tokens);
}

int64_t kernel::kernelScratchBytes(cmd::KernelOp kernel) {
  Operation *op = kernel.getFusedOp();
  if (auto row = dyn_cast_or_null<lm::RowOp>(op))
    return rowScratch(row).bytes();
  if (auto attention = dyn_cast_or_null<lm::AttentionOp>(op))
    return attentionScratch(attention).bytes();
  if (auto attention = dyn_cast_or_null<lm::UnitAttentionOp>(op))
    return unitAttentionScratch(attention);
  if (auto attention = dyn_cast_or_null<lm::CrossAttentionOp>(op))
    return crossAttentionScratch(attention);
  if (auto groups = dyn_cast_or_null<lm::GroupByExpertOp>(op))
    return microkernels::groupScratchBytes(groups.getLogits().getType().getDimSize(1));
  int64_t bytes = 0;
  if (auto linear = dyn_cast_or_null<lm::LinearOp>(op))
    for (unsigned group = 0; group < linear.getGroups().size(); ++group)
      bytes = std::max(bytes, linearScratch(linear, group).bytes());
  return bytes;
}
