//===- TextSections.cpp - tokenizer, template, generation defaults --------===//

#include "compiler/driver/TextSections.h"

#include "runtime/text/Tokenizer.h"
#include "runtime/text/build/TemplateCompiler.h"
#include "runtime/text/build/TokenizerBuilder.h"

#include <nlohmann/json.hpp>

namespace llama4 {

static std::string toString(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

static std::vector<uint32_t> stopIds(const ModelInfo &model) {
  std::vector<uint32_t> ids;
  for (const std::vector<int32_t> *list : {&model.eos, &model.stop})
    for (int32_t id : *list)
      ids.push_back(static_cast<uint32_t>(id));
  return ids;
}

static std::optional<uint32_t> ggufId(const Gguf &gguf, std::string_view key) {
  const GgufValue *value = gguf.find(key);
  std::optional<int64_t> id = value ? value->integer() : std::nullopt;
  return id && *id >= 0 && *id <= INT32_MAX ? std::optional(static_cast<uint32_t>(*id))
                                            : std::nullopt;
}

static std::string_view ggufString(const Gguf &gguf, std::string_view key) {
  const GgufValue *value = gguf.find(key);
  return value ? value->string().value_or("") : "";
}

static std::vector<std::string_view> ggufStrings(const Gguf &gguf, std::string_view key) {
  const GgufValue *value = gguf.find(key);
  std::optional<std::vector<std::string_view>> strings;
  if (value)
    strings = value->strings();
  return strings.value_or(std::vector<std::string_view>());
}

static Result<std::vector<std::byte>> buildGgufTokenizer(const Gguf &gguf) {
  std::vector<std::string_view> tokens = ggufStrings(gguf, "tokenizer.ggml.tokens");
  if (tokens.empty())
    return std::vector<std::byte>();
  std::vector<std::string_view> merges = ggufStrings(gguf, "tokenizer.ggml.merges");
  std::vector<int32_t> types;
  if (const GgufValue *value = gguf.find("tokenizer.ggml.token_type"))
    for (int64_t type : value->integers().value_or(std::vector<int64_t>()))
      types.push_back(static_cast<int32_t>(type));
  text::GgufVocabulary vocabulary;
  vocabulary.model = ggufString(gguf, "tokenizer.ggml.model");
  vocabulary.pre = ggufString(gguf, "tokenizer.ggml.pre");
  vocabulary.tokens = tokens;
  vocabulary.tokenTypes = types;
  vocabulary.merges = merges;
  vocabulary.bosId = ggufId(gguf, "tokenizer.ggml.bos_token_id");
  vocabulary.eosId = ggufId(gguf, "tokenizer.ggml.eos_token_id");
  vocabulary.padId = ggufId(gguf, "tokenizer.ggml.padding_token_id");
  vocabulary.eotId = ggufId(gguf, "tokenizer.ggml.eot_token_id");
  vocabulary.eomId = ggufId(gguf, "tokenizer.ggml.eom_token_id");
  if (const GgufValue *value = gguf.find("tokenizer.ggml.add_bos_token"))
    vocabulary.addBos = value->boolean();
  return text::buildFromGguf(vocabulary);
}

/// From a tokenizer.model. Sentencepiece files of that name give no tokenizer.
static Result<std::vector<std::byte>> buildTiktoken(const std::string &file, const ModelInfo &model,
                                                    const text::TokenizerBuildOptions &options) {
  if (!text::isTiktoken(file))
    return std::vector<std::byte>();
  bool four = model.family == "llama4";
  LLAMA4_ASSIGN_OR_RETURN(
      std::vector<std::byte> section,
      text::buildFromTiktoken(
          file, four ? text::TiktokenFamily::Llama4 : text::TiktokenFamily::Llama3, options));
  LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer, text::Tokenizer::fromSection(section));
  if (tokenizer.tokenCount() > model.vocabSize)
    return Status::invalidInput("tokenizer.model: found " + std::to_string(tokenizer.tokenCount()) +
                                " tokens with those " + "of " + model.family +
                                ", but vocab_size is " + std::to_string(model.vocabSize) +
                                "; give the folder the tokenizer of this model.");
  return section;
}

/// The template's source: chat_template.jinja, or the field of tokenizer_config.json, or metadata.
static std::string findTemplate(const Checkpoint &checkpoint) {
  if (checkpoint.isGguf())
    return std::string(ggufString(checkpoint.gguf(), "tokenizer.chat_template"));
  if (checkpoint.chatTemplate())
    return *checkpoint.chatTemplate();
  if (!checkpoint.tokenizerConfig())
    return "";
  auto config = nlohmann::json::parse(*checkpoint.tokenizerConfig(), nullptr,
                                      /*allow_exceptions=*/false);
  auto it = config.is_object() ? config.find("chat_template") : config.end();
  return it != config.end() && it->is_string() ? it->get<std::string>() : "";
}

Result<TextSections> buildTextSections(const Checkpoint &checkpoint, const ModelInfo &model) {
  TextSections sections;
  std::vector<std::byte> tokenizer;
  if (checkpoint.isGguf()) {
    LLAMA4_ASSIGN_OR_RETURN(tokenizer, buildGgufTokenizer(checkpoint.gguf()));
  } else if (!checkpoint.tokenizer() && checkpoint.tokenizerModel()) {
    LLAMA4_ASSIGN_OR_RETURN(
        tokenizer, buildTiktoken(*checkpoint.tokenizerModel(), model, {.stopIds = stopIds(model)}));
  } else if (checkpoint.tokenizer()) {
    text::TokenizerBuildOptions options;
    options.stopIds = stopIds(model);
    LLAMA4_ASSIGN_OR_RETURN(
        tokenizer, text::buildFromHfJson(*checkpoint.tokenizer(),
                                         checkpoint.tokenizerConfig().value_or(""), options));
  }
  sections.tokenizer = toString(tokenizer);
  std::string source = findTemplate(checkpoint);
  if (!source.empty()) {
    LLAMA4_ASSIGN_OR_RETURN(std::vector<std::byte> compiled, text::compileTemplate(source));
    sections.chatTemplate = toString(compiled);
  }
  return sections;
}

Result<GenerationDefaults> readGenerationDefaults(const Checkpoint &checkpoint) {
  GenerationDefaults defaults;
  if (!checkpoint.generationConfig())
    return defaults;
  LLAMA4_ASSIGN_OR_RETURN(Config config,
                          Config::parse(*checkpoint.generationConfig(), "generation_config.json"));
  defaults.present = true;
  LLAMA4_ASSIGN_OR_RETURN(defaults.sample, config.boolean("do_sample", false));
  LLAMA4_ASSIGN_OR_RETURN(double temperature, config.number("temperature", 0.0, 100.0, 1.0));
  LLAMA4_ASSIGN_OR_RETURN(double topP, config.number("top_p", 0.0, 1.0, 1.0));
  LLAMA4_ASSIGN_OR_RETURN(double minP, config.number("min_p", 0.0, 1.0, 0.0));
  LLAMA4_ASSIGN_OR_RETURN(double penalty, config.number("repetition_penalty", 0.01, 100.0, 1.0));
  LLAMA4_ASSIGN_OR_RETURN(int64_t topK, config.integer("top_k", 0, INT32_MAX, 0));
  LLAMA4_ASSIGN_OR_RETURN(int64_t tokens, config.integer("max_new_tokens", 0, INT32_MAX, 0));
  defaults.temperature = static_cast<float>(temperature);
  defaults.topP = static_cast<float>(topP);
  defaults.minP = static_cast<float>(minP);
  defaults.repetitionPenalty = static_cast<float>(penalty);
  defaults.topK = static_cast<uint32_t>(topK);
  defaults.maxNewTokens = static_cast<uint32_t>(tokens);
  return defaults;
}

} // namespace llama4
