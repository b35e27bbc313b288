//===- Logprobs.cpp - how likely tokens were ------------------------------===//

#include "runtime/engine/Logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace llama4 {

TokenLogprobs tokenLogprobs(std::span<const float> logits, int32_t chosen, uint32_t top) {
  constexpr float least = -std::numeric_limits<float>::infinity();
  auto at = [&](size_t id) { return std::isnan(logits[id]) ? least : logits[id]; };
  float largest = least;
  for (size_t id = 0; id < logits.size(); ++id)
    largest = std::max(largest, at(id));
  double sum = 0;
  for (size_t id = 0; id < logits.size(); ++id)
    sum += std::exp(static_cast<double>(at(id)) - static_cast<double>(largest));
  const double normalizer = static_cast<double>(largest) + std::log(sum);
  auto entry = [&](size_t id) {
    return TokenLogprob{static_cast<int32_t>(id),
                        static_cast<float>(static_cast<double>(at(id)) - normalizer)};
  };

  TokenLogprobs result{entry(static_cast<size_t>(chosen)), {}};
  std::vector<size_t> best; // a heap whose front is the least likely that is kept
  auto isBefore = [&](size_t a, size_t b) { return at(a) != at(b) ? at(a) > at(b) : a < b; };
  for (size_t id = 0; top != 0 && id < logits.size(); ++id) {
    if (best.size() == top && !isBefore(id, best.front()))
      continue;
    if (best.size() == top) {
      std::pop_heap(best.begin(), best.end(), isBefore);
      best.pop_back();
    }
    best.push_back(id);
    std::push_heap(best.begin(), best.end(), isBefore);
  }
  std::sort_heap(best.begin(), best.end(), isBefore);
  for (size_t id : best)
    result.top.push_back(entry(id));
  return result;
}

} // namespace llama4
