//===- Common.h - what the subcommands of llama4-run share -------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_COMMON_H
#define LLAMA4_TOOLS_LLAMA4_RUN_COMMON_H

#include "runtime/device/Device.h"
#include "runtime/engine/Engine.h"
#include "runtime/program/Program.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace llama4::run {

/// What the chosen subcommand does, set while the command line is parsed.
using Action = std::function<Status()>;

void addGenerate(CLI::App &app, Action &action);
void addInvoke(CLI::App &app, Action &action);
void addTokenize(CLI::App &app, Action &action);
void addBatch(CLI::App &app, Action &action);
void addChat(CLI::App &app, Action &action);
void addBench(CLI::App &app, Action &action);
void addInspect(CLI::App &app, Action &action);
/// completion and man; describes what was added before.
void addManual(CLI::App &app, Action &action);
void addPerplexity(CLI::App &app, Action &action);
void addServe(CLI::App &app, Action &action);
void addVerify(CLI::App &app, Action &action);
void addDiff(CLI::App &app, Action &action);

/// Flags of every subcommand that runs a model.
struct ModelOptions {
  std::string model;
  unsigned threads = 0;
  std::string cpuLevel;
  std::string pinThreads = "auto"; ///< "auto", "on" or "off"
  uint32_t prefillChunk = 0;
  std::string memory;
  std::string weights = "map"; ///< "map", "copy" or "auto"
};

/// MODEL only.
void addModel(CLI::App &command, std::string &model);
/// MODEL and how to run it.
void addModelOptions(CLI::App &command, ModelOptions &options);

/// A program and the device to run it on.
struct Session {
  std::shared_ptr<const Program> program;
  std::unique_ptr<Device> device;
};

/// Compiles a checkpoint where MODEL is one, and loads the program.
Result<std::shared_ptr<const Program>> loadModel(const std::string &model);
Result<Session> openSession(const ModelOptions &options);
/// The engine limits that --memory asks for, and what --weights does.
Result<EngineOptions> engineOptions(const ModelOptions &options);

/// "695.4 MB, copied to memory, 694.2 MB in huge pages": where the weights are at the moment.
std::string describeWeights(const Program &program);

/// What the program returns when its action has ended well: 0 unless the action sets it.
int &exitCodeWhenDone();
/// A line on stderr.
void note(const std::string &text);
/// JSON as text, whatever bytes its strings hold.
std::string dumpJson(const nlohmann::ordered_json &value);
/// When main() began.
std::chrono::steady_clock::time_point programStart();
double secondsSinceStart();
/// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char *pattern, ...);
/// "98.4 MB"
std::string humanBytes(uint64_t bytes);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_COMMON_H
