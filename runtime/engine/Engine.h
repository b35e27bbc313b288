//===- Engine.h - runs steps of many sequences -------------------*- C++ -*-===//
//
// An Engine owns a program on a device: code, cache and step buffers. One step processes a ragged
// batch, pieces of prompts and single tokens of several sequences mixed; the engine hands out the
// pages, tells the kernels where everything lies, and picks the entry. Which tokens to process next
// is decided above (StepPlanner.h, Generator.h).
//
// All memory is reserved by create(). step() and the logits allocate nothing and throw nothing; one
// thread at a time uses an engine and its sequences.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_ENGINE_H
#define LLAMA4_RUNTIME_ENGINE_ENGINE_H

#include "runtime/engine/PlaceWeights.h"
#include "runtime/engine/Profile.h"
#include "runtime/engine/StepBuffers.h"
#include "runtime/program/Executor.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// Limits chosen at load; they may lower what was compiled, never raise it.
struct EngineOptions {
  uint64_t maxLength = 0;    ///< tokens of the longest sequence; 0: as compiled
  uint32_t maxSequences = 0; ///< sequences that exist at once; 0: as compiled
  /// Bytes for weights, transients, step buffers and cache together; 0: the cache may take nine
  /// tenths of the memory that is available.
  uint64_t memory = 0;
  bool profile = false; ///< measure every command
  /// Pages of texts stay known after their sequences, as long as there is room for them; see
  /// Sequence::reusePrefix().
  bool prefixCache = true;
  WeightsOptions weights = {};
};

class Engine {
public:
  /// `device` must outlive the engine. Errors: Usage (a limit above the compiled one), OutOfMemory,
  /// Unavailable (no code for this machine), InvalidInput (the program generates no text).
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<const Program> program,
                                                Device &device, const EngineOptions &options = {});

  /// An empty sequence that can take `expectedLength` tokens without allocating. Errors:
  /// OutOfMemory (as many exist as the engine may have).
  Result<std::unique_ptr<Sequence>> createSequence(uint64_t expectedLength = 0);

  /// A sequence that begins with the processed tokens of `from` and shares its pages, until one of
  /// them writes to a page. Errors: those of createSequence().
  Result<std::unique_ptr<Sequence>> fork(const Sequence &from, uint64_t expectedLength = 0);
  /// Forgets the pages that no sequence holds.
  void dropPrefixCache() { cache_->dropUnheld(); }

  /// Processes the given pending tokens of the given sequences, each named once. Errors: Internal
  /// (chunks that are no step), OutOfMemory and Usage (no pages); nothing was processed then.
  Status step(std::span<const SequenceChunk> chunks);

  /// Calls `use(i, logits)` with the logits f32[V] of token rows[i] of the last step, counted from
  /// the first token of its first chunk, for i from 0; the values live until the call returns.
  template <typename Use> Status logits(std::span<const uint32_t> rows, Use &&use) {
    for (size_t done = 0; done < rows.size();) {
      size_t count = std::min<size_t>(rows.size() - done, maxLogitsRows_);
      LLAMA4_RETURN_IF_ERROR(runLogits(rows.subspan(done, count)));
      for (size_t i = 0; i < count; ++i)
        use(done + i, buffers_->logits(static_cast<uint32_t>(i)));
      done += count;
    }
    return {};
  }
  /// The hidden state f32[H] of token `row` of the last step.
  std::span<const float> hidden(uint32_t row) const { return buffers_->hidden(row); }

  /// Encodes the pictures of one text, or finds them where another text has brought them; they stay
  /// as long as the result, which the engine must outlive. Errors: InvalidInput (the program takes
  /// no pictures, or others), OutOfMemory (no room beside those in use: end a text first).
  Result<std::shared_ptr<const PooledImages>> encodeImages(std::span<const ImagePixels> images);
  /// The pictures of a prompt for an empty sequence, encoded; see encodeImages() for errors.
  Result<std::shared_ptr<const PooledImages>> setImages(Sequence &sequence,
                                                        const PromptImages &images);
  /// Whether pictures can be encoded at all. Errors: InvalidInput (the program takes none), Usage
  /// (more than there is room for).
  Status checkImages(std::span<const ImagePixels> images) const;
  /// True when encodeImages() would find room; `alone`: if no other text had pictures.
  bool imagesFit(std::span<const ImagePixels> images, bool alone = false) const {
    return images.empty() || (images_ && images_->fits(images, alone));
  }
  /// The pools of pictures; null where the program takes none.
  const ImagePool *images() const { return images_.get(); }

  const Program &program() const { return executable_->program(); }
  std::string_view codeLevel() const { return executable_->codeLevel(); }
  const KvCache &cache() const { return *cache_; }
  /// Most tokens, and most sequences, of one step.
  uint32_t maxStepTokens() const { return maxStepTokens_; }
  uint32_t maxSequences() const { return maxSequences_; }
  /// Tokens of the longest sequence.
  uint64_t maxLength() const { return cache_->maxLength(); }
  uint32_t vocabSize() const { return program().desc().model.vocabSize; }
  /// Of ids that a text may have: those of the vocabulary and of a picture. Errors: InvalidInput.
  static Status checkId(const ProgramDesc &program, int64_t id);

  /// What was reserved, in bytes.
  struct Memory {
    uint64_t weights = 0, arena = 0, step = 0, cache = 0, images = 0;
  };
  Memory memory() const;
  /// Empty unless options.profile.
  Profile &profile() { return profile_; }

private:
  Engine() = default;
  Status checkChunks(std::span<const SequenceChunk> chunks, uint32_t &tokens) const;
  Status reservePages(std::span<const SequenceChunk> chunks);
  Status runLogits(std::span<const uint32_t> rows);
  Status execute(uint32_t entry, const l4_step &step, std::span<const KvTokens> kv = {});
  void countKv(std::span<const SequenceChunk> chunks);

  std::unique_ptr<Executable> executable_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<ImagePool> images_;
  std::optional<StepBuffers> buffers_;
  std::vector<uint32_t> slots_; ///< of the step's chunks; capacity: maxSequences
  Profile profile_;
  std::vector<KvTokens> kvTokens_; ///< of the step, for the profile; one for each kind of layers
  uint32_t maxStepTokens_ = 0;
  uint32_t maxSequences_ = 0;
  uint32_t maxLogitsRows_ = 0;
  uint32_t lastTokens_ = 0; ///< tokens of the last step: its hidden rows
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_ENGINE_H
