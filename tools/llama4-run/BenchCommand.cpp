//===- BenchCommand.cpp - llama4-run bench --------------------------------===//

#include "runtime/base/ThreadPool.h"
#include "runtime/engine/Bench.h"
#include "runtime/engine/Generator.h"
#include "tools/llama4-run/Common.h"

#include <sys/resource.h>

namespace llama4::run {

namespace {

using nlohmann::ordered_json;

struct BenchCommandOptions {
  ModelOptions model;
  BenchOptions bench;
  bool json = false, profile = false;
};

/// Everything that is reported.
struct Report {
  BenchResult result;
  double firstToken = 0;  ///< seconds from the start of the program
  uint64_t peakBytes = 0; ///< most resident memory of the process up to the end of the runs
  double bandwidth = 0;   ///< bytes a second
  double stepSeconds = 0;
  double share = 0; ///< of the bandwidth, in decoding
};

/// Seconds until the first token of a prompt is there, from the start of the program.
Result<double> timeToFirstToken(Engine &engine, const BenchCommandOptions &options) {
  GenerationRequest request = {{}, 1};
  for (uint32_t i = 0; i < std::max(options.bench.promptTokens, 1u); ++i)
    request.prompt.push_back(static_cast<int32_t>((uint64_t{i} * 7919 + 11) % engine.vocabSize()));
  GenerationOptions generation = {{}, true, options.model.prefillChunk};
  LLAMA4_RETURN_IF_ERROR(generate(engine, {&request, 1}, generation).status());
  return secondsSinceStart();
}

uint64_t peakMemory() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Result<Report> measure(Engine &engine, const BenchCommandOptions &options) {
  Report report;
  LLAMA4_ASSIGN_OR_RETURN(report.firstToken, timeToFirstToken(engine, options));
  engine.profile().reset();
  LLAMA4_ASSIGN_OR_RETURN(report.result, runBench(engine, options.bench));
  report.peakBytes = peakMemory(); // the probe takes memory of its own
  LLAMA4_ASSIGN_OR_RETURN(report.bandwidth, measureReadBandwidth(options.model.threads));
  const DecodeTraffic &traffic = report.result.traffic;
  report.stepSeconds = report.result.decode.median() / options.bench.newTokens;
  report.share = static_cast<double>(traffic.weights + traffic.cache) /
                 std::max(report.stepSeconds, 1e-12) / std::max(report.bandwidth, 1.0);
  return report;
}

ordered_json timesJson(const BenchTimes &times) {
  auto rate = [&](double seconds) {
    return seconds > 0 ? static_cast<double>(times.tokens) / seconds : 0;
  };
  return {{"tokens", times.tokens},
          {"seconds", times.seconds},
          {"tokens_per_second", {{"best", rate(times.best())}, {"median", rate(times.median())}}}};
}

ordered_json kernelsJson(const Profile &profile, const ProgramDesc &program) {
  ordered_json kernels = ordered_json::array();
  for (const KernelTime &kernel : profile.kernels(program))
    kernels.push_back({{"kernel", kernel.symbol},
                       {"nanoseconds", kernel.nanoseconds},
                       {"dispatches", kernel.dispatches},
                       {"weight_bytes", kernel.weightBytes},
                       {"activation_bytes", kernel.activationBytes},
                       {"bytes_per_dispatch", kernel.bytes() / kernel.dispatches},
                       {"macs", kernel.macs}});
  return kernels;
}

ordered_json reportJson(const Report &report, const Engine &engine, const Device &device,
                        const BenchCommandOptions &options) {
  Engine::Memory memory = engine.memory();
  ordered_json json = {
      {"model", engine.program().name()},
      {"content_id", engine.program().contentId()},
      {"device", device.describe()},
      {"level", engine.codeLevel()},
      {"batch", options.bench.batch},
      {"depth", options.bench.depth},
      {"runs", options.bench.runs},
      {"prompt", timesJson(report.result.prompt)},
      {"decode", timesJson(report.result.decode)},
      {"first_token_seconds", report.firstToken},
      {"decode_step_bytes",
       {{"weights", report.result.traffic.weights}, {"cache", report.result.traffic.cache}}},
      {"read_bandwidth_bytes_per_second", report.bandwidth},
      {"share_of_bandwidth", report.share},
      {"peak_memory_bytes", report.peakBytes},
      {"memory_bytes",
       {{"weights", memory.weights},
        {"arena", memory.arena},
        {"step", memory.step},
        {"cache", memory.cache}}}};
  if (options.profile)
    json["profile"] = {
        {"prompt", kernelsJson(report.result.promptProfile, engine.program().desc())},
        {"decode", kernelsJson(report.result.decodeProfile, engine.program().desc())}};
  return json;
}

void printTimes(const char *name, const BenchTimes &times, const std::string &what) {
  auto rate = [&](double seconds) {
    return seconds > 0 ? static_cast<double>(times.tokens) / seconds : 0;
  };
  std::printf("%-8s %10.1f tokens/s best, %.1f median  (%s)\n", name, rate(times.best()),
              rate(times.median()), what.c_str());
}

void printKernels(const char *title, const Profile &profile, const ProgramDesc &program) {
  std::vector<KernelTime> kernels = profile.kernels(program);
  uint64_t all = 0;
  for (const KernelTime &kernel : kernels)
    all += kernel.nanoseconds;
  std::printf("\n%s\n%7s %12s %11s %14s %10s %10s  %s\n", title, "share", "time ms", "dispatches",
              "bytes each", "GB/s", "GMAC/s", "kernel");
  for (const KernelTime &kernel : kernels) {
    auto time = static_cast<double>(std::max<uint64_t>(kernel.nanoseconds, 1));
    std::printf("%6.1f%% %12.3f %11llu %14llu %10.2f %10.2f  %s\n",
                100 * static_cast<double>(kernel.nanoseconds) /
                    static_cast<double>(std::max<uint64_t>(all, 1)),
                time / 1e6, static_cast<unsigned long long>(kernel.dispatches),
                static_cast<unsigned long long>(kernel.bytes() / kernel.dispatches),
                static_cast<double>(kernel.bytes()) / time, static_cast<double>(kernel.macs) / time,
                kernel.symbol.c_str());
  }
}

void printReport(const Report &report, const Engine &engine, const Device &device,
                 const BenchCommandOptions &options) {
  const BenchOptions &bench = options.bench;
  const DecodeTraffic &traffic = report.result.traffic;
  Engine::Memory memory = engine.memory();
  std::printf("%s\n%s, code %s\n", engine.program().name().c_str(), device.describe().c_str(),
              std::string(engine.codeLevel()).c_str());
  printTimes("prompt", report.result.prompt,
             format("%u x %u tokens at depth %u, %u runs", bench.batch, bench.promptTokens,
                    bench.depth, bench.runs));
  printTimes("decode", report.result.decode,
             format("%u x %u tokens, a step %.3f ms", bench.batch, bench.newTokens,
                    report.stepSeconds * 1e3));
  std::printf("%-8s %10.3f s from the start of the program\n", "first", report.firstToken);
  std::printf("%-8s %s weights and %s cache in a decode step; the machine reads %.1f GB/s: %.0f%% "
              "of that\n",
              "bytes", humanBytes(traffic.weights).c_str(), humanBytes(traffic.cache).c_str(),
              report.bandwidth / 1e9, report.share * 100);
  std::printf("%-8s weights %s, transients %s, step %s, cache %s; at most %s resident\n", "memory",
              humanBytes(memory.weights).c_str(), humanBytes(memory.arena).c_str(),
              humanBytes(memory.step).c_str(), humanBytes(memory.cache).c_str(),
              humanBytes(report.peakBytes).c_str());
  if (!options.profile)
    return;
  printKernels("prompt", report.result.promptProfile, engine.program().desc());
  printKernels("decode", report.result.decodeProfile, engine.program().desc());
}

Status run(BenchCommandOptions options) {
  options.bench.prefillChunk = options.model.prefillChunk;
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  limits.profile = options.profile;
  limits.maxSequences = options.bench.batch;
  limits.maxLength =
      uint64_t{options.bench.depth} + options.bench.promptTokens + options.bench.newTokens;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  LLAMA4_ASSIGN_OR_RETURN(Report report, measure(*engine, options));
  if (options.json)
    std::puts(dumpJson(reportJson(report, *engine, *session.device, options)).c_str());
  else
    printReport(report, *engine, *session.device, options);
  return {};
}

} // namespace

void addBench(CLI::App &app, Action &action) {
  auto options = std::make_shared<BenchCommandOptions>();
  BenchOptions &bench = options->bench;
  CLI::App *command = app.add_subcommand("bench", "measure prompt and decode speed");
  addModelOptions(*command, options->model);
  auto number = [&](const char *name, uint32_t &value, const char *text, unsigned least) {
    command->add_option(name, value, text)
        ->check(CLI::Range(least, 1u << 30))
        ->capture_default_str()
        ->group("Measurement");
  };
  number("-p,--prompt-tokens,--n-prompt,--input-len", bench.promptTokens, "tokens of the prompt",
         1);
  number("-n,--new-tokens,--n-gen,--output-len", bench.newTokens, "tokens to decode", 1);
  number("-d,--depth,--n-depth", bench.depth, "tokens in the cache before the prompt", 0);
  number("--batch", bench.batch, "sequences at once", 1);
  number("-r,--runs,--repetitions,--num-iters", bench.runs, "runs after one to warm up", 1);
  command->add_flag("--json", options->json, "print one JSON object")->group("Output");
  command->add_flag("--profile", options->profile, "times of every kernel")->group("Output");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
