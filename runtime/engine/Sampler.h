//===- Sampler.h - from logits to a token ------------------------*- C++ -*-===//
//
// The steps, in the order of Hugging Face transformers (sequence bias, penalties, then warpers):
//
//   1. logit bias           logit += bias of the id                          (OpenAI)
//   2. repetition penalty   ids of prompt or answer: logit / r if it is positive, else logit * r
//   (HF)
//   3. frequency, presence  ids of the answer, n times in it: logit -= n * frequency + presence
//                           (OpenAI)
//   4. temperature          softmax(logit / temperature); 0 is greedy and ends here
//   5. top-k                the k largest
//   6. top-p                the most probable, until what stands before reaches p of all that step
//                           5 left; at least one (HF)
//   7. min-p                probabilities of at least min-p times the largest (HF)
//
// What is left is drawn from in proportion. Wherever logits are equal, the lower id counts as the
// larger one. Steps 1 to 3 compute in double and round to f32 once for 1 and once for 2 and 3;
// everything after is double. Logits that are NaN or -infinity are never chosen.
//
// Token n of an answer is chosen by draw n of its seed (Philox.h): the same logits give the same
// tokens in whatever company and in whatever steps they were computed.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_SAMPLER_H
#define LLAMA4_RUNTIME_ENGINE_SAMPLER_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llama4 {

struct LogitBias {
  int32_t id = 0;
  float bias = 0; ///< -100 to 100
};

/// How the tokens of one answer are chosen. The defaults are greedy decoding.
struct SamplingParameters {
  float temperature = 0;       ///< 0 to 1000; 0: greedy
  uint32_t topK = 0;           ///< 0: off
  float topP = 1;              ///< 0 to 1; 1: off
  float minP = 0;              ///< 0 to 1; 0: off
  float frequencyPenalty = 0;  ///< -2 to 2
  float presencePenalty = 0;   ///< -2 to 2
  float repetitionPenalty = 1; ///< 0.001 to 1000
  uint64_t seed = 0;
  std::vector<LogitBias> logitBias = {}; ///< each id once

  /// Errors: Usage, naming the parameter that is out of its range.
  Status check(uint32_t vocabSize) const;
};

/// A token that may be chosen.
struct Candidate {
  float score = 0; ///< its logit after steps 1 to 3
  int32_t id = 0;
  double probability = 0; ///< relative to the most probable token until the last step
};

/// Chooses the tokens of one answer. Only create() and addPrompt() allocate.
class Sampler {
public:
  /// Memory that samplers of one vocabulary share, one at a time.
  class Scratch {
  public:
    explicit Scratch(uint32_t vocabSize) { candidates_.reserve(vocabSize); }

  private:
    friend class Sampler;
    std::vector<Candidate> candidates_;
  };

  /// Errors: as SamplingParameters::check().
  static Result<Sampler> create(SamplingParameters parameters, uint32_t vocabSize);

  /// The tokens before the answer; ids outside the vocabulary are ignored.
  void addPrompt(std::span<const int32_t> ids);
  /// The next token, given its logits f32[V]; nothing when no logit is a number. It is part of the
  /// answer from now on.
  std::optional<int32_t> sample(std::span<const float> logits, Scratch &scratch);
  /// The tokens that sample() would choose from and their probabilities, by rising id. They live in
  /// the scratch.
  std::span<const Candidate> distribution(std::span<const float> logits, Scratch &scratch) const;

  const SamplingParameters &parameters() const { return parameters_; }

private:
  Sampler(SamplingParameters parameters, uint32_t vocabSize);
  bool penalizes() const {
    return parameters_.repetitionPenalty != 1 || parameters_.frequencyPenalty != 0 ||
           parameters_.presencePenalty != 0;
  }
  void see(int32_t id, uint32_t times);
  void adjust(std::vector<Candidate> &candidates) const;

  SamplingParameters parameters_;
  uint64_t drawn_ = 0;           ///< tokens of the answer so far
  std::vector<uint32_t> counts_; ///< per id, in the answer; empty without penalties
  std::vector<bool> isSeen_;     ///< per id, in prompt or answer; empty without penalties
  std::vector<int32_t> seen_;    ///< the ids that are seen
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SAMPLER_H
