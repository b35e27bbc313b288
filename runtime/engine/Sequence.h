//===- Sequence.h - one text on its way through a model ----------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_SEQUENCE_H
#define LLAMA4_RUNTIME_ENGINE_SEQUENCE_H

#include "runtime/base/Status.h"
#include "runtime/engine/Images.h"
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
  /// Pages of a kind that it takes at most until `length` tokens, which may be more than there are,
  /// are processed in steps of up to `step`; see KvCache::demand().
  uint64_t demand(uint32_t kind, uint64_t length, uint64_t step) const {
    return cache_->demand(kind, slot_, processed_, length, step);
  }

  /// Tokens that one step may add at most, so that there are pages for them when it is alone.
  uint64_t room() const { return cache_->room(slot_, processed_); }

  /// Adds tokens for later steps. Allocates nothing up to the length announced at creation. Errors:
  /// InvalidInput (an id outside the vocabulary), Usage (too long for the engine); nothing changed.
  Status append(std::span<const int32_t> ids);
  /// Forgets everything behind the first `length` tokens. Errors: Internal (longer than the
  /// sequence, or needs keys that the cache has dropped); nothing changed.
  Status truncate(uint64_t length);

  /// Says what stands behind the tokens from `position` on; the position is not processed yet and
  /// not before an earlier one.
  void addContent(const PromptContent &content) { contents_.push_back(content); }
  std::span<const PromptContent> contents() const { return contents_; }
  /// Gives the text its pictures, which are contents too; before anything of it is processed.
  void setImages(SequenceImages images);
  const SequenceImages &images() const { return images_; }
  /// Takes over what the cache knows of the beginning of the text, at least one token of which
  /// stays pending; only for a sequence of which nothing is processed. Returns the tokens.
  uint64_t reusePrefix();

private:
  friend class Engine;
  Sequence(KvCache &cache, uint32_t slot, uint32_t vocabSize, int32_t imageToken)
      : cache_(&cache), slot_(slot), vocabSize_(vocabSize), imageToken_(imageToken) {}
  /// A step has processed so many tokens.
  void advance(uint32_t tokens);

  KvCache *cache_;
  uint32_t slot_;
  uint32_t vocabSize_;
  int32_t imageToken_; ///< may lie behind the vocabulary; -1: none
  std::vector<int32_t> tokens_;
  std::vector<PromptContent> contents_;
  SequenceImages images_;
  uint64_t processed_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SEQUENCE_H
