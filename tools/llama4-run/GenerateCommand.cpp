//===- GenerateCommand.cpp - llama4-run generate --------------------------===//

#include "runtime/base/File.h"
#include "runtime/format/Quoted.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/GenerateOutput.h"
#include "tools/llama4-run/Prompt.h"

#include <algorithm>

namespace llama4::run {

namespace {

constexpr uint64_t defaultNewTokens = 512;

struct GenerateOptions {
  ModelOptions model;
  std::string prompt, promptFile, promptIds;
  bool hasPrompt = false; ///< --prompt was given; it may be empty text
  uint64_t maxNewTokens = 0;
  double temperature = 0;
  bool ignoreEos = false, raw = false, addBos = false;
  OutputOptions output;
};

Result<std::vector<int32_t>> promptIds(const GenerateOptions &options, const Program &program,
                                       const std::optional<text::Tokenizer> &tokenizer) {
  if (!options.promptIds.empty())
    return parseIds(options.promptIds);
  std::string text = options.prompt;
  if (!options.promptFile.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(text, readTextFile(options.promptFile, 32u << 20));
  }
  std::vector<int32_t> ids;
  if (options.raw) {
    ids = tokenizer->encode(text, {.parseSpecial = true, .addBos = options.addBos});
  } else if (program.chatTemplate().empty()) {
    note("the model has no chat template: it continues the prompt");
    ids = tokenizer->encode(
        text, {.parseSpecial = false, .addBos = options.addBos || tokenizer->addsBosByDefault()});
  } else {
    LLAMA4_ASSIGN_OR_RETURN(ids, encodeChat(program, *tokenizer, userMessage(text)));
    std::optional<int32_t> bos = tokenizer->bosId();
    if (options.addBos && bos && (ids.empty() || ids[0] != *bos))
      ids.insert(ids.begin(), *bos);
  }
  return ids;
}

/// Every id that ends a generation of this model.
std::vector<int32_t> allStopIds(const Program &program,
                                const std::optional<text::Tokenizer> &tokenizer) {
  std::vector<int32_t> ids = stopIdsOf(program.desc());
  if (tokenizer)
    for (int32_t id : tokenizer->stopIds())
      ids.push_back(id);
  return ids;
}

Status checkOptions(const GenerateOptions &options) {
  if (options.temperature != 0)
    return Status::error(StatusKind::Usage,
                         format("--temperature: found %g, expected 0: this version supports greedy "
                                "decoding only.",
                                options.temperature));
  int prompts = options.hasPrompt + !options.promptFile.empty() + !options.promptIds.empty();
  if (prompts != 1)
    return Status::error(StatusKind::Usage, format("found %d prompts, expected exactly one of "
                                                   "--prompt, --prompt-file and --prompt-ids.",
                                                   prompts));
  return {};
}

Status run(const GenerateOptions &options) {
  LLAMA4_RETURN_IF_ERROR(checkOptions(options));
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  const ProgramDesc &desc = session.program->desc();
  std::optional<text::Tokenizer> tokenizer;
  if (options.promptIds.empty() || !session.program->tokenizer().empty()) {
    LLAMA4_ASSIGN_OR_RETURN(tokenizer, openTokenizer(*session.program));
  }
  if (desc.generation.present && desc.generation.sample && options.temperature == 0)
    note("the model's defaults ask for sampling; decoding is greedy");

  Generated result;
  LLAMA4_ASSIGN_OR_RETURN(result.prompt, promptIds(options, *session.program, tokenizer));
  uint64_t newTokens = options.maxNewTokens           ? options.maxNewTokens
                       : desc.generation.maxNewTokens ? desc.generation.maxNewTokens
                                                      : defaultNewTokens;
  // Memory for this one text and no more.
  limits.maxSequences = 1;
  limits.maxLength =
      std::clamp<uint64_t>(result.prompt.size() + newTokens, 1, desc.options.maxLength);
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  result.load = secondsSinceStart();

  GenerationPrinter printer(options.output, tokenizer ? &*tokenizer : nullptr);
  GenerationRequest request = {result.prompt, newTokens};
  GenerationOptions generation = {allStopIds(*session.program, tokenizer), options.ignoreEos,
                                  options.model.prefillChunk};
  auto onToken = [&](size_t, int32_t token) {
    if (result.firstToken == 0)
      result.firstToken = secondsSinceStart();
    printer.add(token);
  };
  LLAMA4_ASSIGN_OR_RETURN(std::vector<Generation> generations,
                          generate(*engine, {&request, 1}, generation, onToken, &result.timings));
  result.generation = std::move(generations[0]);
  printer.finish(result);
  return {};
}

} // namespace

void addGenerate(CLI::App &app, Action &action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *command = app.add_subcommand("generate", "answer or continue one prompt");
  addModelOptions(*command, options->model);
  CLI::Option *prompt =
      command->add_option("-p,--prompt", options->prompt, "what a user asks")->group("Prompt");
  command->add_option("--prompt-file", options->promptFile, "the same, from a file")
      ->group("Prompt");
  command->add_option("--prompt-ids", options->promptIds, "exactly these token ids: 1,2,3")
      ->group("Prompt");
  command
      ->add_flag("--raw", options->raw,
                 "no chat template and no added BOS; control tokens in the text are parsed")
      ->group("Prompt");
  command->add_flag("--add-bos", options->addBos, "put BOS in front")->group("Prompt");
  command
      ->add_option("-n,--max-new-tokens", options->maxNewTokens,
                   "tokens to generate at most (default: the model's, or 512)")
      ->check(CLI::PositiveNumber)
      ->group("Generation");
  command->add_option("--temperature,--temp", options->temperature, "0: greedy decoding")
      ->group("Generation");
  command->add_flag("--ignore-eos", options->ignoreEos, "stop tokens don't stop")
      ->group("Generation");
  command->add_flag("--ids", options->output.ids, "print the generated ids and nothing else")
      ->group("Output");
  command->add_flag("--json", options->output.json, "print one JSON object")->group("Output");
  command->add_flag("--timings", options->output.timings, "times on stderr")->group("Output");
  command->callback([options, prompt, &action] {
    options->hasPrompt = prompt->count() > 0;
    action = [options] { return run(*options); };
  });
}

} // namespace llama4::run
