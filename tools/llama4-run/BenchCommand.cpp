//===- BenchCommand.cpp - llama4-run bench --------------------------------===//

#include "runtime/engine/Generator.h"
#include "tools/llama4-run/BenchReport.h"

namespace llama4::run {

namespace {

struct BenchCommandOptions {
  ModelOptions model;
  BenchOptions bench;
  bool json = false, limits = false;
};

/// Seconds until the first token of a prompt is there, from the start of the program.
Result<double> timeToFirstToken(Engine &engine, const BenchCommandOptions &options) {
  GenerationRequest request = {{}, 1};
  for (uint32_t i = 0; i < std::max(options.bench.promptTokens, 1u); ++i)
    request.prompt.push_back(static_cast<int32_t>((uint64_t{i} * 7919 + 11) % engine.vocabSize()));
  GenerationOptions generation = {{}, true, options.model.prefillChunk};
  LLAMA4_RETURN_IF_ERROR(generate(engine, {&request, 1}, generation).status());
  const double seconds = secondsSinceStart();
  // What --weights auto would copy beside the runs is not to change their times.
  if (WeightPages *pages = engine.program().weightPages())
    pages->finish();
  return seconds;
}

/// What the machine reaches with the code that would run, and nothing of the model.
Status reportLimits(const Session &session, const BenchCommandOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(std::string level,
                          Executable::loadableLevel(session.program, *session.device));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Probe> probe,
                          Probe::create(*session.device, level, {true, true, true}));
  std::array<std::string_view, macKinds> instructions;
  for (size_t i = 0; i < macKinds; ++i)
    instructions[i] = probe->instruction(static_cast<MacKind>(i));
  LLAMA4_ASSIGN_OR_RETURN(Limits limits, probe->measure());
  nlohmann::ordered_json json = limitsJson(limits, instructions);
  if (options.json) {
    std::puts(dumpJson({{"version", 1}, {"level", level}, {"limits", json}}).c_str());
    return {};
  }
  std::printf("reads %.1f GB/s of %s, %s of them in huge pages\n", 1e-9 * limits.readBytes,
              humanBytes(probe->bytes()).c_str(), humanBytes(probe->hugeBytes()).c_str());
  for (size_t i = 0; i < macKinds; ++i)
    std::printf("%s: %.1f GMAC/s\n", std::string(instructions[i]).c_str(), 1e-9 * limits.macs[i]);
  return {};
}

Status run(BenchCommandOptions options) {
  options.bench.prefillChunk = options.model.prefillChunk;
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  if (options.limits)
    return reportLimits(session, options);
  limits.maxSequences = options.bench.batch;
  limits.maxLength =
      uint64_t{options.bench.depth} + options.bench.promptTokens + options.bench.newTokens;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  LLAMA4_ASSIGN_OR_RETURN(double firstToken, timeToFirstToken(*engine, options));
  LLAMA4_ASSIGN_OR_RETURN(BenchResult result, runBench(*engine, *session.device, options.bench));
  BenchReport report = {*engine, *session.device, options.bench, std::move(result), firstToken};
  if (options.json)
    std::puts(dumpJson(benchJson(report)).c_str());
  else
    printBench(report);
  return {};
}

} // namespace

void addBench(CLI::App &app, Action &action) {
  auto options = std::make_shared<BenchCommandOptions>();
  BenchOptions &bench = options->bench;
  CLI::App *command =
      app.add_subcommand("bench", "measure prompt and decode speed, and the machine's limits");
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
  command->add_flag("--limits", options->limits, "measure the machine alone, not the model")
      ->group("Measurement");
  command->add_flag("--json", options->json, "print one JSON object")->group("Output");
  command
      ->add_flag("--profile", bench.profile,
                 "time, bytes and shares of the machine's limits of every kernel and dispatch")
      ->group("Output");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
