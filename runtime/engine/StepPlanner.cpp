//===- StepPlanner.cpp - which tokens go into the next step ---------------===//

#include "runtime/engine/StepPlanner.h"

#include <algorithm>

namespace llama4 {

StepPlanner::StepPlanner(const Engine &engine, uint32_t chunkTokens)
    : maxTokens_(engine.maxStepTokens()), maxSequences_(engine.maxSequences()),
      chunkTokens_(chunkTokens == 0 ? maxTokens_ : std::min(chunkTokens, maxTokens_)) {
  chunks_.reserve(maxSequences_);
  planned_.reserve(maxSequences_);
}

void StepPlanner::add(const std::unique_ptr<Sequence> &sequence, size_t index, uint32_t tokens) {
  chunks_.push_back({sequence.get(), tokens});
  planned_.push_back({index, tokens_, tokens, tokens == sequence->pending()});
  tokens_ += tokens;
}

bool StepPlanner::plan(std::span<const std::unique_ptr<Sequence>> sequences,
                       uint32_t promptTokens) {
  chunks_.clear();
  planned_.clear();
  tokens_ = 0;
  auto room = [&] { return tokens_ < maxTokens_ && chunks_.size() < maxSequences_; };
  for (size_t i = 0; i < sequences.size() && room(); ++i)
    if (sequences[i] && sequences[i]->pending() == 1)
      add(sequences[i], i, 1);
  answers_ = tokens_;
  const uint32_t end = tokens_ + std::min(promptTokens, maxTokens_ - tokens_);
  for (size_t i = 0; i < sequences.size() && room() && tokens_ < end; ++i)
    if (sequences[i] && sequences[i]->pending() > 1)
      add(sequences[i], i,
          static_cast<uint32_t>(std::min<uint64_t>(
              {sequences[i]->pending(), chunkTokens_, end - tokens_, sequences[i]->room()})));
  return !chunks_.empty();
}

} // namespace llama4
