//===- ServedModel.cpp - a program with its names and its texts -----------===//

#include "runtime/serve/ServedModel.h"

#include "runtime/engine/Generator.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace llama4::serve {

namespace {

constexpr const char *roles[] = {"system", "user", "assistant", "tool", "function"};

using Wrong = std::optional<ApiError>;

Wrong wrongAt(size_t message, const std::string &field, const std::string &what) {
  const std::string param = "messages[" + std::to_string(message) + "]" + field;
  return ApiError{400, param + ": " + what, param, {}};
}

/// The text of a message's content; parts of text are put on lines of their own.
Wrong readContent(const Json &content, size_t index, Json &text) {
  if (content.is_string()) {
    text = content;
    return std::nullopt;
  }
  if (!content.is_array())
    return wrongAt(index, ".content", "expected a string or a list of parts.");
  std::string joined;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string at = ".content[" + std::to_string(i) + "]";
    const Json &part = content[i];
    auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string())
      return wrongAt(index, at, "expected an object with a \"type\".");
    const auto name = type->get<std::string>();
    if (name == "image_url" || name == "image" || name == "input_image")
      return wrongAt(index, at, "found an image, but this model takes text only.");
    auto value = part.find("text");
    if (name != "text" || value == part.end() || !value->is_string())
      return wrongAt(index, at,
                     "expected {\"type\": \"text\", \"text\": ...}; other parts are not "
                     "taken.");
    joined += (i == 0 ? "" : "\n") + value->get<std::string>();
  }
  text = joined;
  return std::nullopt;
}

Wrong readMessage(const Json &message, size_t index, Json &out) {
  if (!message.is_object())
    return wrongAt(index, "", "expected an object.");
  auto role = message.find("role");
  if (role == message.end() || !role->is_string())
    return wrongAt(index, ".role", "expected a string.");
  auto name = role->get<std::string>();
  if (name == "developer")
    name = "system";
  if (std::find(std::begin(roles), std::end(roles), name) == std::end(roles))
    return wrongAt(index, ".role", "expected system, developer, user, assistant or tool.");
  out = message;
  out["role"] = name;
  auto content = message.find("content");
  const bool absent = content == message.end() || content->is_null();
  if (absent && name != "assistant")
    return wrongAt(index, ".content", "expected a string or a list of parts.");
  Json text = "";
  if (!absent)
    if (Wrong wrong = readContent(*content, index, text))
      return wrong;
  out["content"] = text;
  return std::nullopt;
}

} // namespace

Result<ServedModel> ServedModel::create(std::shared_ptr<const Program> program,
                                        std::vector<std::string> names) {
  ServedModel model;
  model.program_ = std::move(program);
  const Program &file = *model.program_;
  if (file.tokenizer().empty())
    return Status::invalidInput(file.name() +
                                ": found no tokenizer, expected one; compile the checkpoint with "
                                "its tokenizer files.");
  LLAMA4_ASSIGN_OR_RETURN(model.tokenizer_, text::Tokenizer::fromSection(file.tokenizer()));
  if (!file.chatTemplate().empty()) {
    LLAMA4_ASSIGN_OR_RETURN(model.template_, text::ChatTemplate::fromSection(file.chatTemplate()));
  }
  model.anyName_ = std::erase(names, "*") != 0;
  if (names.empty())
    names.push_back(std::filesystem::path(file.name()).stem().string());
  model.names_ = std::move(names);
  model.created_ = static_cast<int64_t>(std::time(nullptr));
  return model;
}

bool ServedModel::answersTo(const std::string &name) const {
  return anyName_ || name == "default" ||
         std::find(names_.begin(), names_.end(), name) != names_.end();
}

std::vector<int32_t> ServedModel::stopIds() const {
  std::vector<int32_t> ids = stopIdsOf(program_->desc());
  for (int32_t id : tokenizer_->stopIds())
    ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::optional<ApiError> ServedModel::encodeChat(const Json &messages,
                                                std::vector<int32_t> &ids) const {
  if (!messages.is_array() || messages.empty() || messages.size() > text::kMaxChatMessages)
    return ApiError{400,
                    "messages: expected a list of 1 to " + std::to_string(text::kMaxChatMessages) +
                        " messages.",
                    "messages",
                    {}};
  if (!template_)
    return ApiError{400, "the model has no chat template; use /v1/completions.", "messages", {}};
  text::ChatInput input;
  for (size_t i = 0; i < messages.size(); ++i) {
    Json message;
    if (Wrong wrong = readMessage(messages[i], i, message))
      return wrong;
    input.messages.push_back(std::move(message));
  }
  // An assistant's last message is the beginning of the answer.
  std::string begun;
  if (input.messages.size() > 1 && input.messages.back()["role"] == "assistant") {
    begun = input.messages.back()["content"].get<std::string>();
    input.messages.erase(input.messages.size() - 1);
  }
  if (std::optional<int32_t> bos = tokenizer_->bosId())
    input.bosToken = tokenizer_->bytesOf(*bos);
  if (std::optional<int32_t> eos = tokenizer_->eosId())
    input.eosToken = tokenizer_->bytesOf(*eos);
  Result<std::vector<text::TextSegment>> segments = template_->render(input);
  if (!segments.ok())
    return ApiError{400, "messages: " + segments.status().message(), "messages", {}};
  if (!begun.empty())
    segments->push_back({begun, true});
  ids = tokenizer_->encodeSegments(*segments);
  return std::nullopt;
}

std::vector<int32_t> ServedModel::encodePrompt(const std::string &text) const {
  std::vector<int32_t> ids = tokenizer_->encode(text, {.parseSpecial = true, .addBos = false});
  std::optional<int32_t> bos = tokenizer_->bosId();
  if (!tokenizer_->addsBosByDefault() || (bos && !ids.empty() && ids[0] == *bos))
    return ids;
  return tokenizer_->encode(text, {.parseSpecial = true, .addBos = true});
}

} // namespace llama4::serve
