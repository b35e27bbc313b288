//===- CompletionFish.cpp - what fish completes ---------------------------===//

#include "tools/manual/Text.h"

namespace llama4::manual {

namespace {

/// In '...' fish knows two escapes.
std::string fishQuoted(const std::string &text) {
  return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
}

/// "-l name", "-s n" or, for -name, "-o name"
std::string nameFlag(const std::string &name) {
  if (name.starts_with("--"))
    return " -l " + name.substr(2);
  return (name.size() == 2 ? " -s " : " -o ") + name.substr(1);
}

std::string line(const std::string &program, const std::string &condition, const Option &option) {
  std::string text = "complete -c " + program;
  if (!condition.empty())
    text += " -n " + fishQuoted(condition);
  for (const std::string &name : option.names)
    text += nameFlag(name);
  if (option.value == Value::Choice)
    text += " -x -a " + fishQuoted(joined(option.choices, " "));
  else if (option.value == Value::File)
    text += " -r -F";
  else if (option.value != Value::None)
    text += " -x";
  return text + " -d " + fishQuoted(option.help) + "\n";
}

bool takesFiles(const std::vector<Option> &options) {
  for (const Option &option : options)
    if (!option.argument.empty() && option.value == Value::File)
      return true;
  return false;
}

} // namespace

std::string fishCompletion(const Program &program) {
  const std::string start = "complete -c " + program.name;
  std::string text = "# Completion of " + program.name + " for fish.\n";
  if (!program.commands.empty())
    text += start + " -f\n";
  for (const Option &option : program.options)
    if (!option.names.empty())
      text += line(program.name, "", option);
  for (const Command &command : program.commands) {
    text += start + " -n __fish_use_subcommand -a " + command.name + " -d " +
            fishQuoted(command.summary) + "\n";
    const std::string inside = "__fish_seen_subcommand_from " + command.name;
    if (takesFiles(command.options))
      text += start + " -n " + fishQuoted(inside) + " -F\n";
    for (const Option &option : command.options)
      if (!option.names.empty())
        text += line(program.name, inside, option);
      else if (option.value == Value::Choice)
        text += start + " -n " + fishQuoted(inside) + " -a " +
                fishQuoted(joined(option.choices, " ")) + "\n";
  }
  return text;
}

} // namespace llama4::manual
