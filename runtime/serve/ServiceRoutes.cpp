//===- ServiceRoutes.cpp - completions, models and tokens -----------------===//

#include "runtime/serve/Service.h"

#include "runtime/text/Utf8.h"

namespace llama4::serve {

namespace {

constexpr uint64_t completionTokens = 16; ///< of /v1/completions where a request doesn't say
constexpr size_t mostPrompts = 64;
constexpr size_t mostIds = 1u << 20;

/// %41 as A; a broken escape stays as it is.
std::string unescaped(std::string_view text) {
  auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

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

/// The prompts of a completion: a string, a list of ids, or a list of either.
bool readPrompts(const Json *prompt, const ServedModel &model,
                 std::vector<std::vector<int32_t>> &prompts) {
  if (!prompt)
    return false;
  const bool isList = prompt->is_array() && !prompt->empty() && !(*prompt)[0].is_number();
  const Json list = isList ? *prompt : Json::array({*prompt});
  if (list.size() > mostPrompts)
    return false;
  for (const Json &one : list) {
    std::vector<int32_t> ids;
    if (one.is_string())
      ids = model.encodePrompt(one.get_ref<const std::string &>());
    else if (!readIds(one, model.program().desc().model.vocabSize, ids))
      return false;
    prompts.push_back(std::move(ids));
  }
  return true;
}

} // namespace

bool Service::checkModel(Fields &fields, std::string &name) const {
  name = fields.string("model").value_or(model_.name());
  return model_.answersTo(name);
}

Answer::Call Service::callOf(const Context &context, const GenerationFields &fields,
                             std::string model) const {
  Answer::Call call;
  call.requestId = context.requestId;
  call.model = std::move(model);
  call.stream = fields.stream;
  call.includeUsage = fields.includeUsage;
  return call;
}

static ApiError noModel() {
  return {404, "the model does not exist; /v1/models lists those there are.", "model",
          "model_not_found"};
}

void Service::chat(Context &context) {
  const Answer::Clock::time_point start = Answer::Clock::now();
  Fields fields(context.body);
  GenerationFields generation;
  std::string name;
  const bool known = checkModel(fields, name);
  readGenerationFields(fields, model_, generation);
  const bool wants = fields.boolean("logprobs").value_or(false);
  std::optional<int64_t> top = fields.integer("top_logprobs", 0, 20);
  if (top.value_or(0) != 0 && !wants)
    fields.fail("top_logprobs", "expected \"logprobs\": true beside it.");
  if (wants)
    generation.request.topLogprobs = static_cast<uint32_t>(top.value_or(0));
  if (fields.error())
    return context.exchange->respond(errorResponse(*fields.error()));
  if (!known)
    return context.exchange->respond(errorResponse(noModel()));
  const Json *messages = fields.any("messages");
  std::optional<ApiError> error =
      model_.encodeChat(messages ? *messages : Json(), generation.request.prompt);
  if (error)
    return context.exchange->respond(errorResponse(*error));
  Answer::Call call = callOf(context, generation, name);
  call.start = start;
  makeChatAnswer(answerHost_, std::move(call), context.exchange)
      ->submit({std::move(generation.request)});
}

void Service::complete(Context &context) {
  const Answer::Clock::time_point start = Answer::Clock::now();
  Fields fields(context.body);
  GenerationFields generation;
  std::string name;
  const bool known = checkModel(fields, name);
  readGenerationFields(fields, model_, generation);
  if (generation.request.maxNewTokens == 0)
    generation.request.maxNewTokens =
        std::max<uint64_t>(completionTokens, generation.request.minNewTokens);
  if (auto top = fields.integer("logprobs", 0, 20))
    generation.request.topLogprobs = static_cast<uint32_t>(*top);
  const bool echo = fields.boolean("echo").value_or(false);
  if (echo && generation.request.topLogprobs)
    fields.fail("echo", "is not supported together with logprobs.");
  if (auto suffix = fields.string("suffix"); suffix && !suffix->empty())
    fields.fail("suffix", "is not supported.");
  fields.integer("best_of", 1, generation.request.choices);
  std::vector<std::vector<int32_t>> prompts;
  if (!fields.error() && !readPrompts(fields.any("prompt"), model_, prompts))
    fields.fail("prompt", "expected a string, a list of token ids, or a list of at most " +
                              std::to_string(mostPrompts) + " of either.");
  if (fields.error())
    return context.exchange->respond(errorResponse(*fields.error()));
  if (!known)
    return context.exchange->respond(errorResponse(noModel()));
  std::vector<ScheduledRequest> requests;
  std::vector<std::string> echoes;
  for (std::vector<int32_t> &prompt : prompts) {
    if (echo)
      echoes.insert(echoes.end(), generation.request.choices,
                    text::replaceInvalidUtf8(model_.tokenizer().decode(prompt, true), false));
    requests.push_back(generation.request);
    requests.back().prompt = std::move(prompt);
  }
  Answer::Call call = callOf(context, generation, name);
  call.start = start;
  makeCompletionAnswer(answerHost_, std::move(call), context.exchange, std::move(echoes))
      ->submit(std::move(requests));
}

Json Service::modelJson(const std::string &name) const {
  return {{"id", name},
          {"object", "model"},
          {"created", model_.created()},
          {"owned_by", "llama4"},
          {"max_model_len", scheduler_->maxLength()}};
}

void Service::listModels(Context &context) {
  Json all = Json::array();
  for (const std::string &name : model_.names())
    all.push_back(modelJson(name));
  context.exchange->respond(jsonResponse({{"object", "list"}, {"data", std::move(all)}}));
}

void Service::showModel(Context &context) {
  const std::string name = unescaped(
      std::string_view(context.request.path).substr(std::string_view("/v1/models/").size()));
  context.exchange->respond(model_.answersTo(name) ? jsonResponse(modelJson(name))
                                                   : errorResponse(noModel()));
}

void Service::tokenize(Context &context) {
  Fields fields(context.body);
  std::vector<int32_t> ids;
  std::optional<ApiError> error;
  if (const Json *messages = fields.any("messages")) {
    error = model_.encodeChat(*messages, ids);
  } else {
    std::optional<std::string> text = fields.string("prompt");
    if (!text)
      text = fields.string("content");
    if (!text)
      fields.fail("prompt", "expected a string, or \"messages\".");
    text::EncodeOptions options;
    options.parseSpecial = fields.boolean("parse_special").value_or(true);
    options.addBos =
        fields.boolean("add_special_tokens").value_or(model_.tokenizer().addsBosByDefault());
    if (!fields.error())
      ids = model_.tokenizer().encode(*text, options);
  }
  if (!error)
    error = fields.error();
  if (error)
    return context.exchange->respond(errorResponse(*error));
  const size_t count = ids.size();
  context.exchange->respond(jsonResponse(
      {{"count", count}, {"max_model_len", scheduler_->maxLength()}, {"tokens", std::move(ids)}}));
}

void Service::detokenize(Context &context) {
  Fields fields(context.body);
  std::vector<int32_t> ids;
  const Json *tokens = fields.any("tokens");
  if (!tokens || !readIds(*tokens, model_.program().desc().model.vocabSize, ids))
    return context.exchange->respond(
        errorResponse({400, "tokens: expected a list of token ids.", "tokens", {}}));
  const std::string text = text::replaceInvalidUtf8(model_.tokenizer().decode(ids), false);
  context.exchange->respond(jsonResponse({{"prompt", text}, {"content", text}}));
}

} // namespace llama4::serve
