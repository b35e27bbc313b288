//===- Conversation.h - the turns of a chat ----------------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_CONVERSATION_H
#define LLAMA4_TOOLS_LLAMA4_RUN_CONVERSATION_H

#include "tools/llama4-run/ImageInput.h"
#include "tools/llama4-run/Prompt.h"

#include <string>
#include <vector>

namespace llama4::run {

/// What was said so far, and the pictures in it.
class Conversation {
public:
  /// `program` and `tokenizer` must outlive it.
  Conversation(const Program &program, const text::Tokenizer &tokenizer)
      : program_(program), tokenizer_(tokenizer) {}

  /// The system message; an empty one is none. It stands first, also in a chat that goes on.
  void setSystem(std::string text) { system_ = std::move(text); }
  /// Forgets every turn and picture, not the system message.
  void reset();

  /// A picture of the next turn. Errors: those of loadImages.
  Status addImage(const std::string &source, const std::string &alpha);
  /// Pictures of the turn that comes next.
  size_t waitingImages() const { return waiting_.size(); }

  /// A turn of the user; the pictures that wait are part of it. Errors: InvalidInput, marks for
  /// other numbers of pictures; nothing is added then.
  Status ask(const std::string &text);
  void answer(const std::string &text);
  /// Takes the last question back, with its pictures. They wait for the next turn again.
  void takeBack();

  /// All turns as the model's template writes them, up to where the assistant begins. Errors: those
  /// of encodeChat and ImagePreparer::place.
  Result<ImagePrompt> prompt() const;
  /// {"messages": [...]}, as requests of chat completions have them.
  nlohmann::ordered_json json() const;

private:
  nlohmann::ordered_json messages() const;

  const Program &program_;
  const text::Tokenizer &tokenizer_;
  std::string system_;
  nlohmann::ordered_json turns_ = nlohmann::ordered_json::array();
  std::vector<PreparedImage> images_, waiting_;
  size_t lastImages_ = 0; ///< of the last question
};

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_CONVERSATION_H
