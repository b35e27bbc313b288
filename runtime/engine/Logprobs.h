//===- Logprobs.h - how likely tokens were -----------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_LOGPROBS_H
#define LLAMA4_RUNTIME_ENGINE_LOGPROBS_H

#include <cstdint>
#include <span>
#include <vector>

namespace llama4 {

/// The natural logarithm of a token's probability under the model, before anything a request asks
/// of the sampler: log softmax of the logits.
struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0;
};

/// A token of an answer and the likeliest tokens in its place.
struct TokenLogprobs {
  TokenLogprob chosen;
  std::vector<TokenLogprob> top; ///< the likeliest first; of equal ones the lowest id
};

/// `chosen` lies inside of `logits`; `top` is at most their number. Logits that are NaN count as
/// -infinity.
TokenLogprobs tokenLogprobs(std::span<const float> logits, int32_t chosen, uint32_t top);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_LOGPROBS_H
