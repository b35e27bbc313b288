//===- GenerateCommand.cpp - llama4-run generate --------------------------===//

#include "runtime/base/File.h"
#include "runtime/format/Quoted.h"
#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/GenerateOutput.h"
#include "tools/llama4-run/ImageInput.h"
#include "tools/llama4-run/Prompt.h"
#include "tools/llama4-run/SamplingOptions.h"

#include <algorithm>

namespace llama4::run {

namespace {

constexpr uint64_t defaultNewTokens = 512;

struct GenerateOptions {
  ModelOptions model;
  std::vector<std::string> prompts, promptFiles, promptIds; ///< any number of one of them
  uint64_t maxNewTokens = 0;
  SamplingOptions sampling;
  ImageOptions images;
  bool ignoreEos = false, raw = false, addBos = false;
  OutputOptions output;
};

size_t promptCount(const GenerateOptions &options) {
  return options.prompts.size() + options.promptFiles.size() + options.promptIds.size();
}

/// The text of a prompt.
Result<std::string> promptText(const GenerateOptions &options, size_t index) {
  if (!options.promptFiles.empty())
    return readTextFile(options.promptFiles[index], 32u << 20);
  return options.prompts[index];
}

/// Pictures of a prompt: all of a single one, else as many as it has marks.
size_t imagesOf(const GenerateOptions &options, const std::string &text, size_t left) {
  return promptCount(options) == 1 ? left : std::min(left, countMarks(text));
}

/// Ids of a text whose <|image|> marks stand for `images` pictures.
Result<std::vector<int32_t>> textIds(const GenerateOptions &options, const std::string &text,
                                     size_t images, const Program &program,
                                     const text::Tokenizer &tokenizer) {
  const ImageInfo &info = program.desc().images;
  if (options.raw)
    return tokenizer.encode(text, {.parseSpecial = true, .addBos = options.addBos});
  if (program.chatTemplate().empty()) {
    note("the model has no chat template: it continues the prompt");
    const bool addBos = options.addBos || tokenizer.addsBosByDefault();
    return info.present() ? idsWithImages(text, images, tokenizer, info.imageToken, addBos)
                          : tokenizer.encode(text, {.parseSpecial = false, .addBos = addBos});
  }
  nlohmann::ordered_json messages = userMessage(text);
  if (info.present()) {
    LLAMA4_ASSIGN_OR_RETURN(messages[0]["content"], contentWithImages(text, images));
  }
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int32_t> ids, encodeChat(program, tokenizer, messages));
  std::optional<int32_t> bos = tokenizer.bosId();
  if (options.addBos && bos && (ids.empty() || ids[0] != *bos))
    ids.insert(ids.begin(), *bos);
  return ids;
}

/// The ids of a prompt and its pictures, which are taken from the front of `images`.
Result<ImagePrompt> makePrompt(const GenerateOptions &options, size_t index, const Program &program,
                               const std::optional<text::Tokenizer> &tokenizer,
                               std::vector<PreparedImage> &images) {
  ImagePrompt prompt;
  size_t count = images.size();
  if (!options.promptIds.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(prompt.ids, parseIds(options.promptIds[index]));
    const int32_t mark = program.desc().images.imageToken;
    if (promptCount(options) > 1)
      count = std::min(count,
                       static_cast<size_t>(std::count(prompt.ids.begin(), prompt.ids.end(), mark)));
  } else {
    LLAMA4_ASSIGN_OR_RETURN(std::string text, promptText(options, index));
    count = imagesOf(options, text, count);
    LLAMA4_ASSIGN_OR_RETURN(prompt.ids, textIds(options, text, count, program, *tokenizer));
  }
  const ImageInfo &info = program.desc().images;
  if (!info.present())
    return prompt;
  LLAMA4_ASSIGN_OR_RETURN(ImagePreparer preparer, ImagePreparer::create(info));
  auto end = images.begin() + static_cast<ptrdiff_t>(count);
  std::vector<PreparedImage> own(std::make_move_iterator(images.begin()),
                                 std::make_move_iterator(end));
  images.erase(images.begin(), end);
  return preparer.place(prompt.ids, std::move(own));
}

Status checkOptions(const GenerateOptions &options) {
  int kinds = !options.prompts.empty() + !options.promptFiles.empty() + !options.promptIds.empty();
  if (kinds != 1)
    return Status::error(StatusKind::Usage, format("found %d prompts, expected exactly one of "
                                                   "--prompt, --prompt-file and --prompt-ids.",
                                                   kinds));
  return {};
}

/// All prompts as requests, and the engine limits that they need.
Result<std::vector<GenerationRequest>> makeRequests(const GenerateOptions &options,
                                                    const Program &program,
                                                    const std::optional<text::Tokenizer> &tokenizer,
                                                    EngineOptions &limits) {
  const ProgramDesc &desc = program.desc();
  GenerationRequest request;
  request.maxNewTokens = options.maxNewTokens           ? options.maxNewTokens
                         : desc.generation.maxNewTokens ? desc.generation.maxNewTokens
                                                        : defaultNewTokens;
  request.stopStrings = options.sampling.stop;
  LLAMA4_ASSIGN_OR_RETURN(request.sampling, samplingParameters(options.sampling, desc));
  std::vector<GenerationRequest> requests(promptCount(options), request);
  LLAMA4_ASSIGN_OR_RETURN(std::vector<PreparedImage> images,
                          loadImages(options.images, desc.images));
  limits.maxLength = 1;
  for (size_t i = 0; i < requests.size(); ++i) {
    LLAMA4_ASSIGN_OR_RETURN(ImagePrompt prompt, makePrompt(options, i, program, tokenizer, images));
    requests[i].prompt = std::move(prompt.ids);
    requests[i].images = std::move(prompt.images);
    limits.maxLength = std::max(limits.maxLength, requests[i].prompt.size() + request.maxNewTokens);
  }
  if (!images.empty())
    return Status::invalidInput(format("found %zu images more than marks <|image|> in the prompts, "
                                       "expected a mark for each; give the missing marks.",
                                       images.size()));
  // Memory for these texts and no more.
  limits.maxSequences =
      static_cast<uint32_t>(std::min<size_t>(requests.size(), desc.options.maxBatchSize));
  limits.maxLength = std::min(limits.maxLength, desc.options.maxLength);
  return requests;
}

Status run(const GenerateOptions &options) {
  LLAMA4_RETURN_IF_ERROR(checkOptions(options));
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  LLAMA4_ASSIGN_OR_RETURN(Session session, openSession(options.model));
  std::optional<text::Tokenizer> tokenizer;
  if (options.promptIds.empty() || !session.program->tokenizer().empty()) {
    LLAMA4_ASSIGN_OR_RETURN(tokenizer, openTokenizer(*session.program));
  }
  LLAMA4_ASSIGN_OR_RETURN(std::vector<GenerationRequest> requests,
                          makeRequests(options, *session.program, tokenizer, limits));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(session.program, *session.device, limits));
  Generated result;
  result.load = secondsSinceStart();
  GenerationPrinter printer(options.output, requests.size() == 1);
  GenerationOptions generation = {allStopIds(*session.program, tokenizer), options.ignoreEos,
                                  options.model.prefillChunk, tokenizer ? &*tokenizer : nullptr};
  auto onToken = [&](size_t, int32_t, std::string_view text) {
    if (result.firstToken == 0)
      result.firstToken = secondsSinceStart();
    printer.add(text);
  };
  LLAMA4_ASSIGN_OR_RETURN(std::vector<Generation> generations,
                          generate(*engine, requests, generation, onToken, &result.timings));
  for (size_t i = 0; i < requests.size(); ++i) {
    result.prompt = std::move(requests[i].prompt);
    result.seed = requests[i].sampling.seed;
    result.generation = std::move(generations[i]);
    printer.finish(result);
  }
  if (options.output.timings) {
    printTimings(result);
    note("weights " + describeWeights(*session.program));
  }
  return {};
}

} // namespace

void addGenerate(CLI::App &app, Action &action) {
  auto options = std::make_shared<GenerateOptions>();
  CLI::App *command = app.add_subcommand("generate", "answer or continue prompts");
  addModelOptions(*command, options->model);
  command
      ->add_option("-p,--prompt", options->prompts,
                   "what a user asks; given again, the answers are made together")
      ->allow_extra_args(false)
      ->group("Prompt");
  command->add_option("-f,--prompt-file,--file", options->promptFiles, "the same, from a file")
      ->allow_extra_args(false)
      ->group("Prompt");
  command->add_option("--prompt-ids", options->promptIds, "exactly these token ids: 1,2,3")
      ->allow_extra_args(false)
      ->group("Prompt");
  addImageOptions(*command, options->images);
  command
      ->add_flag("--raw", options->raw,
                 "no chat template and no added BOS; control tokens in the text are parsed")
      ->group("Prompt");
  command->add_flag("--add-bos", options->addBos, "put BOS in front")->group("Prompt");
  command
      ->add_option("-n,--max-new-tokens,--n-predict,--predict,--max-tokens", options->maxNewTokens,
                   "tokens to generate at most (default: the model's, or 512)")
      ->check(CLI::PositiveNumber)
      ->group("Generation");
  addSamplingOptions(*command, options->sampling);
  command->add_flag("--ignore-eos", options->ignoreEos, "stop tokens don't stop")
      ->group("Generation");
  command->add_flag("--ids", options->output.ids, "print the generated ids and nothing else")
      ->group("Output");
  command->add_flag("--json", options->output.json, "print one JSON object")->group("Output");
  command->add_flag("--timings", options->output.timings, "times on stderr")->group("Output");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

} // namespace llama4::run
