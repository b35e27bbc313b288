//===- Lifetimes.h - when a transient of an entry is alive ------*- C++ -*-===//
#ifndef LLAMA4_PASSES_CMD_LIFETIMES_H
#define LLAMA4_PASSES_CMD_LIFETIMES_H

#include "dialects/cmd/Cmd.h"

namespace llama4::cmd {

/// Alignment of every transient in the arena, in bytes.
inline constexpr uint64_t arenaAlignment = 64;

/// A transient buffer: `bytes` at the entry's bound, alive from command `first` to `last`.
struct Lifetime {
  AllocOp alloc;
  uint64_t bytes = 0;
  unsigned first = 0, last = 0;

  /// Workspace that lies at the beginning of the arena.
  bool isZero() const { return cmd::isZero(AllocOp(alloc).getType()); }
  bool overlaps(const Lifetime &other) const { return first <= other.last && other.first <= last; }
};

/// The transients of an entry in the order of their allocation: every cmd.alloc that is no result
/// of the entry. Fails, with an error, on a buffer without rows or one that is read or returned
/// unwritten.
mlir::FailureOr<llvm::SmallVector<Lifetime>> computeLifetimes(EntryOp entry);

/// Bytes at the beginning of the arena that workspace with `#target.zero` takes, at the bound: the
/// most of one buffer in any entry, as a dispatch leaves it as it finds it. Everything else lies
/// behind, in all entries, which share the arena.
mlir::FailureOr<uint64_t> zeroBytes(mlir::ModuleOp module);

} // namespace llama4::cmd

#endif // LLAMA4_PASSES_CMD_LIFETIMES_H
