//===- GenerateCommand.cpp - llama4-run generate --------------------------===//

#include "runtime/base/File.h"
#include "runtime/engine/Generator.h"
#include "runtime/format/Quoted.h"
#include "runtime/text/IncrementalDecoder.h"
#include "tools/llama4-run/Common.h"
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
  bool ids = false, json = false, timings = false;
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

void printTimings(const GenerationTimings &timings, double load, double firstToken) {
  note(format("load %.3f s, prompt %llu tokens in %.3f s (%.1f tokens/s), first token after %.3f s",
              load, static_cast<unsigned long long>(timings.promptTokens), timings.prompt,
              static_cast<double>(timings.promptTokens) / std::max(timings.prompt, 1e-9),
              firstToken));
  if (timings.decodedTokens == 0)
    return;
  std::vector<double> steps = timings.steps;
  std::sort(steps.begin(), steps.end());
  note(format("decode %llu tokens in %.3f s (%.1f tokens/s), a token %.2f ms median, %.2f ms at "
              "most",
              static_cast<unsigned long long>(timings.decodedTokens), timings.decode,
              static_cast<double>(timings.decodedTokens) / std::max(timings.decode, 1e-9),
              steps[steps.size() / 2] * 1e3, steps.back() * 1e3));
}

nlohmann::ordered_json timingsJson(const GenerationTimings &timings, double load,
                                   double firstToken) {
  return {{"load_seconds", load},
          {"first_token_seconds", firstToken},
          {"prompt_seconds", timings.prompt},
          {"decode_seconds", timings.decode},
          {"decoded_tokens", timings.decodedTokens},
          {"step_seconds", timings.steps}};
}

/// What a run of the command holds.
struct Generated {
  std::vector<int32_t> prompt;
  Generation generation;
  GenerationTimings timings;
  double load = 0, firstToken = 0;
};

/// The parts of the answer as they come, then what --ids or --json ask for.
class Printer {
public:
  Printer(const GenerateOptions &options, const std::optional<text::Tokenizer> &tokenizer)
      : options_(options) {
    if (tokenizer)
      decoder_.emplace(*tokenizer);
  }
  void add(int32_t token) {
    if (decoder_)
      addText(decoder_->add(token));
  }
  void finish(const Generated &generated) {
    if (decoder_)
      addText(decoder_->finish());
    if (options_.ids)
      std::fputs(printIds(generated.generation.tokens).c_str(), stdout);
    else if (options_.json)
      std::puts(dumpJson(json(generated)).c_str());
    else
      std::putchar('\n');
  }

private:
  void addText(const std::string &text) {
    text_ += text;
    if (options_.ids || options_.json)
      return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  nlohmann::ordered_json json(const Generated &generated) const {
    return {
        {"text", text_},
        {"ids", generated.generation.tokens},
        {"finish_reason", generated.generation.reason == FinishReason::Stop ? "stop" : "length"},
        {"prompt_ids", generated.prompt},
        {"timings", timingsJson(generated.timings, generated.load, generated.firstToken)}};
  }

  const GenerateOptions &options_;
  std::optional<text::IncrementalDecoder> decoder_;
  std::string text_;
};

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

  Printer printer(options, tokenizer);
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
  if (options.timings)
    printTimings(result.timings, result.load, result.firstToken);
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
  command->add_flag("--ids", options->ids, "print the generated ids and nothing else")
      ->group("Output");
  command->add_flag("--json", options->json, "print one JSON object")->group("Output");
  command->add_flag("--timings", options->timings, "times on stderr")->group("Output");
  command->callback([options, prompt, &action] {
    options->hasPrompt = prompt->count() > 0;
    action = [options] { return run(*options); };
  });
}

} // namespace llama4::run
