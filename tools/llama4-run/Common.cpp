//===- Common.cpp - what the subcommands of llama4-run share --------------===//

#include "tools/llama4-run/Common.h"

#include "runtime/device/cpu/CpuDevice.h"
#include "runtime/engine/SystemMemory.h"
#include "tools/llama4-run/ModelPath.h"

#include <cstdarg>
#include <cstdio>

namespace llama4::run {

void addModel(CLI::App &command, std::string &model) {
  command
      .add_option("MODEL,-m,--model-path,--model,--serialized-model-path", model,
                  "a compiled model (.l4x); or a checkpoint directory or .gguf file, which is "
                  "compiled on first use")
      ->required()
      ->group("Model");
}

void addModelOptions(CLI::App &command, ModelOptions &options) {
  addModel(command, options.model);
  command.add_option("-t,--threads", options.threads, "threads (default: one for each processor)")
      ->check(CLI::Range(1u, 1024u))
      ->group("Machine");
  command
      .add_option(
          "--pin-threads", options.pinThreads,
          "a processor of its own for each thread: on, off, or auto, where there are as many "
          "threads as processors (default: auto)")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->group("Machine");
  command
      .add_option("--cpu-level", options.cpuLevel,
                  "run the code of this level only: x86-64-v3, v4+vnni, ...")
      ->group("Machine");
  command
      .add_option("--memory", options.memory,
                  "memory for everything, weights included: 8GiB, 512MiB (default: what is free)")
      ->group("Machine");
  command
      .add_option(
          "--weights", options.weights,
          "map: as the file is mapped; copy: copied into huge pages at start; auto: mapped, "
          "copied beside a long run where the mapping has no huge pages (default: map)")
      ->check(CLI::IsMember({"map", "copy", "auto"}))
      ->group("Machine");
  command
      .add_option(
          "-b,--prefill-chunk-size,--max-ce-batch-size,--batch-size,--max-num-batched-tokens",
          options.prefillChunk,
          "most prompt tokens of a sequence in one step (default: as compiled)")
      ->check(CLI::PositiveNumber)
      ->group("Machine");
}

Result<std::shared_ptr<const Program>> loadModel(const std::string &model) {
  LLAMA4_ASSIGN_OR_RETURN(std::string path, compiledModelPath(model));
  return Program::load(path);
}

Result<Session> openSession(const ModelOptions &options) {
  Session session;
  LLAMA4_ASSIGN_OR_RETURN(session.program, loadModel(options.model));
  CpuOptions cpu;
  cpu.threads = options.threads;
  cpu.level = options.cpuLevel;
  cpu.pinning = options.pinThreads == "auto" ? Pinning::WholeMachine
                : options.pinThreads == "on" ? Pinning::Always
                                             : Pinning::Never;
  LLAMA4_ASSIGN_OR_RETURN(session.device, createCpuDevice(cpu));
  return session;
}

Result<EngineOptions> engineOptions(const ModelOptions &options) {
  EngineOptions engine;
  if (!options.memory.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(engine.memory, parseMemorySize(options.memory));
  }
  engine.weights.form = options.weights == "map"    ? WeightsForm::Map
                        : options.weights == "copy" ? WeightsForm::Copy
                                                    : WeightsForm::Auto;
  return engine;
}

std::string describeWeights(const Program &program) {
  const WeightsReport report = program.weightsReport();
  std::string text = humanBytes(report.bytes);
  switch (report.form) {
  case WeightsReport::Form::Mapped:
    text += ", mapped from the file";
    break;
  case WeightsReport::Form::Copying:
    text += ", of them " + humanBytes(report.copied) + " copied to memory";
    break;
  case WeightsReport::Form::Copied:
    text += ", copied to memory";
    break;
  case WeightsReport::Form::MadeUp:
    text += ", made up in memory";
    break;
  }
  text += ", " + humanBytes(report.inHugePages) + " in huge pages";
  return report.reason.empty() ? text : text + " (" + report.reason + ")";
}

int &exitCodeWhenDone() {
  static int code = 0;
  return code;
}

void note(const std::string &text) { std::fprintf(stderr, "llama4-run: %s\n", text.c_str()); }

std::string dumpJson(const nlohmann::ordered_json &value) {
  return value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::chrono::steady_clock::time_point programStart() {
  static const std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  return start;
}

double secondsSinceStart() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - programStart()).count();
}

std::string format(const char *pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  const int length = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(length < 0 ? 0 : static_cast<size_t>(length) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), pattern, again);
  va_end(again);
  text.resize(text.empty() ? 0 : text.size() - 1);
  return text;
}

std::string humanBytes(uint64_t bytes) {
  constexpr const char *units[] = {"bytes", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit)
    value /= 1000;
  return format(unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

} // namespace llama4::run
