//===- ProgressBar.h - a line that is drawn over on a terminal ---*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_BASE_PROGRESSBAR_H
#define LLAMA4_RUNTIME_BASE_PROGRESSBAR_H

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace llama4 {

/// How much of something is done, on stderr, where that is a terminal that can draw over a line
/// (TERM is not "dumb"); nothing anywhere else. Any thread may report. Ends its line when
/// destroyed.
class ProgressBar {
public:
  enum class Unit { Count, Bytes };

  /// `label` stands before the bar and may be empty.
  ProgressBar(std::string label, uint64_t total, Unit unit = Unit::Count);
  ~ProgressBar();
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;

  /// `done` of the total are done; draws at most ten times a second, and at the end.
  void show(uint64_t done);
  /// So many more are done.
  void add(uint64_t more);

private:
  void draw();

  const std::string label_;
  const uint64_t total_;
  const Unit unit_;
  const bool shown_;
  std::mutex mutex_;
  uint64_t done_ = 0;
  bool drawn_ = false;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_PROGRESSBAR_H
