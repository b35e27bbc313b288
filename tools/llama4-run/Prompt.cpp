//===- Prompt.cpp - from text or messages to token ids --------------------===//

#include "tools/llama4-run/Prompt.h"

#include "runtime/base/File.h"
#include "runtime/engine/Generator.h"
#include "runtime/format/Quoted.h"
#include "runtime/serve/BoundedJson.h"
#include "runtime/text/ChatTemplate.h"

#include <charconv>

namespace llama4::run {

using nlohmann::ordered_json;

Result<text::Tokenizer> openTokenizer(const Program &program) {
  if (program.tokenizer().empty())
    return Status::invalidInput(program.name() + ": found no tokenizer, expected one; give token "
                                                 "ids with --prompt-ids.");
  Result<text::Tokenizer> tokenizer = text::Tokenizer::fromSection(program.tokenizer());
  return tokenizer.ok() ? tokenizer : tokenizer.status().in(program.name());
}

std::vector<int32_t> allStopIds(const Program &program,
                                const std::optional<text::Tokenizer> &tokenizer) {
  std::vector<int32_t> ids = stopIdsOf(program.desc());
  if (tokenizer)
    for (int32_t id : tokenizer->stopIds())
      ids.push_back(id);
  return ids;
}

ordered_json userMessage(const std::string &text) {
  return ordered_json::array({{{"role", "user"}, {"content", text}}});
}

Result<ordered_json> readMessages(const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(std::string text, readTextFile(path, 32u << 20));
  ordered_json chat;
  if (std::string wrong = serve::parseBounded(text, chat); !wrong.empty())
    return Status::invalidInput(path + ": found " + wrong + ", expected a list of messages.");
  const ordered_json &messages =
      chat.is_object() && chat.contains("messages") ? chat["messages"] : chat;
  if (!messages.is_array() || messages.empty() || messages.size() > 4096)
    return Status::invalidInput(path + ": found no list of 1 to 4096 messages, expected "
                                       "[{\"role\": ..., \"content\": ...}, ...].");
  return chat;
}

Result<std::vector<int32_t>> encodeChat(const Program &program, const text::Tokenizer &tokenizer,
                                        const ordered_json &chat) {
  if (program.chatTemplate().empty())
    return Status::invalidInput(program.name() +
                                ": found no chat template, expected one; give the whole text of "
                                "the prompt with --raw.");
  Result<text::ChatTemplate> form = text::ChatTemplate::fromSection(program.chatTemplate());
  if (!form.ok())
    return form.status().in(program.name());
  text::ChatInput input;
  input.messages = chat;
  if (chat.is_object()) {
    for (const auto &[key, value] : chat.items()) {
      if (key == "messages")
        input.messages = value;
      else if (key == "tools")
        input.tools = value;
      else if (key == "add_generation_prompt" && value.is_boolean())
        input.addGenerationPrompt = value.get<bool>();
      else
        input.extra[key] = value;
    }
  }
  if (tokenizer.bosId())
    input.bosToken = tokenizer.bytesOf(*tokenizer.bosId());
  if (tokenizer.eosId())
    input.eosToken = tokenizer.bytesOf(*tokenizer.eosId());
  LLAMA4_ASSIGN_OR_RETURN(std::vector<text::TextSegment> segments, form->render(input));
  return tokenizer.encodeSegments(segments);
}

Result<std::vector<int32_t>> parseIds(const std::string &text) {
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  while (true) {
    int32_t id = 0;
    auto [rest, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0 || (rest != end && *rest != ','))
      return Status::error(StatusKind::Usage, "--prompt-ids: found " + quoteName(text) +
                                                  ", expected token ids like 1,2,3.");
    ids.push_back(id);
    if (rest == end)
      return ids;
    at = rest + 1;
  }
}

std::string printIds(const std::vector<int32_t> &ids) {
  std::string text;
  for (int32_t id : ids)
    text += (text.empty() ? "" : " ") + std::to_string(id);
  return text + "\n";
}

} // namespace llama4::run
