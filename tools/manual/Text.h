//===- Text.h - pieces that the writers share --------------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_MANUAL_TEXT_H
#define LLAMA4_TOOLS_MANUAL_TEXT_H

#include "tools/manual/Manual.h"

#include <string_view>

namespace llama4::manual {

std::string bashCompletion(const Program &program);
std::string zshCompletion(const Program &program);
std::string fishCompletion(const Program &program);

/// "a b c"
template <typename Words> std::string joined(const Words &words, std::string_view between) {
  std::string text;
  for (const std::string &word : words) {
    if (!text.empty())
      text += between;
    text += word;
  }
  return text;
}

/// The text with each `what` replaced.
std::string replaced(std::string text, std::string_view what, std::string_view with);
/// A word of a shell in '...', which means the same in bash and zsh.
std::string shellQuoted(const std::string &text);
/// The name of a shell function for a program or command: letters, digits and _.
std::string identifier(const std::string &name);

} // namespace llama4::manual

#endif // LLAMA4_TOOLS_MANUAL_TEXT_H
