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

/// True when the row's work needs nothing but elements of the contraction's own tile.
bool isTileWork(Operation *contraction, lm::RowOp row) {
  // A reduction over heads stays inside a unit; one over the row does not.
  if (llvm::any_of(row.getBody().getOps<lm::ReduceOp>(),
                   [](lm::ReduceOp reduce) { return !reduce.getDim(); }) ||
      !mayMoveStateUp(contraction, row))
    return false;
  for (Value result : contraction->getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    if (!lm::readsElementwise(row, result))
      return false;
    bool read = llvm::any_of(result.getUsers(),
                             [&](Operation *user) { return user->getParentOp() == row; });
    if (read && (lm::getColumns(type) != static_cast<int64_t>(row.getWidth()) ||
                 !type.getElementType().isF32()))
      return false;
  }
  return true;
}

struct LmFuseEpiloguePass : llama4::impl::LmFuseEpilogueBase<LmFuseEpiloguePass> {
  void runOnOperation() override {
    SmallVector<lm::RowOp> rows(getOperation().getBody().getOps<lm::RowOp>());
    for (lm::RowOp row : rows)
      if (Operation *contraction = findContraction(row))
        tryFuse(contraction, row);
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

  void tryFuse(Operation *contraction, lm::RowOp row) {
    if (!isTileWork(contraction, row) || !lm::hoistOperandsBefore(row, contraction))
      return;
    auto linear = dyn_cast<lm::LinearOp>(contraction);
    Candidate candidate = linear ? fuseIntoLinear(linear, row)
                                 : fuseIntoAttention(cast<lm::AttentionOp>(contraction), row);
    if (!kernel::hasUnits(candidate.op)) {
      ++numUnit;
      candidate.op->erase();
      return;
    }
    for (auto [value, result] : llvm::zip_equal(candidate.replaced, candidate.op->getResults()))
      value.replaceUsesWithIf(result,
                              [&](OpOperand &use) { return use.getOwner()->getParentOp() != row; });
    row.erase();
    contraction->erase();
    ++numFused;
  }
};

} // namespace
