//===- ChatTemplate.h - messages to the text of a prompt --------*- C++ -*-===//
//
// Renders a conversation with the chat template of the model, compiled to a section by
// build/TemplateCompiler.h. The result says of every stretch of text whether the template wrote it
// or the request did; Tokenizer::encodeSegments recognises control tokens in the former only.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_CHATTEMPLATE_H
#define LLAMA4_RUNTIME_TEXT_CHATTEMPLATE_H

#include "runtime/base/Status.h"
#include "runtime/text/TemplateView.h"
#include "runtime/text/TextSegment.h"

#include <cstddef>
#include <ctime>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace llama4::text {

/// The most messages and tools a conversation may have.
inline constexpr size_t kMaxChatMessages = 4096;
inline constexpr size_t kMaxChatTools = 128;

/// What a template sees. Key order of objects matters (tojson keeps it), hence ordered_json.
struct ChatInput {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  nlohmann::ordered_json tools; ///< a list, or null: the template sees None
  bool addGenerationPrompt = true;
  std::string_view bosToken; ///< empty: undefined in the template
  std::string_view eosToken;
  nlohmann::ordered_json extra = nlohmann::ordered_json::object(); ///< further variables
  std::optional<std::time_t> now; ///< for strftime_now; absent: the clock
};

/// A compiled chat template. Copyable and thread-safe (const); the bytes must outlive it.
class ChatTemplate {
public:
  /// Opens and checks a section in place. Errors: InvalidInput.
  static Result<ChatTemplate> fromSection(std::span<const std::byte> section);

  /// Renders. Neighbouring stretches of the same provenance are one segment; there are no empty
  /// ones. Errors (InvalidInput): what the template raises, uses of undefined values, more than
  /// 1e6 steps, more than 4 MiB of output, nesting deeper than 64, more messages or tools than
  /// above.
  Result<std::vector<TextSegment>> render(const ChatInput &input) const;

private:
  explicit ChatTemplate(const TemplateView &view) : view_(view) {}

  TemplateView view_;
};

/// All segments as one text.
std::string joinSegments(std::span<const TextSegment> segments);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_CHATTEMPLATE_H
