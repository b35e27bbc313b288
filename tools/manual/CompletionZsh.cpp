//===- CompletionZsh.cpp - what zsh completes -----------------------------===//

#include "tools/manual/Text.h"

namespace llama4::manual {

namespace {

/// Text inside the [...] of a specification of _arguments, or after one of its colons.
std::string specText(std::string text) {
  for (const char *special : {"\\", "[", "]", ":"})
    text = replaced(std::move(text), special, std::string("\\") + special);
  return text;
}

/// ":NAME:ACTION" of a value; nothing for a flag.
std::string valueSpec(const Option &option) {
  const std::string name = specText(option.valueName.empty() ? option.argument : option.valueName);
  switch (option.value) {
  case Value::None:
    return "";
  case Value::Choice:
    return ":" + name + ":(" + joined(option.choices, " ") + ")";
  case Value::File:
    return ":" + name + ":_files";
  case Value::Number:
  case Value::Text:
    return ":" + name + ": ";
  }
  return "";
}

std::string optionSpecs(const std::vector<Option> &options) {
  std::string text;
  for (const Option &option : options)
    for (const std::string &name : option.names)
      text += "    " +
              shellQuoted("*" + name + "[" + specText(option.help) + "]" + valueSpec(option)) +
              " \\\n";
  return text;
}

/// What stands without an option before it.
std::string argumentSpecs(const std::vector<Option> &options) {
  std::string text;
  for (const Option &option : options)
    if (!option.argument.empty())
      text += "    " + shellQuoted(valueSpec(option)) + " \\\n";
  return text;
}

std::string argumentsCall(const std::string &specs) { return "  _arguments -S \\\n" + specs; }

} // namespace

std::string zshCompletion(const Program &program) {
  const std::string function = "_" + identifier(program.name);
  std::string text = "#compdef " + program.name + "\n";
  const std::string common = optionSpecs(program.options);
  std::string dispatch, described;
  for (const Command &command : program.commands) {
    const std::string own = function + "__" + identifier(command.name);
    text += own + "() {\n" +
            argumentsCall(optionSpecs(command.options) + common + argumentSpecs(command.options)) +
            "    && return 0\n}\n";
    dispatch += "    " + command.name + ") " + own + " ;;\n";
    described +=
        "    " + shellQuoted(replaced(command.name, ":", "\\:") + ":" + command.summary) + "\n";
  }
  text += function + "() {\n";
  if (program.commands.empty()) {
    text += argumentsCall(common + argumentSpecs(program.options)) + "    && return 0\n}\n";
  } else {
    text += "  local -a commands=(\n" + described + "  )\n  local state line\n" +
            argumentsCall("    -C \\\n" + common) +
            "    ':command:->command' '*::argument:->argument' && return 0\n"
            "  case $state in\n  command) _describe command commands ;;\n"
            "  argument)\n    case $line[1] in\n" +
            dispatch + "    esac ;;\n  esac\n}\n";
  }
  return text + function + " \"$@\"\n";
}

} // namespace llama4::manual
