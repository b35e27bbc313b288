//===- Sampler.cpp - from logits to a token -------------------------------===//

#include "runtime/engine/Sampler.h"

#include "runtime/engine/Greedy.h"
#include "runtime/engine/Philox.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>

namespace llama4 {

namespace {

std::string numberText(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%g", value);
  return text;
}

Status inRange(const char *name, float value, double low, double high) {
  if (value >= low && value <= high) // false for NaN as well
    return {};
  return Status::error(StatusKind::Usage, std::string(name) + ": found " + numberText(value) +
                                              ", expected a number from " + numberText(low) +
                                              " to " + numberText(high) + ".");
}

bool isLarger(const Candidate &a, const Candidate &b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

bool isAbsent(float score) { return !(score > -std::numeric_limits<float>::infinity()); }

/// The largest, with ties to the lowest id; they are in the order of their ids.
const Candidate &largest(const std::vector<Candidate> &candidates) {
  const Candidate *best = &candidates[0];
  for (const Candidate &candidate : candidates)
    best = candidate.score > best->score ? &candidate : best;
  return *best;
}

void keepTopK(std::vector<Candidate> &candidates, uint32_t k) {
  if (k == 0 || k >= candidates.size())
    return;
  std::nth_element(candidates.begin(), candidates.begin() + (k - 1), candidates.end(), isLarger);
  candidates.resize(k);
}

/// Takes the largest one by one from a heap: what is far down the tail is never sorted.
void keepTopP(std::vector<Candidate> &candidates, float p) {
  if (p >= 1)
    return;
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += candidate.probability;
  auto isSmaller = [](const Candidate &a, const Candidate &b) { return isLarger(b, a); };
  std::make_heap(candidates.begin(), candidates.end(), isSmaller);
  auto heapEnd = candidates.end();
  double before = 0;
  do {
    std::pop_heap(candidates.begin(), heapEnd, isSmaller);
    before += (--heapEnd)->probability;
  } while (heapEnd != candidates.begin() && before < static_cast<double>(p) * total);
  candidates.erase(candidates.begin(), heapEnd);
}

} // namespace

Status SamplingParameters::check(uint32_t vocabSize) const {
  LLAMA4_RETURN_IF_ERROR(inRange("temperature", temperature, 0, 1000));
  LLAMA4_RETURN_IF_ERROR(inRange("top-p", topP, 0, 1));
  LLAMA4_RETURN_IF_ERROR(inRange("min-p", minP, 0, 1));
  LLAMA4_RETURN_IF_ERROR(inRange("frequency penalty", frequencyPenalty, -2, 2));
  LLAMA4_RETURN_IF_ERROR(inRange("presence penalty", presencePenalty, -2, 2));
  LLAMA4_RETURN_IF_ERROR(
      inRange("repetition penalty", repetitionPenalty, static_cast<double>(1e-3f), 1000));
  for (size_t i = 0; i < logitBias.size(); ++i) {
    const auto [id, bias] = logitBias[i];
    if (id < 0 || static_cast<uint32_t>(id) >= vocabSize)
      return Status::error(StatusKind::Usage, "logit bias: found the id " + std::to_string(id) +
                                                  ", expected one from 0 to " +
                                                  std::to_string(vocabSize - 1) + ".");
    LLAMA4_RETURN_IF_ERROR(inRange("logit bias", bias, -100, 100));
    for (size_t j = 0; j < i; ++j)
      if (logitBias[j].id == id)
        return Status::error(StatusKind::Usage, "logit bias: found the id " + std::to_string(id) +
                                                    " twice, expected each id once.");
  }
  return {};
}

Result<Sampler> Sampler::create(SamplingParameters parameters, uint32_t vocabSize) {
  LLAMA4_RETURN_IF_ERROR(parameters.check(vocabSize));
  return Sampler(std::move(parameters), vocabSize);
}

Sampler::Sampler(SamplingParameters parameters, uint32_t vocabSize)
    : parameters_(std::move(parameters)) {
  if (!penalizes())
    return;
  counts_.resize(vocabSize);
  isSeen_.resize(vocabSize);
  seen_.reserve(vocabSize);
}

void Sampler::see(int32_t id, uint32_t times) {
  const auto index = static_cast<size_t>(id);
  if (id < 0 || index >= counts_.size())
    return;
  counts_[index] += times;
  if (!isSeen_[index])
    seen_.push_back(id);
  isSeen_[index] = true;
}

void Sampler::addPrompt(std::span<const int32_t> ids) {
  for (int32_t id : ids)
    see(id, 0);
}

/// Bias and penalties; the candidates are all ids in order.
void Sampler::adjust(std::vector<Candidate> &candidates) const {
  for (const LogitBias &bias : parameters_.logitBias)
    candidates[static_cast<size_t>(bias.id)].score += bias.bias;
  const double repetition = parameters_.repetitionPenalty;
  for (int32_t id : seen_) {
    Candidate &candidate = candidates[static_cast<size_t>(id)];
    const uint32_t count = counts_[static_cast<size_t>(id)];
    double score = candidate.score;
    score = score > 0 ? score / repetition : score * repetition;
    if (count != 0)
      score -= count * static_cast<double>(parameters_.frequencyPenalty) +
               static_cast<double>(parameters_.presencePenalty);
    candidate.score = static_cast<float>(score);
  }
}

std::span<const Candidate> Sampler::distribution(std::span<const float> logits,
                                                 Scratch &scratch) const {
  std::vector<Candidate> &candidates = scratch.candidates_;
  candidates.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    candidates[id] = {logits[id], static_cast<int32_t>(id), 0};
  adjust(candidates);
  std::erase_if(candidates, [](const Candidate &c) { return isAbsent(c.score); });
  if (candidates.empty())
    return {};
  const Candidate best = largest(candidates);
  const double temperature = parameters_.temperature;
  if (temperature == 0) {
    candidates.assign(1, {best.score, best.id, 1.0});
    return candidates;
  }
  keepTopK(candidates, parameters_.topK);
  for (Candidate &c : candidates)
    c.probability =
        c.score == best.score
            ? 1.0
            : std::exp((static_cast<double>(c.score) - static_cast<double>(best.score)) /
                       temperature);
  keepTopP(candidates, parameters_.topP);
  const double least = parameters_.minP;
  std::erase_if(candidates, [least](const Candidate &c) { return c.probability < least; });
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate &a, const Candidate &b) { return a.id < b.id; });
  double total = 0;
  for (const Candidate &c : candidates)
    total += c.probability;
  for (Candidate &c : candidates)
    c.probability /= total;
  return candidates;
}

std::optional<int32_t> Sampler::sample(std::span<const float> logits, Scratch &scratch) {
  std::optional<int32_t> token;
  if (parameters_.temperature == 0 && parameters_.logitBias.empty() && !penalizes()) {
    token = greedyToken(logits);
  } else {
    const double draw = uniformDraw(parameters_.seed, drawn_);
    double sum = 0;
    for (const Candidate &candidate : distribution(logits, scratch)) {
      token = candidate.id; // the last one, where rounding leaves the sum below the draw
      sum += candidate.probability;
      if (sum > draw)
        break;
    }
  }
  if (token) {
    ++drawn_;
    see(*token, 1);
  }
  return token;
}

} // namespace llama4
