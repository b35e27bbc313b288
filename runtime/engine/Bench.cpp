//===- Bench.cpp - how fast an engine runs --------------------------------===//

#include "runtime/engine/Bench.h"

#include "runtime/base/HugePages.h"
#include "runtime/engine/Greedy.h"
#include "runtime/engine/StepPlanner.h"

#include <algorithm>
#include <chrono>
#include <sys/resource.h>

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
  Status fill();
  Status process();
  Status takeLogits();

  Engine &engine_;
  const BenchOptions &options_;
  StepPlanner planner_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<int32_t> ids_;
  std::vector<uint32_t> rows_;
  uint32_t state_ = 1; ///< of the made-up ids
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
  return fill();
}

/// Empty sequences up to the depth.
Status Runner::fill() {
  state_ = 1;
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
  state_ = 2;
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
  bool kept = true;
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    kept = kept && sequence->truncate(options_.depth).ok();
  if (kept)
    return {};
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    LLAMA4_RETURN_IF_ERROR(sequence->truncate(0));
  return fill();
}

/// Runs `body` with `profile` in the place of the engine's.
template <typename Body> Result<double> profiled(Engine &engine, Profile &profile, Body body) {
  std::swap(engine.profile(), profile);
  Result<double> seconds = body();
  std::swap(engine.profile(), profile);
  return seconds;
}

uint64_t peakMemory() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

/// The run that warms up is also the one that counts.
Status count(Engine &engine, Runner &runner, BenchResult &result) {
  const ProgramDesc &program = engine.program().desc();
  auto run = [&](BenchPhase &phase, auto body) -> Status {
    Profile counted(program);
    LLAMA4_RETURN_IF_ERROR(profiled(engine, counted, body).status());
    phase.work = counted.work(program);
    phase.steps = counted.runs(program, "step");
    return {};
  };
  LLAMA4_RETURN_IF_ERROR(run(result.prompt, [&] { return runner.prompt(); }));
  LLAMA4_RETURN_IF_ERROR(run(result.decode, [&] { return runner.decode(); }));
  if (WeightPages *pages = engine.program().weightPages())
    pages->finish(); // what is measured reads the weights where they stay
  return runner.rewind();
}

/// One measured run; `before` are the limits that the probe found last.
template <typename Body>
Status measure(Engine &engine, Probe &probe, Limits &before, BenchPhase &phase, Body body) {
  ProcessorClock clock;
  LLAMA4_ASSIGN_OR_RETURN(double seconds, profiled(engine, phase.profile, body));
  phase.processors.push_back(clock.use());
  phase.seconds.push_back(seconds);
  phase.before.push_back(before);
  LLAMA4_ASSIGN_OR_RETURN(before, probe.measure());
  phase.after.push_back(before);
  return {};
}

} // namespace

double median(std::vector<double> values) {
  if (values.empty())
    return 0;
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double BenchPhase::best() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double BenchPhase::readShare(size_t run) const {
  return readSeconds(work, limits(run)) / seconds[run];
}

double BenchPhase::macShare(size_t run) const {
  return macSeconds(work, limits(run)) / seconds[run];
}

double readSeconds(const Work &work, const Limits &limits) {
  return limits.readBytes > 0 ? static_cast<double>(work.streamedBytes()) / limits.readBytes : 0;
}

double macSeconds(const Work &work, const Limits &limits) {
  double seconds = 0;
  for (size_t i = 0; i < macKinds; ++i)
    if (limits.macs[i] > 0)
      seconds += static_cast<double>(work.macs[i]) / limits.macs[i];
  return seconds;
}

Result<BenchResult> runBench(Engine &engine, Device &device, const BenchOptions &options) {
  Runner runner(engine, options);
  LLAMA4_RETURN_IF_ERROR(runner.start());
  BenchResult result;
  BenchPhase &prompt = result.prompt, &decode = result.decode;
  prompt.tokens = uint64_t{options.promptTokens} * options.batch;
  decode.tokens = uint64_t{options.newTokens} * options.batch;
  LLAMA4_RETURN_IF_ERROR(count(engine, runner, result));
  if (options.profile)
    prompt.profile = decode.profile = Profile(engine.program().desc());
  result.peakBytes = peakMemory(); // every measured run does the same, and the probe takes memory
  std::array<bool, macKinds> kinds = {};
  for (size_t i = 0; i < macKinds; ++i)
    kinds[i] = prompt.work.macs[i] + decode.work.macs[i] > 0;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Probe> probe,
                          Probe::create(device, engine.codeLevel(), kinds));
  result.probeBytes = probe->bytes();
  result.probeHugeBytes = probe->hugeBytes();
  for (size_t i = 0; i < macKinds; ++i)
    result.instructions[i] = probe->instruction(static_cast<MacKind>(i));
  LLAMA4_ASSIGN_OR_RETURN(std::span<const std::byte> weights, engine.program().weights());
  result.weightsHugeBytes = pageUse(weights).inHugePages;
  LLAMA4_ASSIGN_OR_RETURN(Limits last, probe->measure());
  for (uint32_t run = 0; run < options.runs; ++run) {
    LLAMA4_RETURN_IF_ERROR(measure(engine, *probe, last, prompt, [&] { return runner.prompt(); }));
    LLAMA4_RETURN_IF_ERROR(measure(engine, *probe, last, decode, [&] { return runner.decode(); }));
    LLAMA4_RETURN_IF_ERROR(runner.rewind());
  }
  return result;
}

} // namespace llama4
