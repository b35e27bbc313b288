//===- Perplexity.h - how well a model predicts a text -----------*- C++ -*-===//
//
// The method of llama.cpp's llama-perplexity, so that the numbers can stand side by side: the ids
// of a text are cut into chunks of `context` tokens, each chunk is a sequence of its own, and of
// each the predictions of the second half are scored, which have at least half a chunk before them.
// Where the model wants BOS in front of a text, it stands in the place of each chunk's first token.
// What is left behind the last whole chunk is not used.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_PERPLEXITY_H
#define LLAMA4_RUNTIME_ENGINE_PERPLEXITY_H

#include "runtime/engine/Engine.h"

#include <functional>
#include <optional>
#include <span>

namespace llama4 {

struct PerplexityOptions {
  uint32_t context = 512;     ///< tokens of a chunk, at least 4
  uint32_t maxChunks = 0;     ///< 0: all
  std::optional<int32_t> bos; ///< replaces the first token of each chunk
  uint32_t prefillChunk = 0;  ///< most tokens of one step; 0: as many as fit
};

/// The estimate after some chunks.
struct PerplexityEstimate {
  uint64_t chunks = 0; ///< that were scored
  uint64_t scored = 0; ///< predictions in them
  double sum = 0;      ///< of -ln p(token) over the predictions
  double squares = 0;  ///< of its square

  /// exp of the mean of -ln p; 1 before the first chunk.
  double perplexity() const;
  /// The standard error of perplexity(), the predictions taken as independent; 0 of fewer than two.
  double error() const;
  /// Adds one prediction.
  void add(double negativeLogLikelihood);
};

/// Predictions that one chunk scores.
constexpr uint32_t scoredPerChunk(uint32_t context) { return context - context / 2 - 1; }

/// -ln of the probability that softmax(logits) gives `token`, which is less than logits.size().
double negativeLogLikelihood(std::span<const float> logits, int32_t token);

/// Scores the chunks of `ids` in order and calls `onChunk` with the estimate after each. Errors:
/// Usage (a context that is too small or longer than the engine's sequences), InvalidInput (fewer
/// ids than two chunks), Internal (logits that are no numbers), and those of Engine::step().
Result<PerplexityEstimate>
measurePerplexity(Engine &engine, std::span<const int32_t> ids, const PerplexityOptions &options,
                  const std::function<void(const PerplexityEstimate &)> &onChunk = nullptr);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PERPLEXITY_H
