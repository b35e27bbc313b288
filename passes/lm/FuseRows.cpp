//===- FuseRows.cpp - chains of row work become one lm.row ----------------===//

#include "passes/Passes.h"
#include "passes/lm/Fusion.h"

namespace llama4 {
#define GEN_PASS_DEF_LMFUSEROWS
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// True when `producer` may be computed inside `consumer`, the first to read it.
bool canFuse(lm::RowOp producer, lm::RowOp consumer) {
  if (producer.getWidth() != consumer.getWidth() || !lm::readsResultOf(consumer, producer) ||
      !lm::isFirstUser(producer, consumer))
    return false;
  // Paged state is written where it stands: attention must not come before it.
  if (!producer.getBody().getOps<lm::KvPutOp>().empty())
    return false;
  // What is read by row index, or rounded on its way to memory, must exist in memory.
  return llvm::all_of(producer.getOutputs(), [&](Value result) {
    auto element = cast<RankedTensorType>(result.getType()).getElementType();
    return lm::readsElementwise(consumer, result) && element.isF32();
  });
}

/// One lm.row at the place of `consumer` that computes both.
lm::RowOp fuse(lm::RowOp producer, lm::RowOp consumer) {
  OpBuilder builder(consumer);
  SmallVector<Value> kept;
  for (Value result : producer.getOutputs())
    if (llvm::any_of(result.getUsers(),
                     [&](Operation *user) { return user->getParentOp() != consumer; }))
      kept.push_back(result);
  SmallVector<Type> types(ValueRange(kept).getTypes());
  llvm::append_range(types, consumer->getResultTypes());
  auto fused =
      lm::RowOp::create(builder, builder.getFusedLoc({producer.getLoc(), consumer.getLoc()}), types,
                        consumer.getWidth());
  builder.createBlock(&fused.getBody());
  IRMapping mapping;
  SmallVector<Value> produced =
      lm::inlineBody(builder, producer.getBody().front(), mapping, lm::KnownElements());
  lm::KnownElements known;
  for (auto [result, scalar] : llvm::zip_equal(producer.getOutputs(), produced))
    known[result] = scalar;
  SmallVector<Value> consumed = lm::inlineBody(builder, consumer.getBody().front(), mapping, known);
  SmallVector<Value> yields;
  for (Value result : kept)
    yields.push_back(known[result]);
  llvm::append_range(yields, consumed);
  lm::YieldOp::create(builder, consumer.getLoc(), yields);
  consumer->replaceAllUsesWith(fused.getOutputs().drop_front(kept.size()));
  for (auto [result, replacement] : llvm::zip(kept, fused.getOutputs()))
    result.replaceUsesWithIf(
        replacement, [&](OpOperand &use) { return use.getOwner()->getParentOp() != consumer; });
  consumer.erase();
  producer.erase();
  return fused;
}

struct LmFuseRowsPass : llama4::impl::LmFuseRowsBase<LmFuseRowsPass> {
  void runOnOperation() override {
    if (!getOperation().getBody().hasOneBlock())
      return; // no entry
    // Producers come before consumers: one sweep, looking again at each fused op.
    for (Operation *op = &getOperation().getBody().front().front(); op;) {
      auto consumer = dyn_cast<lm::RowOp>(op);
      lm::RowOp producer = consumer ? findProducer(consumer) : nullptr;
      if (!producer) {
        op = op->getNextNode();
        continue;
      }
      op = fuse(producer, consumer);
      ++numFused;
    }
  }

private:
  static lm::RowOp findProducer(lm::RowOp consumer) {
    lm::RowOp found;
    consumer.walk([&](lm::ElementOp element) {
      auto producer = element.getSource().getDefiningOp<lm::RowOp>();
      if (!producer || !canFuse(producer, consumer))
        return WalkResult::advance();
      found = producer;
      return WalkResult::interrupt();
    });
    return found;
  }
};

} // namespace
