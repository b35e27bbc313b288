//===- BenchReport.cpp - what a bench has measured ------------------------===//

#include "tools/llama4-run/BenchReport.h"

#include <algorithm>

namespace llama4::run {

namespace {

using nlohmann::ordered_json;

double perSecond(uint64_t amount, double seconds) {
  return seconds > 0 ? static_cast<double>(amount) / seconds : 0;
}

MacKind kindAt(size_t index) { return static_cast<MacKind>(index); }

/// Of the runs of a phase, the mean of what was reached around them.
Limits meanLimits(const BenchPhase &phase) {
  Limits sum;
  auto runs = static_cast<double>(std::max<size_t>(phase.seconds.size(), 1));
  for (size_t run = 0; run < phase.seconds.size(); ++run) {
    Limits limits = phase.limits(run);
    sum.readBytes += limits.readBytes / runs;
    for (size_t i = 0; i < macKinds; ++i)
      sum.macs[i] += limits.macs[i] / runs;
  }
  return sum;
}

template <typename Value> std::vector<double> eachRun(const BenchPhase &phase, Value value) {
  std::vector<double> values;
  for (size_t run = 0; run < phase.seconds.size(); ++run)
    values.push_back(value(run));
  return values;
}

struct Shares {
  std::vector<double> read, macs;
};

Shares sharesOf(const BenchPhase &phase) {
  return {eachRun(phase, [&](size_t run) { return phase.readShare(run); }),
          eachRun(phase, [&](size_t run) { return phase.macShare(run); })};
}

std::vector<double> othersOf(const BenchPhase &phase) {
  return eachRun(phase, [&](size_t run) { return phase.processors[run].others; });
}

/// Multiply-adds by what they are of, without kinds that did not occur.
ordered_json macsJson(const std::array<uint64_t, macKinds> &macs) {
  ordered_json json = ordered_json::object();
  for (size_t i = 0; i < macKinds; ++i)
    if (macs[i] > 0)
      json[std::string(macKindName(kindAt(i)))] = macs[i];
  return json;
}

ordered_json workJson(const Work &work) {
  return {{"weight_bytes", work.weightBytes},
          {"cache_bytes", work.cacheBytes},
          {"activation_bytes", work.activationBytes},
          {"macs", macsJson(work.macs)}};
}

ordered_json probesJson(const BenchPhase &phase) {
  auto both = [&](auto value) -> ordered_json {
    return {{"before", eachRun(phase, [&](size_t run) { return value(phase.before[run]); })},
            {"after", eachRun(phase, [&](size_t run) { return value(phase.after[run]); })}};
  };
  ordered_json json = {{"read_bytes_per_second", both([](const Limits &l) { return l.readBytes; })},
                       {"macs_per_second", ordered_json::object()}};
  for (size_t i = 0; i < macKinds; ++i)
    if (phase.work.macs[i] > 0)
      json["macs_per_second"][std::string(macKindName(kindAt(i)))] =
          both([i](const Limits &l) { return l.macs[i]; });
  return json;
}

ordered_json phaseJson(const BenchPhase &phase) {
  double middle = median(phase.seconds);
  Shares shares = sharesOf(phase);
  double read = median(shares.read), macs = median(shares.macs);
  return {{"tokens", phase.tokens},
          {"steps", phase.steps},
          {"seconds", phase.seconds},
          {"tokens_per_second",
           {{"best", perSecond(phase.tokens, phase.best())},
            {"median", perSecond(phase.tokens, middle)}}},
          {"work", workJson(phase.work)},
          {"streamed_bytes_per_second", perSecond(phase.work.streamedBytes(), middle)},
          {"macs_per_second", perSecond(phase.work.allMacs(), middle)},
          {"probes", probesJson(phase)},
          {"share_of_read", {{"runs", shares.read}, {"median", read}}},
          {"share_of_macs", {{"runs", shares.macs}, {"median", macs}}},
          {"bound_by", read >= macs ? "memory" : "compute"},
          {"share_of_limit", std::max(read, macs)},
          {"own_processors", eachRun(phase, [&](size_t run) { return phase.processors[run].own; })},
          {"others_processors", othersOf(phase)}};
}

/// Shares of the time of all, and of the limits in its own time.
ordered_json timeJson(const KernelTime &time, const ProgramDesc &program, const Limits &limits,
                      uint64_t all) {
  const Command &command = program.entries[time.entry].commands[time.command];
  double seconds = 1e-9 * static_cast<double>(std::max<uint64_t>(time.nanoseconds, 1));
  return {
      {"kernel", time.symbol},
      {"entry", program.entries[time.entry].name},
      {"command", time.command},
      {"sources", command.sources},
      {"nanoseconds", time.nanoseconds},
      {"dispatches", time.dispatches},
      {"weight_bytes", time.work.weightBytes},
      {"cache_bytes", time.work.cacheBytes},
      {"activation_bytes", time.work.activationBytes},
      {"bytes_per_dispatch", (time.work.weightBytes + time.work.activationBytes) / time.dispatches},
      {"macs", time.work.allMacs()},
      {"mac_kind", time.work.allMacs() == 0
                       ? ordered_json()
                       : ordered_json(macKindName(macKindOf(program.kernels[command.kernel])))},
      {"share_of_time", perSecond(time.nanoseconds, static_cast<double>(all))},
      {"share_of_read", readSeconds(time.work, limits) / seconds},
      {"share_of_macs", macSeconds(time.work, limits) / seconds}};
}

uint64_t allNanoseconds(const std::vector<KernelTime> &times) {
  uint64_t all = 0;
  for (const KernelTime &time : times)
    all += time.nanoseconds;
  return all;
}

ordered_json timesJson(const std::vector<KernelTime> &times, const ProgramDesc &program,
                       const Limits &limits) {
  ordered_json list = ordered_json::array();
  for (const KernelTime &time : times)
    list.push_back(timeJson(time, program, limits, allNanoseconds(times)));
  return list;
}

/// Time and work of everything that multiplies with weights, but the logits.
KernelTime layerMatrices(const Profile &profile, const ProgramDesc &program) {
  KernelTime sum;
  for (const KernelTime &time : profile.commands(program)) {
    if (time.work.allMacs() == 0 || program.entries[time.entry].function != "step")
      continue;
    sum.nanoseconds += time.nanoseconds;
    sum.dispatches += time.dispatches;
    sum.work += time.work;
  }
  return sum;
}

ordered_json profileJson(const BenchReport &report) {
  const ProgramDesc &program = report.engine.program().desc();
  ordered_json kernels, dispatches, matrices;
  for (auto [name, phase] :
       {std::pair("prompt", &report.result.prompt), std::pair("decode", &report.result.decode)}) {
    Limits limits = meanLimits(*phase);
    kernels[name] = timesJson(phase->profile.kernels(program), program, limits);
    dispatches[name] = timesJson(phase->profile.commands(program), program, limits);
    KernelTime sum = layerMatrices(phase->profile, program);
    double seconds = 1e-9 * static_cast<double>(std::max<uint64_t>(sum.nanoseconds, 1));
    matrices[name] = {{"nanoseconds", sum.nanoseconds},
                      {"weight_bytes", sum.work.weightBytes},
                      {"macs", sum.work.allMacs()},
                      {"share_of_read", readSeconds(sum.work, limits) / seconds},
                      {"share_of_macs", macSeconds(sum.work, limits) / seconds}};
  }
  kernels["dispatches"] = std::move(dispatches);
  kernels["layer_matrices"] = std::move(matrices);
  return kernels;
}

/// "linear gate_proj, silu mlp": the ops of a dispatch without the path of what they belong to.
std::string shortSources(const std::string &sources) {
  std::string text, last;
  size_t at = 0;
  while (at < sources.size()) {
    size_t end = std::min(sources.find(", ", at), sources.size());
    std::string part = sources.substr(at, end - at);
    at = end + 2;
    size_t space = part.find(' '), dot = part.rfind('.');
    std::string op = part.substr(0, space);
    std::string name = dot == std::string::npos ? "" : part.substr(dot + 1);
    bool numbered = name.find_first_not_of("0123456789") == std::string::npos;
    if (op == last && op == "linear")
      text += "+" + name;
    else
      text += (text.empty() ? "" : ", ") + op + (op == "linear" && !numbered ? " " + name : "");
    last = op;
  }
  return text;
}

void printPhase(const char *name, const BenchPhase &phase, const std::string &what) {
  Shares shares = sharesOf(phase);
  double seconds = median(phase.seconds);
  std::printf("%-8s %10.1f tokens/s median, %.1f best  (%s)\n", name,
              perSecond(phase.tokens, seconds), perSecond(phase.tokens, phase.best()),
              what.c_str());
  std::printf("%-8s %10.2f GB/s, %.0f%% of what was read around it; %.1f GMAC/s, %.0f%% of the "
              "peak\n",
              "", 1e-9 * perSecond(phase.work.streamedBytes(), seconds), 100 * median(shares.read),
              1e-9 * perSecond(phase.work.allMacs(), seconds), 100 * median(shares.macs));
}

void printKernels(const char *title, const BenchPhase &phase, const ProgramDesc &program) {
  std::vector<KernelTime> kernels = phase.profile.kernels(program);
  Limits limits = meanLimits(phase);
  uint64_t all = std::max<uint64_t>(allNanoseconds(kernels), 1);
  std::printf("\n%s\n%7s %10s %11s %12s %8s %6s %8s %6s  %s\n", title, "share", "time ms",
              "dispatches", "bytes each", "GB/s", "read", "GMAC/s", "peak", "kernel");
  for (const KernelTime &kernel : kernels) {
    auto time = static_cast<double>(std::max<uint64_t>(kernel.nanoseconds, 1));
    std::printf(
        "%6.1f%% %10.3f %11llu %12llu %8.2f %5.0f%% %8.1f %5.0f%%  %s: %s\n",
        100 * time / static_cast<double>(all), time / 1e6,
        static_cast<unsigned long long>(kernel.dispatches),
        static_cast<unsigned long long>(kernel.work.streamedBytes() / kernel.dispatches),
        static_cast<double>(kernel.work.streamedBytes()) / time,
        1e11 * readSeconds(kernel.work, limits) / time,
        static_cast<double>(kernel.work.allMacs()) / time,
        1e11 * macSeconds(kernel.work, limits) / time, kernel.symbol.c_str(),
        shortSources(program.entries[kernel.entry].commands[kernel.command].sources).c_str());
  }
  KernelTime sum = layerMatrices(phase.profile, program);
  auto time = static_cast<double>(std::max<uint64_t>(sum.nanoseconds, 1));
  std::printf("%6.1f%% %10.3f  the matrices of all layers: %.0f%% of the reads, %.0f%% of the "
              "peak\n",
              100 * time / static_cast<double>(all), time / 1e6,
              1e11 * readSeconds(sum.work, limits) / time,
              1e11 * macSeconds(sum.work, limits) / time);
}

} // namespace

ordered_json limitsJson(const Limits &limits,
                        const std::array<std::string_view, macKinds> &instructions) {
  ordered_json json = {{"read_bytes_per_second", limits.readBytes},
                       {"macs", ordered_json::object()}};
  for (size_t i = 0; i < macKinds; ++i)
    if (limits.macs[i] > 0)
      json["macs"][std::string(macKindName(kindAt(i)))] = {{"instruction", instructions[i]},
                                                           {"macs_per_second", limits.macs[i]}};
  return json;
}

ordered_json benchJson(const BenchReport &report) {
  const BenchResult &result = report.result;
  const uint64_t steps = std::max<uint64_t>(result.decode.steps, 1);
  Engine::Memory memory = report.engine.memory();
  Limits limits = between(meanLimits(result.prompt), meanLimits(result.decode));
  ordered_json json = {
      {"version", 1},
      {"model", report.engine.program().name()},
      {"content_id", report.engine.program().contentId()},
      {"device", report.device.describe()},
      {"level", report.engine.codeLevel()},
      {"batch", report.options.batch},
      {"depth", report.options.depth},
      {"runs", report.options.runs},
      {"limits", limitsJson(limits, result.instructions)},
      {"prompt", phaseJson(result.prompt)},
      {"decode", phaseJson(result.decode)},
      {"first_token_seconds", report.firstToken},
      {"decode_step_bytes",
       {{"weights", result.decode.work.weightBytes / steps},
        {"cache", result.decode.work.cacheBytes / steps}}},
      {"read_bandwidth_bytes_per_second", limits.readBytes},
      {"share_of_bandwidth", median(sharesOf(result.decode).read)},
      {"huge_page_bytes", {{"weights", result.weightsHugeBytes}, {"probe", result.probeHugeBytes}}},
      {"probe_bytes", result.probeBytes},
      {"peak_memory_bytes", result.peakBytes},
      {"memory_bytes",
       {{"weights", memory.weights},
        {"arena", memory.arena},
        {"step", memory.step},
        {"cache", memory.cache}}}};
  if (report.options.profile)
    json["profile"] = profileJson(report);
  return json;
}

void printBench(const BenchReport &report) {
  const BenchResult &result = report.result;
  const BenchOptions &bench = report.options;
  const uint64_t steps = std::max<uint64_t>(result.decode.steps, 1);
  Engine::Memory memory = report.engine.memory();
  std::printf("%s\n%s, code %s\n", report.engine.program().name().c_str(),
              report.device.describe().c_str(), std::string(report.engine.codeLevel()).c_str());
  Limits limits = between(meanLimits(result.prompt), meanLimits(result.decode));
  std::printf("%-8s reads %.1f GB/s", "limits", 1e-9 * limits.readBytes);
  for (size_t i = 0; i < macKinds; ++i)
    if (limits.macs[i] > 0)
      std::printf(", %s %.1f GMAC/s (%s)", std::string(result.instructions[i]).c_str(),
                  1e-9 * limits.macs[i], std::string(macKindName(kindAt(i))).c_str());
  std::printf("; others kept %.1f processors busy\n",
              std::max(median(othersOf(result.prompt)), median(othersOf(result.decode))));
  printPhase("prompt", result.prompt,
             format("%u x %u tokens at depth %u, %u runs", bench.batch, bench.promptTokens,
                    bench.depth, bench.runs));
  printPhase("decode", result.decode,
             format("%u x %u tokens, a step %.3f ms", bench.batch, bench.newTokens,
                    1e3 * median(result.decode.seconds) / static_cast<double>(steps)));
  std::printf("%-8s %10.3f s from the start of the program\n", "first", report.firstToken);
  std::printf("%-8s %s weights and %s cache in a decode step; %s of the weights in huge pages\n",
              "bytes", humanBytes(result.decode.work.weightBytes / steps).c_str(),
              humanBytes(result.decode.work.cacheBytes / steps).c_str(),
              humanBytes(result.weightsHugeBytes).c_str());
  std::printf("%-8s weights %s, transients %s, step %s, cache %s; at most %s resident\n", "memory",
              humanBytes(memory.weights).c_str(), humanBytes(memory.arena).c_str(),
              humanBytes(memory.step).c_str(), humanBytes(memory.cache).c_str(),
              humanBytes(result.peakBytes).c_str());
  if (!report.options.profile)
    return;
  printKernels("prompt", result.prompt, report.engine.program().desc());
  printKernels("decode", result.decode, report.engine.program().desc());
}

} // namespace llama4::run
