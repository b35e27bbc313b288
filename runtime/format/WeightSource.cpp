//===- WeightSource.cpp - where the bytes of the weights come from --------===//

#include "runtime/format/WeightSource.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace llama4 {

template <typename T> static std::optional<T> parseNumber(std::string_view text) {
  T value = 0;
  const char *end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end ? std::optional(value) : std::nullopt;
}

std::optional<WeightSource> parseWeightSource(std::string_view text) {
  constexpr std::string_view random = "random:", splat = "splat:";
  if (text.starts_with(random)) {
    std::optional<uint64_t> seed = parseNumber<uint64_t>(text.substr(random.size()));
    return seed ? std::optional(WeightSource{WeightOrigin::Random, 0, *seed}) : std::nullopt;
  }
  if (!text.starts_with(splat))
    return std::nullopt;
  std::optional<float> value = parseNumber<float>(text.substr(splat.size()));
  if (!value || !(std::fabs(*value) <= maxSplatValue)) // also false for NaN
    return std::nullopt;
  return WeightSource{WeightOrigin::Splat, *value, 0};
}

std::string weightSourceText(const WeightSource &source) {
  switch (source.origin) {
  case WeightOrigin::Stored:
    break;
  case WeightOrigin::Random:
    return "random:" + std::to_string(source.seed);
  case WeightOrigin::Splat: {
    char text[64];
    auto [end, error] = std::to_chars(text, text + sizeof(text), source.value);
    return "splat:" + std::string(text, end);
  }
  }
  return "stored";
}

bool canMakeUp(std::string_view encoding) {
  constexpr std::string_view known[] = {"float32", "bfloat16", "q8_0", "q4_1",     "q4_0",
                                        "q5_0",    "q4_k",     "q6_k", "int4_g128"};
  return std::find(std::begin(known), std::end(known), encoding) != std::end(known);
}

} // namespace llama4
