//===- Perplexity.cpp - how well a model predicts a text ------------------===//

#include "runtime/engine/Perplexity.h"

#include "runtime/engine/StepPlanner.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace llama4 {

namespace {

/// Scores chunks one after the other, in memory that is reused.
class Scorer {
public:
  Scorer(Engine &engine, const PerplexityOptions &options)
      : engine_(engine), options_(options), planner_(engine, options.prefillChunk) {
    chunk_.reserve(options.context);
    rows_.reserve(options.context);
  }

  Status score(std::span<const int32_t> ids);
  const PerplexityEstimate &estimate() const { return estimate_; }

private:
  Status scoreStep(const PlannedChunk &part, uint64_t begin);

  Engine &engine_;
  const PerplexityOptions &options_;
  StepPlanner planner_;
  std::vector<int32_t> chunk_;
  std::vector<uint32_t> rows_;
  PerplexityEstimate estimate_;
};

/// One chunk as a sequence of its own.
Status Scorer::score(std::span<const int32_t> ids) {
  chunk_.assign(ids.begin(), ids.end());
  if (options_.bos)
    chunk_[0] = *options_.bos;
  std::vector<std::unique_ptr<Sequence>> sequences(1);
  LLAMA4_ASSIGN_OR_RETURN(sequences[0], engine_.createSequence(chunk_.size()));
  LLAMA4_RETURN_IF_ERROR(sequences[0]->append(chunk_));
  while (planner_.plan(sequences)) {
    uint64_t begin = sequences[0]->processed();
    LLAMA4_RETURN_IF_ERROR(engine_.step(planner_.chunks()));
    LLAMA4_RETURN_IF_ERROR(scoreStep(planner_.planned()[0], begin));
  }
  ++estimate_.chunks;
  return {};
}

/// The predictions of the step's tokens that lie in the second half; the last token of a chunk
/// predicts nothing that is known.
Status Scorer::scoreStep(const PlannedChunk &part, uint64_t begin) {
  const uint64_t first = std::max<uint64_t>(begin, options_.context / 2);
  const uint64_t end = std::min<uint64_t>(begin + part.tokens, options_.context - 1);
  rows_.clear();
  for (uint64_t position = first; position < end; ++position)
    rows_.push_back(static_cast<uint32_t>(part.firstRow + (position - begin)));
  bool numbers = true;
  LLAMA4_RETURN_IF_ERROR(engine_.logits(rows_, [&](size_t i, std::span<const float> logits) {
    const double value = negativeLogLikelihood(logits, chunk_[first + i + 1]);
    numbers = numbers && std::isfinite(value);
    estimate_.add(value);
  }));
  return numbers ? Status()
                 : Status::internal("logits: found no number, expected one for each token; the "
                                    "program or its weights are broken.");
}

Status checkRequest(const Engine &engine, std::span<const int32_t> ids,
                    const PerplexityOptions &options) {
  if (options.context < 4 || options.context > engine.maxLength())
    return Status::error(StatusKind::Usage,
                         "context: found " + std::to_string(options.context) +
                             " tokens, expected 4 to " + std::to_string(engine.maxLength()) +
                             ", the longest sequence of this program and memory.");
  if (ids.size() / 2 < options.context)
    return Status::invalidInput("the text: found " + std::to_string(ids.size()) +
                                " tokens, expected at least " +
                                std::to_string(uint64_t{options.context} * 2) +
                                ", two chunks; give a longer text or a smaller context.");
  return {};
}

} // namespace

double PerplexityEstimate::perplexity() const {
  return scored == 0 ? 1 : std::exp(sum / static_cast<double>(scored));
}

double PerplexityEstimate::error() const {
  if (scored < 2)
    return 0;
  const auto count = static_cast<double>(scored);
  const double mean = sum / count;
  const double variance = std::max(squares / count - mean * mean, 0.0);
  return std::sqrt(variance / (count - 1)) * perplexity();
}

void PerplexityEstimate::add(double negativeLogLikelihood) {
  ++scored;
  sum += negativeLogLikelihood;
  squares += negativeLogLikelihood * negativeLogLikelihood;
}

double negativeLogLikelihood(std::span<const float> logits, int32_t token) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit) - static_cast<double>(top));
  return std::log(sum) -
         (static_cast<double>(logits[static_cast<size_t>(token)]) - static_cast<double>(top));
}

Result<PerplexityEstimate>
measurePerplexity(Engine &engine, std::span<const int32_t> ids, const PerplexityOptions &options,
                  const std::function<void(const PerplexityEstimate &)> &onChunk) {
  LLAMA4_RETURN_IF_ERROR(checkRequest(engine, ids, options));
  uint64_t chunks = ids.size() / options.context;
  if (options.maxChunks != 0)
    chunks = std::min<uint64_t>(chunks, options.maxChunks);
  Scorer scorer(engine, options);
  for (uint64_t i = 0; i < chunks; ++i) {
    LLAMA4_RETURN_IF_ERROR(scorer.score(ids.subspan(i * options.context, options.context)));
    if (onChunk)
      onChunk(scorer.estimate());
  }
  return scorer.estimate();
}

} // namespace llama4
