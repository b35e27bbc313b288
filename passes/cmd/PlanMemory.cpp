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

/// The smallest gap from `begin` on that fits between what is alive together with `lifetime`; the
/// lowest of equals, the end when none fits.
uint64_t findPlace(const cmd::Lifetime &lifetime, ArrayRef<Placed> placed, uint64_t begin) {
  SmallVector<Placed> alive;
  for (const Placed &other : placed)
    if (lifetime.overlaps(*other.lifetime))
      alive.push_back(other);
  llvm::sort(alive, [](const Placed &a, const Placed &b) { return a.offset < b.offset; });
  uint64_t end = begin, best = begin, bestGap = UINT64_MAX;
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
    FailureOr<uint64_t> zero = cmd::zeroBytes(getOperation());
    if (failed(zero))
      return signalPassFailure();
    for (auto entry : getOperation().getOps<cmd::EntryOp>())
      if (failed(plan(entry, *zero)))
        return signalPassFailure();
  }

private:
  /// Behind the first `zero` bytes of the arena, where workspace lies that stays zero.
  LogicalResult plan(cmd::EntryOp entry, uint64_t zero) {
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
      uint64_t offset = lifetime->isZero() ? 0 : findPlace(*lifetime, placed, zero);
      if (!lifetime->isZero())
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
