//===- ChatTemplate.cpp - messages to the text of a prompt ------*- C++ -*-===//

#include "runtime/text/ChatTemplate.h"

#include "runtime/text/TemplateInterpreter.h"

namespace llama4::text {

Result<ChatTemplate> ChatTemplate::fromSection(std::span<const std::byte> section) {
  LLAMA4_ASSIGN_OR_RETURN(TemplateView view, TemplateView::open(section));
  return ChatTemplate(view);
}

static std::vector<TextSegment> toSegments(const Marked &text) {
  std::vector<TextSegment> segments;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && text.isContent(end) == text.isContent(at))
      ++end;
    segments.push_back({text.bytes().substr(at, end - at), text.isContent(at)});
    at = end;
  }
  return segments;
}

static Status checkCounts(const ChatInput &input) {
  if (input.messages.size() > kMaxChatMessages)
    return Status::invalidInput("found " + std::to_string(input.messages.size()) +
                                " messages, expected at most " + std::to_string(kMaxChatMessages));
  if (input.tools.size() > kMaxChatTools)
    return Status::invalidInput("found " + std::to_string(input.tools.size()) +
                                " tools, expected at most " + std::to_string(kMaxChatTools));
  return Status();
}

Result<std::vector<TextSegment>> ChatTemplate::render(const ChatInput &input) const {
  TemplateBudget budget;
  TemplateInterpreter interpreter(view_, budget, input.now.value_or(std::time(nullptr)));
  if (!input.messages.is_array() || !(input.extra.is_object() || input.extra.is_null()))
    return Status::invalidInput("messages must be a list, and extra variables an object");
  LLAMA4_RETURN_IF_ERROR(checkCounts(input));
  // What the Hugging Face library always defines.
  interpreter.define("tools", NoneValue{});
  interpreter.define("documents", NoneValue{});
  for (TemplateFunction function :
       {TemplateFunction::RaiseException, TemplateFunction::StrftimeNow,
        TemplateFunction::Namespace, TemplateFunction::Range, TemplateFunction::Dict}) {
    static constexpr std::string_view kNames[] = {"raise_exception", "strftime_now", "namespace",
                                                  "range", "dict"};
    interpreter.define(kNames[static_cast<size_t>(function)], FunctionRef{function});
  }
  if (input.extra.is_object())
    for (auto it = input.extra.begin(); it != input.extra.end(); ++it)
      interpreter.define(it.key(), fromJson(it.value(), budget));
  if (!input.bosToken.empty())
    interpreter.define("bos_token", makeString(input.bosToken, /*content=*/false));
  if (!input.eosToken.empty())
    interpreter.define("eos_token", makeString(input.eosToken, /*content=*/false));
  if (!input.tools.is_null())
    interpreter.define("tools", fromJson(input.tools, budget));
  interpreter.define("messages", fromJson(input.messages, budget));
  interpreter.define("add_generation_prompt", input.addGenerationPrompt);
  Marked text = interpreter.run();
  if (budget.failed())
    return budget.status();
  return toSegments(text);
}

std::string joinSegments(std::span<const TextSegment> segments) {
  std::string text;
  for (const TextSegment &segment : segments)
    text += segment.text;
  return text;
}

} // namespace llama4::text
