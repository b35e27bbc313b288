//===- Requests.cpp - the bodies that routes take -------------------------===//

#include "runtime/serve/Requests.h"

#include "runtime/engine/Engine.h"

#include <algorithm>

namespace llama4::serve {

namespace {

constexpr uint64_t completionTokens = 16; ///< of /v1/completions where a request doesn't say
constexpr size_t mostPrompts = 64;
constexpr size_t mostIds = 1u << 20;

/// A list of ids inside the vocabulary. Errors: InvalidInput.
Status readIds(const Json &list, const ServedModel &served, const std::string &expected,
               std::vector<int32_t> &ids) {
  if (!list.is_array() || list.size() > mostIds)
    return Status::invalidInput(expected);
  const ProgramDesc &program = served.program().desc();
  for (const Json &id : list) {
    const bool tooLarge = id.is_number_unsigned() && id.get<uint64_t>() > uint64_t{INT64_MAX};
    if (!id.is_number_integer() || tooLarge)
      return Status::invalidInput(expected);
    LLAMA4_RETURN_IF_ERROR(Engine::checkId(program, id.get<int64_t>()));
    ids.push_back(id.get<int32_t>());
  }
  return {};
}

Status readPrompt(const Json &prompt, const ServedModel &served, const std::string &expected,
                  std::vector<std::vector<int32_t>> &prompts) {
  std::vector<int32_t> ids;
  if (const auto *text = prompt.get_ptr<const std::string *>())
    ids = served.encodePrompt(*text);
  else
    LLAMA4_RETURN_IF_ERROR(readIds(prompt, served, expected, ids));
  LLAMA4_RETURN_IF_ERROR(served.checkPrompt(ids));
  prompts.push_back(std::move(ids));
  return {};
}

/// A string, a list of ids, or a list of either. Errors: InvalidInput.
Status readPrompts(const Json *prompt, const ServedModel &served,
                   std::vector<std::vector<int32_t>> &prompts) {
  const std::string expected = "expected a string, a list of token ids, or a list of at most " +
                               std::to_string(mostPrompts) + " of either.";
  if (!prompt)
    return Status::invalidInput(expected);
  if (!prompt->is_array() || prompt->empty() || (*prompt)[0].is_number())
    return readPrompt(*prompt, served, expected, prompts);
  if (prompt->size() > mostPrompts)
    return Status::invalidInput(expected);
  for (const Json &one : *prompt)
    LLAMA4_RETURN_IF_ERROR(readPrompt(one, served, expected, prompts));
  return {};
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
  if (fields.describes() || fields.error())
    return;
  if (Status status = readPrompts(prompt, served, prompts); !status.ok())
    fields.fail("prompt", status.message());
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
  if (fields.describes())
    return;
  const std::string expected = "expected a list of token ids.";
  const Status status =
      tokens ? readIds(*tokens, served, expected, ids) : Status::invalidInput(expected);
  if (!status.ok())
    fields.fail("tokens", status.message());
}

} // namespace llama4::serve
