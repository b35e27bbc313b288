//===- Bench.h - how fast an engine runs, by what the machine can -*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_BENCH_H
#define LLAMA4_RUNTIME_ENGINE_BENCH_H

#include "runtime/engine/Engine.h"
#include "runtime/engine/Probe.h"

#include <vector>

namespace llama4 {

/// What to measure. Token ids are made up and the same in every run.
struct BenchOptions {
  uint32_t promptTokens = 512; ///< of each sequence
  uint32_t newTokens = 128;    ///< of each sequence
  uint32_t depth = 0;          ///< tokens in the cache before the prompt
  uint32_t batch = 1;          ///< sequences that run together
  uint32_t runs = 5;
  uint32_t prefillChunk = 0; ///< 0: as many as fit
  bool profile = false;      ///< measure every command; costs some time
};

/// The median; 0 of nothing.
double median(std::vector<double> values);

/// Prompts, or decodes. Vectors have one place for each run, in order.
struct BenchPhase {
  uint64_t tokens = 0; ///< of one run
  uint64_t steps = 0;  ///< of one run
  Work work;           ///< of one run, counted by the engine in a run of its own
  std::vector<double> seconds;
  std::vector<Limits> before, after; ///< what the machine reached around the run
  std::vector<ProcessorUse> processors;
  Profile profile; ///< of all runs, when options.profile

  double best() const;
  /// Shares of the mean of what was reached before and after a run.
  Limits limits(size_t run) const { return between(before[run], after[run]); }
  double readShare(size_t run) const; ///< streamed bytes a second
  double macShare(size_t run) const;  ///< time that the multiplications need at their peaks
};

/// Seconds that `work` needs at least.
double readSeconds(const Work &work, const Limits &limits);
double macSeconds(const Work &work, const Limits &limits);

struct BenchResult {
  BenchPhase prompt, decode;
  uint64_t peakBytes = 0; ///< most resident memory of the process, without that of the probe
  uint64_t probeBytes = 0, probeHugeBytes = 0, weightsHugeBytes = 0;
  std::array<std::string_view, macKinds> instructions; ///< that the peaks are of
};

/// One run to warm up and to count, then options.runs measured ones, each between two probes of
/// the machine. Errors: as Engine::step() and Probe::create().
Result<BenchResult> runBench(Engine &engine, Device &device, const BenchOptions &options);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_BENCH_H
