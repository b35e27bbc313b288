//===- StepBudget.cpp - how much of prompts beside answers ----------------===//

#include "runtime/engine/StepBudget.h"

#include "runtime/format/KernelAbi.h"

#include <algorithm>
#include <cmath>

namespace llama4 {

/// Follows what lasts and mostly overlooks single slow steps, which say more about the machine.
double StepBudget::smoothed(double old, double now) {
  return old == 0 ? now : old + 0.2 * (std::min(now, 2 * old) - old);
}

void StepBudget::record(uint32_t promptTokens, double seconds) {
  if (!(seconds > 0) || !std::isfinite(seconds))
    return;
  if (promptTokens == 0)
    plain_ = smoothed(plain_, seconds);
  else if (plain_ > 0)
    perToken_ = smoothed(perToken_, std::max(seconds - plain_, seconds / 64) / promptTokens);
}

uint32_t StepBudget::promptTokens() const {
  if (factor_ <= 1 || most_ <= L4_PAGE_TOKENS)
    return most_;
  if (plain_ <= 0 || perToken_ <= 0)
    return L4_PAGE_TOKENS; // the first steps of this kind tell
  const double tokens = (factor_ - 1) * plain_ / perToken_;
  if (tokens >= most_)
    return most_;
  return std::max<uint32_t>(static_cast<uint32_t>(tokens), L4_PAGE_TOKENS);
}

} // namespace llama4
