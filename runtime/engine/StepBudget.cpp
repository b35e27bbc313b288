//===- StepBudget.cpp - how much of prompts beside answers ----------------===//

#include "runtime/engine/StepBudget.h"

#include <algorithm>
#include <cmath>

namespace llama4 {

namespace {

constexpr uint32_t firstTokens = 4; ///< as long as nothing is known of what they take
constexpr uint32_t plainEvery = 16; ///< steps: the machine, or the answers, may have become slower

} // namespace

/// Follows what lasts and mostly overlooks single slow steps, which say more about the machine.
double StepBudget::smoothed(double old, double now) {
  return old <= 0 ? now : old + 0.2 * (std::min(now, 2 * old) - old);
}

size_t StepBudget::indexOf(uint32_t answers) const {
  return std::min<size_t>(answers, plain_.size() - 1);
}

void StepBudget::record(uint32_t answers, uint32_t promptTokens, double seconds) {
  mixed_ = promptTokens == 0 ? 0 : mixed_ + 1;
  double &plain = plain_[indexOf(answers)];
  const bool tells = seconds > 0 && std::isfinite(seconds);
  if (promptTokens != 0 && tells && plain > 0)
    perToken_ = smoothed(perToken_, std::max(seconds - plain, seconds / 64) / promptTokens);
  else if (promptTokens == 0)
    plain = tells ? smoothed(plain, seconds) : std::max(plain, 0.0);
}

uint32_t StepBudget::promptTokens(uint32_t answers, uint32_t prompts) const {
  if (factor_ <= 1)
    return most_;
  const double plain = plain_[indexOf(answers)];
  if (plain == unknown || mixed_ >= plainEvery)
    return 0;
  if (plain <= 0 || perToken_ <= 0)
    return std::min(most_, firstTokens);
  const double tokens = (factor_ - 1) * std::max(1u, prompts) * plain / perToken_;
  return tokens >= most_ ? most_ : std::max(static_cast<uint32_t>(tokens), 1u);
}

} // namespace llama4
