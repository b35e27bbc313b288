//===- StepBudget.h - how much of prompts beside answers ---------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H
#define LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H

#include <cstddef>
#include <cstdint>
#include <vector>

namespace llama4 {

/// Learns from the time of steps how many prompt tokens fit into a step in which answers go on, if
/// that step shall take at most `factor` times as long as one without prompt tokens. That is for
/// one prompt; where several wait, as much may be added for each, so that the last of them does not
/// wait for all others at the pace of one. What steps compute does not depend on it.
class StepBudget {
public:
  /// At most `most` tokens; a factor of 1 or less: always `most`. `mostAnswers` go on at once.
  StepBudget(double factor, uint32_t most, uint32_t mostAnswers)
      : factor_(factor), most_(most), plain_(mostAnswers + 1, unknown) {}

  /// A step in which `answers` went on and that had so many prompt tokens took so long. Times that
  /// are no positive numbers teach nothing.
  void record(uint32_t answers, uint32_t promptTokens, double seconds);
  /// Prompt tokens for the next step, in which `answers` go on and `prompts` wait, at least one of
  /// each. At most `most`, and 0 now and then: that step tells what the answers alone take. Two
  /// such steps never follow each other while the number of answers stays.
  uint32_t promptTokens(uint32_t answers, uint32_t prompts) const;

private:
  static constexpr double unknown = -1;
  static double smoothed(double old, double now);
  size_t indexOf(uint32_t answers) const;

  double factor_;
  uint32_t most_;
  std::vector<double> plain_; ///< seconds of a step of so many answers alone; 0: cannot be told
  double perToken_ = unknown; ///< seconds that a prompt token adds
  uint32_t mixed_ = 0;        ///< steps with prompt tokens since one without
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H
