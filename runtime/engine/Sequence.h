//===- Sequence.h - one text on its way through a model ----------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_SEQUENCE_H
#define LLAMA4_RUNTIME_ENGINE_SEQUENCE_H

#include "runtime/base/Status.h"
#include "runtime/engine/KvCache.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llama4 {

class Engine;

/// The tokens of one text and how many of them the model has seen. Holds a slot of the engine's
/// cache until it is destroyed; the engine must outlive it. Made by Engine::createSequence().
class Sequence {
public:
  ~Sequence() { cache_->release(slot_); }
  Sequence(const Sequence &) = delete;
  Sequence &operator=(const Sequence &) = delete;

  std::span<const int32_t> tokens() const { return tokens_; }
  uint64_t length() const { return tokens_.size(); }
  /// Tokens whose keys and values are in the cache.
  uint64_t processed() const { return processed_; }
  /// Tokens that steps have still to process.
  uint64_t pending() const { return tokens_.size() - processed_; }

  /// Adds tokens for later steps. Allocates nothing up to the length announced at creation. Errors:
  /// InvalidInput (an id outside the vocabulary), Usage (too long for the engine); nothing changed.
  Status append(std::span<const int32_t> ids);
  /// Forgets everything behind the first `length` tokens. Errors: Internal (longer than the
  /// sequence, or needs keys that the cache has dropped); nothing changed.
  Status truncate(uint64_t length);

private:
  friend class Engine;
  Sequence(KvCache &cache, uint32_t slot, uint32_t vocabSize)
      : cache_(&cache), slot_(slot), vocabSize_(vocabSize) {}

  KvCache *cache_;
  uint32_t slot_;
  uint32_t vocabSize_;
  std::vector<int32_t> tokens_;
  uint64_t processed_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SEQUENCE_H
