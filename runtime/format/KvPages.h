//===- KvPages.h - how much of a KV cache a sequence needs -------*- C++ -*-===//
//
// One rule for the engine that reserves the cache and for the plan that predicts it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_KVPAGES_H
#define LLAMA4_RUNTIME_FORMAT_KVPAGES_H

#include "runtime/base/Checked.h"
#include "runtime/format/ProgramDesc.h"

#include <algorithm>

namespace llama4 {

/// Pages of one kind that one sequence of up to `maxLength` tokens holds at most, when a step adds
/// up to `maxStepTokens`.
inline uint64_t kvPagesOfSequence(const KvKind &kind, uint64_t maxLength, uint32_t maxStepTokens) {
  constexpr uint64_t pageTokens = L4_PAGE_TOKENS;
  uint64_t whole = ceilDiv(maxLength, pageTokens);
  if (kind.chunkTokens == 0)
    return whole;
  // The chunk in which a step begins, what the step adds, and a page cut by the chunk's edge.
  uint64_t live = ceilDiv(uint64_t{kind.chunkTokens} + maxStepTokens, pageTokens) + 1;
  return std::min(whole, live);
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_KVPAGES_H
