//===- ChatMessages.cpp - the conversation of a request -------------------===//

#include "runtime/serve/ChatMessages.h"

#include "runtime/text/ChatTemplate.h"

#include <algorithm>

namespace llama4::serve {

namespace {

constexpr const char *roles[] = {"system", "user", "assistant", "tool", "function"};

constexpr size_t mostParts = 1024; ///< of a message

using Wrong = std::optional<ApiError>;

Wrong wrongAt(const std::string &param, const std::string &what) {
  return ApiError{400, param + ": " + what, param, {}};
}

const Json *memberOf(const Json &object, const char *name) {
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// The string at `name`, or the one at "url" of the object there.
const std::string *urlAt(const Json &part, const char *name) {
  const Json *value = memberOf(part, name);
  if (value && value->is_object())
    value = memberOf(*value, "url");
  return value ? value->get_ptr<const std::string *>() : nullptr;
}

Wrong readImage(const Json &part, const std::string &type, const std::string &at,
                ChatMessages &out) {
  const std::string *reference = urlAt(part, "image_url");
  if (type == "image" && !reference)
    reference = urlAt(part, "image");
  if (type == "image" && !reference)
    reference = urlAt(part, "url");
  if (!reference || reference->empty())
    return wrongAt(at, type == "image" ? "expected an \"image\" or \"url\" beside the type."
                                       : "expected an \"image_url\" with a \"url\".");
  if (out.images.size() == mostImages)
    return wrongAt(at, "expected at most " + std::to_string(mostImages) + " images.");
  out.images.push_back({*reference, at});
  return std::nullopt;
}

/// A list of parts; where all are texts, they are put on lines of their own.
Wrong readParts(const Json &parts, const std::string &param, ChatMessages &out, Json &content) {
  if (parts.size() > mostParts)
    return wrongAt(param, "expected at most " + std::to_string(mostParts) + " parts.");
  std::string joined;
  Json list = Json::array();
  const size_t imagesBefore = out.images.size();
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string at = param + "[" + std::to_string(i) + "]";
    const Json &part = parts[i];
    const Json *type = part.is_object() ? memberOf(part, "type") : nullptr;
    if (!type || !type->is_string())
      return wrongAt(at, "expected an object with a \"type\".");
    const auto &name = type->get_ref<const std::string &>();
    if (name == "image_url" || name == "image" || name == "input_image") {
      if (Wrong wrong = readImage(part, name, at, out))
        return wrong;
      list.push_back({{"type", "image"}});
      continue;
    }
    const Json *text = memberOf(part, "text");
    if (name != "text" || !text || !text->is_string())
      return wrongAt(at, "expected {\"type\": \"text\", \"text\": ...} or an image; other parts "
                         "are not taken.");
    joined += (i == 0 ? "" : "\n") + text->get_ref<const std::string &>();
    list.push_back({{"type", "text"}, {"text", *text}});
  }
  content = out.images.size() == imagesBefore ? Json(std::move(joined)) : std::move(list);
  return std::nullopt;
}

Wrong readMessage(const Json &message, const std::string &at, ChatMessages &out) {
  if (!message.is_object())
    return wrongAt(at, "expected an object.");
  const Json *role = memberOf(message, "role");
  if (!role || !role->is_string())
    return wrongAt(at + ".role", "expected a string.");
  auto name = role->get<std::string>();
  if (name == "developer")
    name = "system";
  if (std::find(std::begin(roles), std::end(roles), name) == std::end(roles))
    return wrongAt(at + ".role", "expected system, developer, user, assistant or tool.");
  const Json *content = memberOf(message, "content");
  Json text = "";
  if (content && content->is_string())
    text = *content;
  else if (content && content->is_array()) {
    if (Wrong wrong = readParts(*content, at + ".content", out, text))
      return wrong;
  } else if (content || name != "assistant") {
    return wrongAt(at + ".content", "expected a string or a list of parts.");
  }
  Json read = message;
  read["role"] = name;
  read["content"] = std::move(text);
  out.messages.push_back(std::move(read));
  return std::nullopt;
}

} // namespace

std::optional<ApiError> readChatMessages(const Json &messages, ChatMessages &out) {
  if (!messages.is_array() || messages.empty() || messages.size() > text::kMaxChatMessages)
    return wrongAt("messages", "expected a list of 1 to " + std::to_string(text::kMaxChatMessages) +
                                   " messages.");
  for (size_t i = 0; i < messages.size(); ++i)
    if (Wrong wrong = readMessage(messages[i], "messages[" + std::to_string(i) + "]", out))
      return wrong;
  // An assistant's last message is the beginning of the answer.
  Json &last = out.messages.back();
  if (out.messages.size() > 1 && last["role"] == "assistant" && last["content"].is_string()) {
    out.begun = last["content"].get<std::string>();
    out.messages.erase(out.messages.size() - 1);
  }
  return std::nullopt;
}

} // namespace llama4::serve
