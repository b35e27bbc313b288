//===- PlanMemory.cpp - a place in the arena for every transient ----------===//

#include "passes/Passes.h"
#include "passes/cmd/Lifetimes.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_CMDPLANMEMORY
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct Placed {
  const cmd::Lifetime *lifetime;
  uint64_t offset;
};

/// The smallest gap that fits between what is alive together with `lifetime`; the lowest of equals,
/// the end when none fits.
uint64_t findPlace(const cmd::Lifetime &lifetime, ArrayRef<Placed> placed) {
  SmallVector<Placed> alive;
  for (const Placed &other : placed)
    if (lifetime.overlaps(*other.lifetime))
      alive.push_back(other);
  llvm::sort(alive, [](const Placed &a, const Placed &b) { return a.offset < b.offset; });
  uint64_t end = 0, best = 0, bestGap = UINT64_MAX;
  for (const Placed &other : alive) {
    uint64_t gap = other.offset > end ? other.offset - end : 0;
    if (gap >= lifetime.bytes && gap < bestGap) {
      best = end;
      bestGap = gap;
    }
    end = std::max(end, other.offset + other.lifetime->bytes);
  }
  return bestGap == UINT64_MAX ? end : best;
}

struct CmdPlanMemoryPass : llama4::impl::CmdPlanMemoryBase<CmdPlanMemoryPass> {
  void runOnOperation() override {
    for (auto entry : getOperation().getOps<cmd::EntryOp>())
      if (failed(plan(entry)))
        return signalPassFailure();
  }

private:
  LogicalResult plan(cmd::EntryOp entry) {
    FailureOr<SmallVector<cmd::Lifetime>> lifetimes = cmd::computeLifetimes(entry);
    if (failed(lifetimes))
      return failure();
    SmallVector<const cmd::Lifetime *> order;
    for (const cmd::Lifetime &lifetime : *lifetimes) {
      order.push_back(&lifetime);
      sumBytes += lifetime.bytes;
    }
    // Of equals the first allocated, which stands first in `lifetimes`.
    llvm::sort(order, [](const cmd::Lifetime *a, const cmd::Lifetime *b) {
      return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
    });
    Builder builder(&getContext());
    SmallVector<Placed> placed;
    uint64_t arena = 0;
    for (const cmd::Lifetime *lifetime : order) {
      uint64_t offset = findPlace(*lifetime, placed);
      placed.push_back({lifetime, offset});
      arena = std::max(arena, offset + lifetime->bytes);
      cmd::AllocOp alloc = lifetime->alloc;
      alloc.setOffsetAttr(builder.getI64IntegerAttr(static_cast<int64_t>(offset)));
    }
    entry.setArenaAttr(builder.getI64IntegerAttr(static_cast<int64_t>(arena)));
    arenaBytes.updateMax(arena);
    return success();
  }
};

} // namespace
