//===- ServedEngine.cpp - a model behind a scheduler ----------------------===//

#include "tools/llama4-run/ServedEngine.h"

namespace llama4::run {

static void addImageRules(CLI::App &command, ServedEngineOptions &options) {
  command
      .add_flag("--allow-remote-media", options.images.remote,
                "fetch pictures from http(s) URLs, public addresses only")
      ->group("Images");
  command
      .add_option("--allowed-media-domain,--allowed-media-domains", options.images.hosts,
                  "only from this host; again for more")
      ->allow_extra_args(false)
      ->group("Images");
  command
      .add_option("--media-root,--allowed-local-media-path,--media-path", options.images.mediaRoot,
                  "folder below which requests may name files")
      ->check(CLI::ExistingDirectory)
      ->group("Images");
  command
      .add_option("--image-alpha", options.imageAlpha,
                  "what becomes of transparency: white or drop (default: white)")
      ->check(CLI::IsMember({"white", "drop"}))
      ->group("Images");
}

void addServedEngineOptions(CLI::App &command, ServedEngineOptions &options) {
  addModelOptions(command, options.model);
  addImageRules(command, options);
  command
      .add_option("-c,--max-model-len,--ctx-size", options.maxLength,
                  "tokens of prompt and answer together at most (default: as compiled, or what "
                  "memory holds)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--max-num-seqs,--parallel", options.maxSequences,
                  "answers in the running batch at most (default: as compiled)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_option("--prompt-tokens-beside-decode", options.promptTokens,
                  "prompt tokens in a step in which others generate: more is faster for the "
                  "newcomer, slower for the others (default: 64)")
      ->check(CLI::PositiveNumber)
      ->group("Limits");
  command
      .add_flag("--no-prefix-cache,--no-cache-prompt,--no-enable-prefix-caching",
                options.noPrefixCache, "keep no text between requests to begin others with it")
      ->group("Limits");
  command
      .add_option("-a,--served-model-name,--alias", options.names,
                  "what requests call the model, again for more; \"*\": anything (default: the "
                  "file's name; \"default\" is always right)")
      ->allow_extra_args(false)
      ->group("Server");
}

static std::string summaryOf(const Engine &engine) {
  const Engine::Memory memory = engine.memory();
  return format("weights %s; transients %s, cache %s; at most %u sequences at once, each of at "
                "most %llu tokens",
                describeWeights(engine.program()).c_str(),
                humanBytes(memory.arena + memory.step).c_str(), humanBytes(memory.cache).c_str(),
                engine.maxSequences(), static_cast<unsigned long long>(engine.maxLength()));
}

Result<ServedEngine> openServedEngine(const ServedEngineOptions &options) {
  ServedEngine out;
  LLAMA4_ASSIGN_OR_RETURN(EngineOptions limits, engineOptions(options.model));
  limits.maxLength = options.maxLength;
  limits.maxSequences = options.maxSequences;
  limits.prefixCache = !options.noPrefixCache;
  serve::ImageRules rules = options.images;
  rules.alpha = options.imageAlpha == "drop" ? image::AlphaMode::Drop : image::AlphaMode::White;
  LLAMA4_ASSIGN_OR_RETURN(out.session, openSession(options.model));
  LLAMA4_ASSIGN_OR_RETURN(out.model,
                          serve::ServedModel::create(out.session.program, options.names, rules));
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine,
                          Engine::create(out.session.program, *out.session.device, limits));
  out.summary = summaryOf(*engine);
  out.maxSequences = engine->maxSequences();
  out.tokenizer = std::make_unique<const text::Tokenizer>(out.model->tokenizer());
  SchedulerOptions scheduling;
  scheduling.batcher.stopIds = out.model->stopIds();
  scheduling.batcher.prefillChunk = options.model.prefillChunk;
  scheduling.batcher.promptTokensBesideDecode = options.promptTokens;
  scheduling.batcher.tokenizer = out.tokenizer.get();
  scheduling.maxWaiting = options.maxWaiting;
  scheduling.maxWaitingTokens = options.maxWaitingTokens;
  LLAMA4_ASSIGN_OR_RETURN(out.scheduler,
                          Scheduler::create(std::move(engine), std::move(scheduling)));
  return out;
}

} // namespace llama4::run
