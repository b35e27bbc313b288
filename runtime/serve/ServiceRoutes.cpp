//===- ServiceRoutes.cpp - completions, models and tokens -----------------===//

#include "runtime/serve/Service.h"

#include "runtime/text/Utf8.h"

namespace llama4::serve {

namespace {

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

ApiError noModel() {
  return {404, "the model does not exist; /v1/models lists those there are.", "model",
          "model_not_found"};
}

} // namespace

/// Reads the body; false where it was wrong and the client was told.
template <typename Request> bool Service::read(Context &context, Request &request) const {
  Fields fields(context.body);
  request.read(fields, model_);
  if (!options_.streams && fields.boolean("stream").value_or(false))
    fields.fail("stream", "expected false: there is nobody to stream to.");
  if (options_.strictFields)
    fields.refuseUnknown();
  if (fields.error())
    context.exchange->respond(errorResponse(*fields.error()));
  return !fields.error();
}

/// False where the name is not the model's and the client was told.
bool Service::isKnownModel(Context &context, const std::string &name) const {
  const bool known = model_.answersTo(name);
  if (!known)
    context.exchange->respond(errorResponse(noModel()));
  return known;
}

Answer::Call Service::callOf(const Context &context, const GenerationFields &fields,
                             std::string model) const {
  Answer::Call call;
  call.requestId = context.requestId;
  call.model = std::move(model);
  call.stream = fields.stream;
  call.includeUsage = fields.includeUsage;
  call.numbers = context.numbers;
  call.start = context.start;
  return call;
}

/// Who asks: requests are let in by turns of keys, and only those of one key share cached text.
void Service::setOwner(const Context &context, ScheduledRequest &request) const {
  request.key = context.key;
  request.cacheSalt = context.salt;
}

void Service::chat(Context &context) {
  ChatRequest chat;
  if (!read(context, chat) || !isKnownModel(context, chat.model))
    return;
  ChatPrompt prompt;
  if (auto error = model_.encodeChat(chat.messages ? *chat.messages : Json(), prompt))
    return context.exchange->respond(errorResponse(*error));
  ScheduledRequest &request = chat.generation.request;
  request.prompt = std::move(prompt.ids);
  request.images = std::move(prompt.images);
  setOwner(context, request);
  makeChatAnswer(answerHost_, callOf(context, chat.generation, chat.model), context.exchange)
      ->submit({std::move(request)});
}

void Service::complete(Context &context) {
  CompletionRequest completion;
  if (!read(context, completion) || !isKnownModel(context, completion.model))
    return;
  ScheduledRequest &pattern = completion.generation.request;
  setOwner(context, pattern);
  std::vector<ScheduledRequest> requests;
  std::vector<Echo> echoes;
  for (std::vector<int32_t> &prompt : completion.prompts) {
    if (completion.echo)
      echoes.push_back({text::replaceInvalidUtf8(model_.tokenizer().decode(prompt, true), false),
                        pattern.promptLogprobs ? prompt : std::vector<int32_t>()});
    requests.push_back(pattern);
    requests.back().prompt = std::move(prompt);
  }
  Answer::Call call = callOf(context, completion.generation, completion.model);
  call.scoresOnly = completion.scoresOnly;
  makeCompletionAnswer(answerHost_, std::move(call), context.exchange, std::move(echoes),
                       pattern.choices)
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
  TokenizeRequest request;
  if (!read(context, request))
    return;
  ChatPrompt prompt;
  if (request.messages) {
    if (auto error = model_.encodeChat(*request.messages, prompt))
      return context.exchange->respond(errorResponse(*error));
  } else {
    prompt.ids = model_.tokenizer().encode(
        request.text, {.parseSpecial = request.parseSpecial, .addBos = request.addSpecial});
  }
  const size_t count = prompt.ids.size();
  context.exchange->respond(jsonResponse({{"count", count},
                                          {"max_model_len", scheduler_->maxLength()},
                                          {"tokens", std::move(prompt.ids)}}));
}

void Service::detokenize(Context &context) {
  DetokenizeRequest request;
  if (!read(context, request))
    return;
  const std::string text = text::replaceInvalidUtf8(model_.tokenizer().decode(request.ids), false);
  context.exchange->respond(jsonResponse({{"prompt", text}, {"content", text}}));
}

void Service::describe(Context &context) { context.exchange->respond(jsonResponse(openApi())); }

} // namespace llama4::serve
