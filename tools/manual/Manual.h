//===- Manual.h - what a program takes, as data ------------------*- C++ -*-===//
//
// A program fills this description from the option parser that reads its command line, so that
// help, completion and manual pages cannot tell different things. Two writers: completion for
// shells, and pages for man.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TOOLS_MANUAL_MANUAL_H
#define LLAMA4_TOOLS_MANUAL_MANUAL_H

#include "runtime/base/Status.h"

#include <string>
#include <utility>
#include <vector>

namespace llama4::manual {

/// What may follow an option, for completion.
enum class Value { None, Number, Text, File, Choice };

struct Option {
  std::vector<std::string> names; ///< with their dashes; none for an argument without a name
  std::string argument;           ///< name of an argument that needs no option before it
  std::string valueName;          ///< "N", "FILE"; empty without a value
  Value value = Value::None;
  std::vector<std::string> choices;
  std::string help;
  std::string group;
  std::string environment; ///< variable that sets it; may be empty
  bool isRequired = false;
};

struct Command {
  std::string name, summary;
  std::vector<Option> options;
};

struct Program {
  std::string name, summary;
  std::vector<Option> options;    ///< of the program, whatever the command
  std::vector<Command> commands;  ///< none for a program without commands
  std::vector<std::string> notes; ///< paragraphs of the description
};

/// The shells there is completion for: bash, zsh, fish.
inline constexpr const char *shells[] = {"bash", "zsh", "fish"};

/// A script that the shell reads. Errors: Usage, another shell.
Result<std::string> completion(const Program &program, const std::string &shell);

/// A page for man: of the program, or of one of its commands. Errors: Usage, no such command.
Result<std::string> manPage(const Program &program, const std::string &command = "");

/// The exit codes of all programs, with what they mean.
const std::vector<std::pair<int, std::string>> &exitCodes();

} // namespace llama4::manual

#endif // LLAMA4_TOOLS_MANUAL_MANUAL_H
