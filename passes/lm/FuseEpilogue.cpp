//===- FuseEpilogue.cpp - row work becomes the epilogue of a contraction --===//

#include "passes/Passes.h"
#include "passes/kernel/Units.h"
#include "passes/lm/Fusion.h"

#include "llvm/ADT/SetVector.h"

namespace llama4 {
#define GEN_PASS_DEF_LMFUSEEPILOGUE
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// A contraction with a row's work as its epilogue, not yet in use.
struct Candidate {
  Operation *op = nullptr;
  /// For every result of `op`: the value it replaces.
  SmallVector<Value> replaced;
};

/// True when `value` has a reader other than `row`.
bool isReadOutside(Value value, lm::RowOp row) {
  return llvm::any_of(value.getUsers(),
                      [&](Operation *user) { return user->getParentOp() != row; });
}

/// Builds one epilogue region: the bodies in `bodies` (regions of groups that become one), then the
/// row's body on their results. Appends what the region's yields replace to `replaced`.
void buildEpilogue(OpBuilder &builder, Region &region, ArrayRef<Region *> bodies,
                   ArrayRef<ValueRange> results, lm::RowOp row, SmallVectorImpl<Value> &replaced) {
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&region);
  IRMapping mapping;
  lm::KnownElements known;
  SmallVector<Value> yields;
  for (auto [body, values] : llvm::zip_equal(bodies, results)) {
    for (BlockArgument argument : body->getArguments())
      mapping.map(argument, block->addArgument(argument.getType(), argument.getLoc()));
    SmallVector<Value> scalars =
        lm::inlineBody(builder, body->front(), mapping, lm::KnownElements());
    for (auto [value, scalar] : llvm::zip_equal(values, scalars)) {
      known[value] = scalar;
      if (!isReadOutside(value, row))
        continue;
      yields.push_back(scalar);
      replaced.push_back(value);
    }
  }
  llvm::append_range(yields, lm::inlineBody(builder, row.getBody().front(), mapping, known));
  llvm::append_range(replaced, row.getOutputs());
  lm::YieldOp::create(builder, row.getLoc(), yields);
}

Candidate fuseIntoLinear(lm::LinearOp linear, lm::RowOp row) {
  unsigned numGroups = linear.getGroups().size();
  auto resultsOf = [&](unsigned group) {
    return linear.getOutputs().slice(linear.getFirstResult(group), linear.getNumResults(group));
  };
  // The groups that the row reads become one, at the place of the first.
  llvm::SmallSetVector<unsigned, 4> read;
  for (unsigned group = 0; group < numGroups; ++group)
    for (Value result : resultsOf(group))
      if (llvm::any_of(result.getUsers(), [&](Operation *u) { return u->getParentOp() == row; }))
        read.insert(group);
  OpBuilder builder(linear);
  SmallVector<Value> weights;
  SmallVector<int64_t> groups;
  SmallVector<std::unique_ptr<Region>> regions;
  Candidate candidate;
  auto addSegments = [&](unsigned group) {
    llvm::append_range(weights, linear.getWeights().slice(linear.getFirstSegment(group),
                                                          linear.getGroups()[group]));
    return linear.getGroups()[group];
  };
  for (unsigned group = 0; group < numGroups; ++group) {
    if (read.contains(group) && group != read.front())
      continue;
    Region *region = regions.emplace_back(std::make_unique<Region>()).get();
    if (!read.contains(group)) {
      IRMapping mapping;
      linear.getEpilogues()[group].cloneInto(region, mapping);
      groups.push_back(addSegments(group));
      llvm::append_range(candidate.replaced, resultsOf(group));
      continue;
    }
    SmallVector<Region *> bodies;
    SmallVector<ValueRange> results;
    groups.push_back(0);
    for (unsigned member : read) {
      bodies.push_back(&linear.getEpilogues()[member]);
      results.push_back(resultsOf(member));
      groups.back() += addSegments(member);
    }
    buildEpilogue(builder, *region, bodies, results, row, candidate.replaced);
  }
  auto fused = lm::LinearOp::create(builder, builder.getFusedLoc({linear.getLoc(), row.getLoc()}),
                                    ValueRange(candidate.replaced).getTypes(), linear.getInput(),
                                    weights, linear.getTiles(), groups);
  for (auto [region, built] : llvm::zip_equal(fused.getEpilogues(), regions))
    region.takeBody(*built);
  candidate.op = fused;
  return candidate;
}

Candidate fuseIntoAttention(lm::AttentionOp attention, lm::RowOp row) {
  OpBuilder builder(attention);
  Candidate candidate;
  OperationState state(builder.getFusedLoc({attention.getLoc(), row.getLoc()}),
                       lm::AttentionOp::getOperationName());
  state.addOperands(attention->getOperands());
  state.addAttributes(attention->getAttrs());
  buildEpilogue(builder, *state.addRegion(), {&attention.getEpilogue()}, {attention.getOutputs()},
                row, candidate.replaced);
  state.addTypes(ValueRange(candidate.replaced).getTypes());
  candidate.op = builder.create(state);
  return candidate;
}

/// True when neither the contraction nor what stands between the two ops reads or writes the paged
/// state that `row` writes: tiles of one dispatch have no order.
bool mayMoveStateUp(Operation *contraction, lm::RowOp row) {
  if (row.getBody().getOps<lm::KvPutOp>().empty())
    return true;
  for (Operation *op = contraction; op != row; op = op->getNextNode()) {
    bool writes = false;
    op->walk([&](lm::KvPutOp) { writes = true; });
    if (writes || isa<lm::AttentionOp>(op))
      return false;
  }
  return true;
}

/// Why the row's work needs more than elements of the contraction's own tile; empty when it
/// doesn't.
StringRef whyNoTileWork(Operation *contraction, lm::RowOp row) {
  if (contraction->hasAttr(kernel::libraryAttrName))
    return "a library computes the contraction";
  // A reduction over heads stays inside a unit; one over the row does not.
  if (llvm::any_of(row.getBody().getOps<lm::ReduceOp>(),
                   [](lm::ReduceOp reduce) { return !reduce.getDim(); }))
    return "the row work reduces over the row, a tile has only a part of it";
  if (!mayMoveStateUp(contraction, row))
    return "the row work writes paged state that must not be written earlier";
  for (Value result : contraction->getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    if (!lm::readsElementwise(row, result))
      return "the row work reads by row number or in another order of columns";
    bool read = llvm::any_of(result.getUsers(),
                             [&](Operation *user) { return user->getParentOp() == row; });
    if (read && lm::getColumns(type) != static_cast<int64_t>(row.getWidth()))
      return "the row work has another width than what it reads";
    if (read && !type.getElementType().isF32())
      return "what the row work reads is rounded on its way to memory";
  }
  return "";
}

struct LmFuseEpiloguePass : llama4::impl::LmFuseEpilogueBase<LmFuseEpiloguePass> {
  using LmFuseEpilogueBase::LmFuseEpilogueBase;

  void runOnOperation() override {
    SmallVector<lm::RowOp> rows(getOperation().getBody().getOps<lm::RowOp>());
    for (lm::RowOp row : rows) {
      Operation *contraction = findContraction(row);
      StringRef reason = contraction ? tryFuse(contraction, row) : "";
      if (!reason.empty())
        noteApart(contraction, row, reason);
    }
    for (Operation &op : getOperation().getBody().getOps())
      noteReaders(op);
  }

private:
  /// The last contraction before `row` whose results it reads.
  static Operation *findContraction(lm::RowOp row) {
    Operation *last = nullptr;
    row.walk([&](lm::ElementOp element) {
      Operation *def = element.getSource().getDefiningOp();
      if (def && isa<lm::LinearOp, lm::AttentionOp>(def) && (!last || last->isBeforeInBlock(def)))
        last = def;
    });
    return last;
  }

  /// Makes `row` an epilogue of `contraction`. Returns why not; empty when it is done.
  StringRef tryFuse(Operation *contraction, lm::RowOp row) {
    if (StringRef reason = whyNoTileWork(contraction, row); !reason.empty())
      return reason;
    if (off)
      return lm::switchedOff;
    if (!lm::hoistOperandsBefore(row, contraction))
      return "the row work reads what is computed after the contraction";
    auto linear = dyn_cast<lm::LinearOp>(contraction);
    Candidate candidate = linear ? fuseIntoLinear(linear, row)
                                 : fuseIntoAttention(cast<lm::AttentionOp>(contraction), row);
    if (!kernel::hasUnits(candidate.op)) {
      ++numUnit;
      candidate.op->erase();
      return "no tile holds the heads or blocks that the row work needs at once";
    }
    lm::keepReasons(contraction, candidate.op);
    for (auto [value, result] : llvm::zip_equal(candidate.replaced, candidate.op->getResults()))
      value.replaceUsesWithIf(result,
                              [&](OpOperand &use) { return use.getOwner()->getParentOp() != row; });
    row.erase();
    contraction->erase();
    ++numFused;
    return "";
  }

  void noteApart(Operation *contraction, lm::RowOp row, StringRef reason) {
    lm::noteUnfused(row, getArgument(),
                    "not with " + lm::nameInReasons(contraction) + ": " + reason);
    lm::noteUnfused(contraction, getArgument(),
                    "not with " + lm::nameInReasons(row) + ": " + reason);
  }

  /// Why a contraction that took no row work has none to take.
  void noteReaders(Operation &op) {
    if (isa<lm::GroupByExpertOp, lm::UnitAttentionOp, lm::CrossAttentionOp>(op) ||
        lm::isRowMove(&op))
      lm::noteUnfused(&op, getArgument(), op.getName().getStringRef() + " takes no other work");
    if (!isa<lm::LinearOp, lm::AttentionOp>(op) ||
        !llvm::all_of(op.getRegions(), lm::isIdentityEpilogue))
      return;
    for (Operation *user : op.getUsers()) {
      auto row = dyn_cast<lm::RowOp>(user->getParentOp());
      if (row && findContraction(row) != &op)
        noteApart(&op, row, "the row work also reads a contraction that comes later");
      else if (isa<func::ReturnOp>(user))
        lm::noteUnfused(&op, getArgument(), "it is a result of the entry");
      else if (user->getBlock() == op.getBlock())
        lm::noteUnfused(&op, getArgument(),
                        "not with " + lm::nameInReasons(user) + ": " +
                            user->getName().getStringRef() + " is no row work");
      else if (!row)
        lm::noteUnfused(&op, getArgument(),
                        "not with " + lm::nameInReasons(user->getParentOp()) +
                            ": an epilogue of another contraction reads it");
    }
  }
};

} // namespace
