//===- Requests.cpp - the bodies that routes take -------------------------===//

#include "runtime/serve/Requests.h"

#include <algorithm>

namespace llama4::serve {

namespace {

constexpr uint64_t completionTokens = 16; ///< of /v1/completions where a request doesn't say
constexpr size_t mostPrompts = 64;
constexpr size_t mostIds = 1u << 20;

/// A list of ids inside the vocabulary; false for anything else.
bool readIds(const Json &list, uint32_t vocabSize, std::vector<int32_t> &ids) {
  if (!list.is_array() || list.size() > mostIds)
    return false;
  for (const Json &id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocabSize)
      return false;
    ids.push_back(id.get<int32_t>());
  }
  return true;
}

bool readPrompt(const Json &prompt, const ServedModel &served,
                std::vector<std::vector<int32_t>> &prompts) {
  std::vector<int32_t> ids;
  if (const auto *text = prompt.get_ptr<const std::string *>())
    ids = served.encodePrompt(*text);
  else if (!readIds(prompt, served.program().desc().model.vocabSize, ids))
    return false;
  prompts.push_back(std::move(ids));
  return true;
}

/// A string, a list of ids, or a list of either.
bool readPrompts(const Json *prompt, const ServedModel &served,
                 std::vector<std::vector<int32_t>> &prompts) {
  if (!prompt)
    return false;
  if (!prompt->is_array() || prompt->empty() || (*prompt)[0].is_number())
    return readPrompt(*prompt, served, prompts);
  return prompt->size() <= mostPrompts &&
         std::all_of(prompt->begin(), prompt->end(),
                     [&](const Json &one) { return readPrompt(one, served, prompts); });
}

std::string readModel(Fields &fields, const ServedModel &served) {
  return fields.string("model").value_or(served.name());
}

} // namespace

void ChatRequest::read(Fields &fields, const ServedModel &served) {
  model = readModel(fields, served);
  messages = fields.any("messages");
  readGenerationFields(fields, served, 1, generation);
  const bool wants = fields.boolean("logprobs").value_or(false);
  const std::optional<int64_t> top = fields.integer("top_logprobs", 0, 20);
  if (top.value_or(0) != 0 && !wants)
    fields.fail("top_logprobs", "expected \"logprobs\": true beside it.");
  if (wants)
    generation.request.topLogprobs = static_cast<uint32_t>(top.value_or(0));
}

void CompletionRequest::read(Fields &fields, const ServedModel &served) {
  model = readModel(fields, served);
  const Json *prompt = fields.any("prompt");
  readGenerationFields(fields, served, 0, generation);
  ScheduledRequest &request = generation.request;
  echo = fields.boolean("echo").value_or(false);
  scoresOnly = generation.isZeroTokens;
  if (scoresOnly && !echo)
    fields.fail("max_tokens", "expected 1 or more, or \"echo\": true beside 0.");
  if (scoresOnly)
    request.maxNewTokens = 1, request.minNewTokens = 0;
  else if (request.maxNewTokens == 0)
    request.maxNewTokens = std::max<uint64_t>(completionTokens, request.minNewTokens);
  if (auto top = fields.integer("logprobs", 0, 20)) {
    request.topLogprobs = static_cast<uint32_t>(*top);
    request.promptLogprobs = echo;
  }
  if (auto suffix = fields.string("suffix"); suffix && !suffix->empty())
    fields.fail("suffix", "is not supported.");
  if (fields.integer("best_of", 1, 16).value_or(1) > request.choices)
    fields.fail("best_of", "expected at most \"n\".");
  if (!fields.describes() && !fields.error() && !readPrompts(prompt, served, prompts))
    fields.fail("prompt", "expected a string, a list of token ids, or a list of at most " +
                              std::to_string(mostPrompts) + " of either.");
}

void TokenizeRequest::read(Fields &fields, const ServedModel &served) {
  readModel(fields, served);
  messages = fields.any("messages");
  std::optional<std::string> prompt = fields.string("prompt");
  if (std::optional<std::string> content = fields.string("content"); !prompt)
    prompt = content;
  if (!fields.describes() && !prompt && !messages)
    fields.fail("prompt", "expected a string, or \"messages\".");
  text = prompt.value_or("");
  parseSpecial = fields.boolean("parse_special").value_or(true);
  addSpecial = fields.boolean("add_special_tokens").value_or(served.tokenizer().addsBosByDefault());
}

void DetokenizeRequest::read(Fields &fields, const ServedModel &served) {
  readModel(fields, served);
  const Json *tokens = fields.any("tokens");
  if (!fields.describes() &&
      (!tokens || !readIds(*tokens, served.program().desc().model.vocabSize, ids)))
    fields.fail("tokens", "expected a list of token ids.");
}

} // namespace llama4::serve
