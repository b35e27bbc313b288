//===- PerplexityCommand.cpp - llama4-run perplexity ----------------------===//
//
// The estimate goes to stdout, or all of it as one JSON object; running values go to stderr.
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Perplexity.h"

#include "runtime/base/File.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Prompt.h"

namespace llama4::run {

namespace {

struct Options : ModelOptions {
  std::string textFile;
  uint32_t context = 512, chunks = 0;
  bool json = false;
};

/// The values after each chunk, as they come and for the report.
class Running {
public:
  explicit Running(bool quiet) : quiet_(quiet) {}

  void operator()(const PerplexityEstimate &estimate) {
    values_.push_back(estimate.perplexity());
    if (!quiet_)
      note(format("[%llu] %.4f", static_cast<unsigned long long>(estimate.chunks),
                  estimate.perplexity()));
  }
  const std::vector<double> &values() const { return values_; }

private:
  bool quiet_;
  std::vector<double> values_;
};

void print(const Options &options, uint64_t tokens, const PerplexityEstimate &estimate,
           const Running &running) {
  if (!options.json) {
    std::printf("perplexity %.4f +/- %.5f (%llu chunks of %u tokens, %llu scored)\n",
                estimate.perplexity(), estimate.error(),
                static_cast<unsigned long long>(estimate.chunks), options.context,
                static_cast<unsigned long long>(estimate.scored));
    return;
  }
  const nlohmann::ordered_json json = {
      {"perplexity", estimate.perplexity()}, {"error", estimate.error()},
      {"context", options.context},          {"tokens", tokens},
      {"chunks", estimate.chunks},           {"scored", estimate.scored},
      {"running", running.values()}};
  std::printf("%s\n", dumpJson(json).c_str());
}

Status run(const Options &options) {
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options));
  LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, openTokenizer(*session.program));
  LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(options.textFile, 1u << 30));
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options));
  limits.maxSequences = 1;
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  PerplexityOptions request;
  request.context = options.context;
  request.maxChunks = options.chunks;
  request.prefillChunk = options.prefillChunk;
  if (tokenizer.addsBosByDefault())
    request.bos = tokenizer.bosId();
  const std::vector<int32_t> ids = tokenizer.encode(text, {.addBos = request.bos.has_value()});
  Running running(options.json);
  Result<PerplexityEstimate> estimate = measurePerplexity(*engine, ids, request, std::ref(running));
  if (!estimate.ok())
    return estimate.status().in(options.textFile);
  print(options, ids.size(), *estimate, running);
  return {};
}

} // namespace

void addPerplexity(CLI::App &app, Action &action) {
  auto options = std::make_shared<Options>();
  CLI::App *command =
      app.add_subcommand("perplexity", "how well a model predicts a text, by llama.cpp's method");
  addModelOptions(*command, *options);
  command->add_option("-f,--text-file,--file", options->textFile, "plain text")
      ->required()
      ->group("Text");
  command
      ->add_option("-c,--context,--ctx-size,--max-model-len", options->context,
                   "tokens of a chunk; the predictions of its second half are scored")
      ->check(CLI::Range(4u, 1u << 30))
      ->capture_default_str()
      ->group("Text");
  command->add_option("--chunks", options->chunks, "score so many chunks (default: all)")
      ->check(CLI::PositiveNumber)
      ->group("Text");
  command->add_flag("--json", options->json, "print one JSON object");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
