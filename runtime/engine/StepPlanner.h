//===- StepPlanner.h - which tokens go into the next step --------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_STEPPLANNER_H
#define LLAMA4_RUNTIME_ENGINE_STEPPLANNER_H

#include "runtime/engine/Engine.h"

#include <limits>
#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// One planned chunk and what it leaves.
struct PlannedChunk {
  size_t sequence = 0;   ///< index into the sequences that were planned
  uint32_t firstRow = 0; ///< of the chunk in the step's rows
  uint32_t tokens = 0;
  bool reachesEnd = false; ///< no token of the sequence is pending after the step
};

/// Fills steps: first one token of each sequence that is generating, then pieces of prompts in the
/// order of the sequences, as many as there is room for. A piece is never longer than the cache
/// holds of its sequence alone. Planning allocates nothing.
class StepPlanner {
public:
  /// `chunkTokens`: the most tokens that one sequence adds to a step; 0: as many as fit.
  StepPlanner(const Engine &engine, uint32_t chunkTokens);

  /// Plans one step; false when nothing is pending. Null sequences are passed over. Pieces of
  /// prompts have at most `promptTokens` together.
  bool plan(std::span<const std::unique_ptr<Sequence>> sequences,
            uint32_t promptTokens = std::numeric_limits<uint32_t>::max());

  std::span<const SequenceChunk> chunks() const { return chunks_; }
  std::span<const PlannedChunk> planned() const { return planned_; }
  uint32_t tokens() const { return tokens_; } ///< of the step
  /// The most tokens that one sequence adds to a step.
  uint32_t chunkTokens() const { return chunkTokens_; }
  /// Sequences of the step that are generating; their chunks are the first.
  uint32_t answers() const { return answers_; }

private:
  void add(const std::unique_ptr<Sequence> &sequence, size_t index, uint32_t tokens);

  uint32_t maxTokens_, maxSequences_, chunkTokens_;
  uint32_t tokens_ = 0, answers_ = 0;
  std::vector<SequenceChunk> chunks_; ///< capacity: maxSequences_
  std::vector<PlannedChunk> planned_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_STEPPLANNER_H
