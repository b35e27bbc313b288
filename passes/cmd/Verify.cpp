//===- Verify.cpp - the plan holds ----------------------------------------===//

#include "passes/Formats.h"
#include "passes/Passes.h"
#include "passes/cmd/Lifetimes.h"
#include "passes/kernel/Units.h"

namespace llama4 {
#define GEN_PASS_DEF_CMDVERIFY
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// Every transient lies aligned inside the arena: workspace that stays zero at its beginning, all
/// else behind the `zero` bytes of that.
LogicalResult verifyPlace(const cmd::Lifetime &lifetime, uint64_t arena, uint64_t zero) {
  cmd::AllocOp alloc = lifetime.alloc;
  std::optional<uint64_t> offset = alloc.getOffset();
  if (!offset)
    return alloc.emitOpError("has no place in the arena; run cmd-plan-memory");
  if (*offset % cmd::arenaAlignment != 0 || *offset > arena || lifetime.bytes > arena - *offset)
    return alloc.emitOpError("lies at ")
           << *offset << " with " << lifetime.bytes << " bytes, expected a multiple of "
           << cmd::arenaAlignment << " inside the arena of " << arena << " bytes";
  if (lifetime.isZero() ? *offset != 0 : *offset < zero)
    return alloc.emitOpError("lies at ")
           << *offset << ", expected "
           << (lifetime.isZero() ? Twine("0, where memory stays zero")
                                 : "a place behind the " + Twine(zero) + " bytes that stay zero");
  return success();
}

/// What the module says about a kernel is what its body needs.
LogicalResult verifyKernel(cmd::KernelOp kernel) {
  if (!kernel.getScratch())
    return kernel.emitOpError("has no scratch size; run cmd-schedule");
  if (failed(verifyWeights(kernel.getFusedOp())) ||
      failed(kernel::verifyLibrary(kernel.getFusedOp())))
    return failure();
  if (failed(kernel::verifyShape(kernel)))
    return failure();
  int64_t scratch = kernel::kernelScratchBytes(kernel);
  if (static_cast<int64_t>(*kernel.getScratch()) != scratch)
    return kernel.emitOpError("has ") << *kernel.getScratch() << " bytes of scratch, but needs "
                                      << scratch << "; run cmd-schedule";
  return success();
}

cmd::KernelOp getKernel(cmd::DispatchOp dispatch) {
  return SymbolTable::lookupNearestSymbolFrom<cmd::KernelOp>(dispatch, dispatch.getKernelAttr());
}

/// The dispatch that writes `buffer`, if one does, and which of its results it is.
std::pair<cmd::DispatchOp, size_t> findWriter(Value buffer) {
  for (Operation *user : buffer.getUsers())
    if (auto dispatch = dyn_cast<cmd::DispatchOp>(user))
      if (auto it = llvm::find(dispatch.getOuts(), buffer); it != dispatch.getOuts().end())
        return {dispatch, std::distance(dispatch.getOuts().begin(), it)};
  return {};
}

/// A grouped linear reads the tiles of a grouping that fits it.
LogicalResult verifyTiles(cmd::DispatchOp dispatch) {
  auto linear = dyn_cast<lm::LinearOp>(getKernel(dispatch).getFusedOp());
  if (!linear || !linear.getTiles())
    return success();
  auto argument = dyn_cast<BlockArgument>(linear.getTiles());
  auto [writer, result] = findWriter(dispatch.getIns()[argument.getArgNumber()]);
  auto groups = writer ? dyn_cast<lm::GroupByExpertOp>(getKernel(writer).getFusedOp())
                       : lm::GroupByExpertOp();
  if (!groups || groups.getResult(result) != groups.getTiles())
    return dispatch.emitOpError("has tiles that are not those of an lm.group_by_expert");
  return kernel::verifyGroups(linear, groups);
}

struct CmdVerifyPass : llama4::impl::CmdVerifyBase<CmdVerifyPass> {
  void runOnOperation() override {
    FailureOr<uint64_t> zero = cmd::zeroBytes(getOperation());
    if (failed(zero))
      return signalPassFailure();
    for (auto entry : getOperation().getOps<cmd::EntryOp>())
      if (failed(verify(entry, *zero)))
        return signalPassFailure();
    for (auto kernel : getOperation().getOps<cmd::KernelOp>())
      if (failed(verifyKernel(kernel)))
        return signalPassFailure();
  }

private:
  LogicalResult verify(cmd::EntryOp entry, uint64_t zero) {
    FailureOr<SmallVector<cmd::Lifetime>> lifetimes = cmd::computeLifetimes(entry);
    if (failed(lifetimes))
      return failure();
    if (!entry.getArena())
      return entry.emitOpError("has no arena; run cmd-plan-memory");
    for (auto dispatch : entry.getBody().front().getOps<cmd::DispatchOp>())
      if (failed(verifyTiles(dispatch)))
        return failure();
    for (const cmd::Lifetime &lifetime : *lifetimes)
      if (failed(verifyPlace(lifetime, *entry.getArena(), zero)))
        return failure();
    for (auto [index, a] : llvm::enumerate(*lifetimes))
      for (const cmd::Lifetime &b : llvm::drop_begin(*lifetimes, index + 1)) {
        cmd::AllocOp first = a.alloc, second = b.alloc;
        if (!a.overlaps(b) || *first.getOffset() + a.bytes <= *second.getOffset() ||
            *second.getOffset() + b.bytes <= *first.getOffset())
          continue;
        InFlightDiagnostic error = second.emitOpError("shares memory with a buffer that is alive");
        error.attachNote(first.getLoc()) << "the other buffer is here";
        return error;
      }
    return success();
  }
};

} // namespace
