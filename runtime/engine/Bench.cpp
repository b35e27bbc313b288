//===- Bench.cpp - how fast an engine runs --------------------------------===//

#include "runtime/engine/Bench.h"

#include "runtime/base/ThreadPool.h"
#include "runtime/engine/Greedy.h"
#include "runtime/engine/StepPlanner.h"
#include "runtime/engine/SystemMemory.h"

#include <algorithm>
#include <chrono>
#include <sys/mman.h>

namespace llama4 {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Sequences that are filled, measured and cut back.
class Runner {
public:
  Runner(Engine &engine, const BenchOptions &options)
      : engine_(engine), options_(options), planner_(engine, options.prefillChunk) {}

  Status start();
  Result<double> prompt();
  Result<double> decode();
  Status rewind();

private:
  Status append(uint32_t tokens);
  Status process();
  Status takeLogits();

  Engine &engine_;
  const BenchOptions &options_;
  StepPlanner planner_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<int32_t> ids_;
  std::vector<uint32_t> rows_;
  uint32_t state_ = 1;
};

Status Runner::start() {
  uint64_t length = uint64_t{options_.depth} + options_.promptTokens + options_.newTokens;
  if (length > engine_.maxLength() || options_.batch > engine_.maxSequences())
    return Status::error(StatusKind::Usage,
                         "bench: found " + std::to_string(options_.batch) + " sequences of " +
                             std::to_string(length) + " tokens, expected at most " +
                             std::to_string(engine_.maxSequences()) + " of " +
                             std::to_string(engine_.maxLength()) + "; ask for less.");
  for (uint32_t i = 0; i < options_.batch; ++i) {
    LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Sequence> sequence, engine_.createSequence(length));
    sequences_.push_back(std::move(sequence));
  }
  ids_.reserve(std::max(options_.depth, options_.promptTokens));
  rows_.reserve(options_.batch);
  LLAMA4_RETURN_IF_ERROR(append(options_.depth));
  return process();
}

/// Made-up ids for every sequence.
Status Runner::append(uint32_t tokens) {
  for (const std::unique_ptr<Sequence> &sequence : sequences_) {
    ids_.clear();
    for (uint32_t i = 0; i < tokens; ++i) {
      state_ = state_ * 1664525u + 1013904223u;
      ids_.push_back(static_cast<int32_t>((state_ >> 8) % engine_.vocabSize()));
    }
    LLAMA4_RETURN_IF_ERROR(sequence->append(ids_));
  }
  return {};
}

/// Logits of the chunks that end their sequence, and a token from them, as in a generation.
Status Runner::takeLogits() {
  rows_.clear();
  for (const PlannedChunk &chunk : planner_.planned())
    if (chunk.reachesEnd)
      rows_.push_back(chunk.firstRow + chunk.tokens - 1);
  bool numbers = true;
  LLAMA4_RETURN_IF_ERROR(engine_.logits(rows_, [&](size_t, std::span<const float> logits) {
    numbers = numbers && greedyToken(logits).has_value();
  }));
  return numbers ? Status()
                 : Status::internal("logits: found no number, expected one for each token; the "
                                    "program or its weights are broken.");
}

Status Runner::process() {
  while (planner_.plan(sequences_)) {
    LLAMA4_RETURN_IF_ERROR(engine_.step(planner_.chunks()));
    LLAMA4_RETURN_IF_ERROR(takeLogits());
  }
  return {};
}

Result<double> Runner::prompt() {
  LLAMA4_RETURN_IF_ERROR(append(options_.promptTokens));
  Clock::time_point start = Clock::now();
  LLAMA4_RETURN_IF_ERROR(process());
  return secondsSince(start);
}

Result<double> Runner::decode() {
  Clock::time_point start = Clock::now();
  for (uint32_t i = 0; i < options_.newTokens; ++i) {
    LLAMA4_RETURN_IF_ERROR(append(1));
    LLAMA4_RETURN_IF_ERROR(process());
  }
  return secondsSince(start);
}

/// Back to the depth; where pages were dropped, the depth is processed again.
Status Runner::rewind() {
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    if (!sequence->truncate(options_.depth).ok())
      LLAMA4_RETURN_IF_ERROR(sequence->truncate(0));
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    if (sequence->length() == 0 && options_.depth > 0) {
      ids_.assign(options_.depth, 0);
      LLAMA4_RETURN_IF_ERROR(sequence->append(ids_));
    }
  return process();
}

/// Of experts as many as the tokens of the step can choose.
uint64_t weightBytesOf(const ProgramDesc &program, std::optional<uint32_t> entry, uint64_t symbol) {
  uint64_t bytes = 0;
  if (entry)
    for (const Command &command : program.entries[*entry].commands)
      bytes += program.kernels[command.kernel].mostWeightBytes(symbol);
  return bytes;
}

DecodeTraffic trafficOf(const Engine &engine, const BenchOptions &options) {
  const Program &program = engine.program();
  DecodeTraffic traffic;
  auto weights = [&](const char *function, bool decode) {
    return weightBytesOf(program.desc(), program.entryFor(function, options.batch, decode),
                         options.batch);
  };
  traffic.weights = weights("step", true) + weights("logits", false);
  uint64_t length = uint64_t{options.depth} + options.promptTokens + options.newTokens / 2;
  for (const KvKind &kind : program.desc().kvKinds) {
    uint64_t seen = kind.chunkTokens == 0 ? length : std::min<uint64_t>(length, kind.chunkTokens);
    traffic.cache += seen * 2 * kind.kvHeads * kind.headDim * elementBytes(kind.type) *
                     kind.layers * options.batch;
  }
  return traffic;
}

} // namespace

double BenchTimes::best() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double BenchTimes::median() const {
  if (seconds.empty())
    return 0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

Result<BenchResult> runBench(Engine &engine, const BenchOptions &options) {
  Runner runner(engine, options);
  LLAMA4_RETURN_IF_ERROR(runner.start());
  BenchResult result;
  result.prompt.tokens = uint64_t{options.promptTokens} * options.batch;
  result.decode.tokens = uint64_t{options.newTokens} * options.batch;
  result.traffic = trafficOf(engine, options);
  // Times of the commands are added up over the measured runs, prompts and decodes apart.
  Profile empty = engine.profile();
  empty.reset();
  result.promptProfile = result.decodeProfile = empty;
  for (uint32_t run = 0; run <= options.runs; ++run) {
    bool measured = run > 0;
    std::swap(engine.profile(), result.promptProfile);
    Result<double> prompt = runner.prompt();
    std::swap(engine.profile(), result.promptProfile);
    LLAMA4_RETURN_IF_ERROR(prompt.status());
    std::swap(engine.profile(), result.decodeProfile);
    Result<double> decode = runner.decode();
    std::swap(engine.profile(), result.decodeProfile);
    LLAMA4_RETURN_IF_ERROR(decode.status());
    if (measured) {
      result.prompt.seconds.push_back(*prompt);
      result.decode.seconds.push_back(*decode);
    } else {
      result.promptProfile.reset();
      result.decodeProfile.reset();
    }
    LLAMA4_RETURN_IF_ERROR(runner.rewind());
  }
  return result;
}

Result<double> measureReadBandwidth(unsigned threads) {
  constexpr size_t alignment = size_t{2} << 20;
  // Larger than any cache, smaller than what the machine can spare.
  size_t bytes = std::min<size_t>(size_t{512} << 20, availableMemory() / 4) / alignment * alignment;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<ThreadPool> pool, ThreadPool::create(threads));
  void *mapped = bytes == 0 ? MAP_FAILED
                            : ::mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED)
    return Status::error(StatusKind::OutOfMemory, "bandwidth probe: cannot reserve memory; free "
                                                  "some or leave the probe out.");
  uintptr_t start = (reinterpret_cast<uintptr_t>(mapped) + alignment - 1) & ~(alignment - 1);
  auto *words = reinterpret_cast<uint64_t *>(start);
  (void)::madvise(words, bytes, MADV_HUGEPAGE);
  const size_t share = bytes / sizeof(uint64_t) / pool->workers() / 32 * 32;
  std::vector<uint64_t> sums(pool->workers() * 8);
  double best = 0;
  for (int pass = 0; pass < 6; ++pass) {
    Clock::time_point passStart = Clock::now();
    pool->run([&](unsigned worker) {
      uint64_t *mine = words + worker * share;
      uint64_t sum[32] = {};
      for (size_t i = 0; i < share; i += 32)
        for (size_t lane = 0; lane < 32; ++lane)
          if (pass == 0) // pages of the system's own until written
            mine[i + lane] = i + lane;
          else
            sum[lane] += mine[i + lane];
      for (uint64_t value : sum)
        sums[worker * 8] += value;
    });
    double seconds = secondsSince(passStart);
    if (pass > 0)
      best =
          std::max(best, static_cast<double>(share * sizeof(uint64_t) * pool->workers()) / seconds);
  }
  volatile uint64_t sink = 0; // the sums are used
  for (uint64_t value : sums)
    sink = sink + value;
  ::munmap(mapped, bytes + alignment);
  return best;
}

} // namespace llama4
