//===- ChatMessages.h - the conversation of a request ------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_CHATMESSAGES_H
#define LLAMA4_RUNTIME_SERVE_CHATMESSAGES_H

#include "runtime/serve/Json.h"

namespace llama4::serve {

inline constexpr size_t mostImages = 16; ///< of a request

/// Where a picture is to be had, as the client wrote it: a data: URL, another URL or a path.
/// Nothing has been fetched or opened.
struct ImageReference {
  std::string reference;
  std::string param; ///< where it stands in the request, for errors
};

/// A conversation, checked, in the form that templates take. The content of a message is its text,
/// or, where there are pictures in it, a list of {"type": "text", "text"} and {"type": "image"}.
struct ChatMessages {
  Json messages = Json::array();
  std::string begun;                  ///< what the answer begins with: an assistant's last message
  std::vector<ImageReference> images; ///< in the order of their parts
};

/// Reads "messages". Roles: system, developer (is system), user, assistant, tool, function.
/// Pictures: {"type": "image_url", "image_url": {"url"} or a string}, {"type": "input_image"} with
/// the same, {"type": "image"} with "image", "url" or "image_url". Refused: everything else, with
/// the place in the request.
std::optional<ApiError> readChatMessages(const Json &messages, ChatMessages &out);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_CHATMESSAGES_H
