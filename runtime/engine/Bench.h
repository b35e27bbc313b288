//===- Bench.h - how fast an engine runs -------------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_BENCH_H
#define LLAMA4_RUNTIME_ENGINE_BENCH_H

#include "runtime/engine/Engine.h"

#include <vector>

namespace llama4 {

/// What to measure. Token ids are made up; they have no influence on the time.
struct BenchOptions {
  uint32_t promptTokens = 512; ///< of each sequence
  uint32_t newTokens = 128;    ///< of each sequence
  uint32_t depth = 0;          ///< tokens in the cache before the prompt
  uint32_t batch = 1;          ///< sequences that run together
  uint32_t runs = 5;
  uint32_t prefillChunk = 0; ///< 0: as many as fit
};

/// Seconds of each run, in the order of the runs.
struct BenchTimes {
  std::vector<double> seconds;
  uint64_t tokens = 0; ///< of one run

  double best() const;
  double median() const;
};

/// Bytes that one step of decoding reads and writes.
struct DecodeTraffic {
  uint64_t weights = 0; ///< of the step and of its logits
  uint64_t cache = 0;   ///< keys and values at the mean length of the decode
};

struct BenchResult {
  BenchTimes prompt, decode;
  DecodeTraffic traffic;
  Profile promptProfile, decodeProfile; ///< when the engine measures
};

/// One run to warm up, then options.runs measured ones. Errors: as Engine::step().
Result<BenchResult> runBench(Engine &engine, const BenchOptions &options);

/// Bytes a second that `threads` threads read from memory together (0: one for each processor),
/// the best of several passes over fresh memory. Errors: OutOfMemory.
Result<double> measureReadBandwidth(unsigned threads);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_BENCH_H
