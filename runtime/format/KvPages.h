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
/// up to `maxStepTokens`; no fewer will do.
inline uint64_t kvPagesOfSequence(const KvKind &kind, uint64_t maxLength, uint32_t maxStepTokens) {
  constexpr uint64_t pageTokens = L4_PAGE_TOKENS;
  const uint64_t chunk = kind.chunkTokens;
  if (chunk == 0)
    return ceilDiv(maxLength, pageTokens);
  // Most are held by a step that begins with the last token of a chunk, which still sees all of it.
  // Where in a page chunks begin repeats itself after `pageTokens` of them, if not before.
  const uint64_t step = std::max<uint64_t>(maxStepTokens, 1);
  uint64_t most = 0;
  for (uint64_t i = 0, begin = 0, end = 0; i < pageTokens && end < maxLength; ++i, begin += chunk) {
    end = std::min(begin + chunk - 1 + step, maxLength);
    most = std::max(most, ceilDiv(end, pageTokens) - begin / pageTokens);
  }
  return most;
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_KVPAGES_H
