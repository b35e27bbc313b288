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

/// Why `producer` may not be computed inside `consumer`, which reads it; empty when it may.
StringRef whyApart(lm::RowOp producer, lm::RowOp consumer) {
  if (producer.getWidth() != consumer.getWidth())
    return "its rows have another width";
  if (!lm::isFirstUser(producer, consumer))
    return "another op reads it before";
  // Attention must not come before it.
  if (!producer.getBody().getOps<lm::KvPutOp>().empty())
    return "it writes paged state, which is written where it stands";
  for (Value result : producer.getOutputs()) {
    if (!lm::readsElementwise(consumer, result))
      return "its elements are read by row number or in another order of columns, from memory";
    if (!cast<RankedTensorType>(result.getType()).getElementType().isF32())
      return "it is rounded on its way to memory";
  }
  return "";
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
  using LmFuseRowsBase::LmFuseRowsBase;

  void runOnOperation() override {
    if (!getOperation().getBody().hasOneBlock())
      return; // no entry
    Block &body = getOperation().getBody().front();
    // Producers come before consumers: one sweep, looking again at each fused op.
    for (Operation *op = &body.front(); op;) {
      auto consumer = dyn_cast<lm::RowOp>(op);
      lm::RowOp producer = consumer && !off ? findProducer(consumer) : nullptr;
      if (!producer) {
        op = op->getNextNode();
        continue;
      }
      op = fuse(producer, consumer);
      ++numFused;
    }
    for (lm::RowOp row : body.getOps<lm::RowOp>())
      noteReasons(row);
  }

private:
  static lm::RowOp findProducer(lm::RowOp consumer) {
    lm::RowOp found;
    consumer.walk([&](lm::ElementOp element) {
      auto producer = element.getSource().getDefiningOp<lm::RowOp>();
      if (!producer || !whyApart(producer, consumer).empty())
        return WalkResult::advance();
      found = producer;
      return WalkResult::interrupt();
    });
    return found;
  }

  /// Why what `consumer` reads is not computed inside of it.
  void noteReasons(lm::RowOp consumer) {
    SetVector<Operation *> producers;
    consumer.walk([&](lm::ElementOp element) {
      if (Operation *def = element.getSource().getDefiningOp())
        producers.insert(def);
    });
    bool computed = false;
    for (Operation *producer : producers) {
      computed |= !isa<lm::LoadParamOp>(producer);
      if (isa<lm::EmbedOp>(producer))
        lm::noteUnfused(producer, getArgument(), "lm.embed takes no other work");
      if (isa<lm::EmbedOp, lm::UnitAttentionOp, lm::CrossAttentionOp>(producer) ||
          lm::isRowMove(producer))
        lm::noteUnfused(consumer, getArgument(),
                        "not with " + lm::nameInReasons(producer) + ": it takes no other work");
      auto row = dyn_cast<lm::RowOp>(producer);
      if (!row)
        continue;
      StringRef reason = whyApart(row, consumer);
      lm::noteUnfused(consumer, getArgument(),
                      "not with " + lm::nameInReasons(row) + ": " +
                          (reason.empty() ? lm::switchedOff : reason));
    }
    if (!computed)
      lm::noteUnfused(consumer, getArgument(), "it reads nothing that the entry computes");
  }
};

} // namespace
