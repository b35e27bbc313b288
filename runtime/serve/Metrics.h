//===- Metrics.h - numbers for Prometheus ------------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_METRICS_H
#define LLAMA4_RUNTIME_SERVE_METRICS_H

#include "runtime/engine/Scheduler.h"

#include <memory>
#include <string>

namespace llama4::serve {

/// What the server counts. Names and meanings are vLLM's, under "llama4:". Thread-safe; labels come
/// from closed sets only.
class Metrics {
public:
  explicit Metrics(const std::string &model);
  ~Metrics();

  /// A response was begun; `route` is a pattern of the table.
  void countResponse(const std::string &route, int status);
  /// An answer is complete: "stop", "length", "abort" or "error".
  void countAnswer(const std::string &reason);
  void observeFirstToken(double seconds);
  void observeInterToken(double seconds);
  void observeRequest(double seconds);

  /// The text for /metrics. `bufferBytes`: what connections hold of their shared memory.
  std::string text(const SchedulerStats &stats, size_t bufferBytes);

private:
  struct Registry;
  std::unique_ptr<Registry> registry_;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_METRICS_H
