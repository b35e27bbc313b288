//===- Prompt.h - from text or messages to token ids -------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_PROMPT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_PROMPT_H

#include "runtime/program/Program.h"
#include "runtime/text/Tokenizer.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace llama4::run {

/// The tokenizer of a program. Errors: InvalidInput (it has none).
Result<text::Tokenizer> openTokenizer(const Program &program);

/// Every id that ends an answer of this model.
std::vector<int32_t> allStopIds(const Program &program,
                                const std::optional<text::Tokenizer> &tokenizer);

/// A chat: a list of messages, or an object with "messages" and perhaps "tools" and further
/// variables of the template. Errors: InvalidInput, naming the file.
Result<nlohmann::ordered_json> readMessages(const std::string &path);

/// One user message.
nlohmann::ordered_json userMessage(const std::string &text);

/// The ids of a chat by the model's own template, up to where the assistant begins. Errors:
/// InvalidInput (the program has no template; what the template refuses).
Result<std::vector<int32_t>> encodeChat(const Program &program, const text::Tokenizer &tokenizer,
                                        const nlohmann::ordered_json &chat);

/// "1,2,3" as ids. Errors: Usage.
Result<std::vector<int32_t>> parseIds(const std::string &text);

/// Ids separated by spaces, and a newline.
std::string printIds(const std::vector<int32_t> &ids);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_PROMPT_H
