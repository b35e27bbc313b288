//===- StepBudget.h - how much of prompts beside answers ---------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H
#define LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H

#include <cstdint>

namespace llama4 {

/// Learns from the time of steps how many prompt tokens fit into a step in which others generate,
/// if that step shall take at most `factor` times as long as one without prompt tokens. What steps
/// compute does not depend on it.
class StepBudget {
public:
  /// At most `most` tokens; a factor of 1 or less: always `most`.
  StepBudget(double factor, uint32_t most) : factor_(factor), most_(most) {}

  /// A step in which some generate and that has so many prompt tokens took so long. Times that are
  /// no positive numbers are not looked at.
  void record(uint32_t promptTokens, double seconds);
  /// Prompt tokens for the next one: at least a page, at most `most`.
  uint32_t promptTokens() const;

private:
  static double smoothed(double old, double now);

  double factor_;
  uint32_t most_;
  double plain_ = 0;    ///< seconds of a step without prompt tokens
  double perToken_ = 0; ///< seconds that a prompt token adds
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_STEPBUDGET_H
