//===- Lifetimes.cpp - when a transient of an entry is alive --------------===//

#include "passes/cmd/Lifetimes.h"
#include "passes/Formats.h"
#include "runtime/base/Checked.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::cmd;

/// Bytes of a transient at the entry's bound, a multiple of the arena's alignment.
static FailureOr<uint64_t> sizeAtBound(AllocOp alloc, int64_t bound) {
  RankedTensorType type = alloc.getType().getTensor();
  std::optional<uint64_t> row = type.isDynamicDim(0) ? getRowBytes(type) : std::nullopt;
  if (row)
    row = checkedMul(*row, static_cast<uint64_t>(lm::getRowsPerSymbol(type)));
  std::optional<uint64_t> bytes = row ? checkedMul(*row, bound) : std::nullopt;
  if (bytes)
    bytes = checkedAlign(*bytes, arenaAlignment);
  if (!bytes || *bytes > (uint64_t{1} << 46))
    return alloc.emitOpError("holds ")
           << type << ", expected rows over the symbol of a sensible size";
  return *bytes;
}

FailureOr<SmallVector<Lifetime>> cmd::computeLifetimes(EntryOp entry) {
  SmallVector<Lifetime> lifetimes;
  llvm::DenseMap<Value, unsigned> indices;
  auto results = entry.getBody().front().getTerminator()->getOperands();
  llvm::DenseSet<Value> written;
  unsigned command = 0;
  for (Operation &op : entry.getBody().front()) {
    if (auto alloc = dyn_cast<AllocOp>(op)) {
      if (llvm::is_contained(results, alloc.getBuffer()))
        continue;
      FailureOr<uint64_t> bytes = sizeAtBound(alloc, entry.getEntry().getBound());
      if (failed(bytes))
        return failure();
      indices[alloc] = lifetimes.size();
      lifetimes.push_back({alloc, *bytes, command, command});
    }
    auto dispatch = dyn_cast<DispatchOp>(op);
    if (!dispatch)
      continue;
    for (Value value : dispatch.getIns()) {
      if (value.getDefiningOp<AllocOp>() && !written.contains(value))
        return dispatch.emitOpError("reads a buffer that no command before it has written");
      if (auto it = indices.find(value); it != indices.end())
        lifetimes[it->second].last = command;
    }
    for (Value value : llvm::concat<Value>(llvm::to_vector(dispatch.getOuts()),
                                           llvm::to_vector(dispatch.getWorkspace()))) {
      written.insert(value);
      if (auto it = indices.find(value); it != indices.end())
        lifetimes[it->second].last = command;
    }
    ++command;
  }
  for (Value result : results)
    if (!written.contains(result))
      return entry.getBody().front().getTerminator()->emitOpError(
          "returns a buffer that no command has written");
  return lifetimes;
}

FailureOr<uint64_t> cmd::zeroBytes(ModuleOp module) {
  uint64_t bytes = 0;
  for (auto entry : module.getOps<EntryOp>()) {
    FailureOr<SmallVector<Lifetime>> lifetimes = computeLifetimes(entry);
    if (failed(lifetimes))
      return failure();
    for (const Lifetime &lifetime : *lifetimes)
      bytes = std::max(bytes, lifetime.isZero() ? lifetime.bytes : 0);
  }
  return bytes;
}
