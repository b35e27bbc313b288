//===- Greedy.cpp - the most likely token ---------------------------------===//

#include "runtime/engine/Greedy.h"

#include <limits>

namespace llama4 {

std::optional<int32_t> greedyToken(std::span<const float> logits) {
  // The largest value first, in lanes that the compiler keeps in vectors, then where it stands.
  constexpr size_t lanes = 16;
  constexpr float least = -std::numeric_limits<float>::infinity();
  float most[lanes];
  for (float &lane : most)
    lane = least;
  size_t i = 0;
  for (; i + lanes <= logits.size(); i += lanes)
    for (size_t lane = 0; lane < lanes; ++lane)
      most[lane] = logits[i + lane] > most[lane] ? logits[i + lane] : most[lane];
  for (; i < logits.size(); ++i)
    most[0] = logits[i] > most[0] ? logits[i] : most[0];
  float largest = most[0];
  for (float lane : most)
    largest = lane > largest ? lane : largest;
  for (size_t id = 0; id < logits.size(); ++id)
    if (logits[id] == largest)
      return static_cast<int32_t>(id);
  return std::nullopt;
}

} // namespace llama4
