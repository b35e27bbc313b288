//===- Completion.cpp - what bash completes -------------------------------===//

#include "tools/manual/Manual.h"
#include "tools/manual/Text.h"

namespace llama4::manual {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

std::string shellQuoted(const std::string &text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

std::string identifier(const std::string &name) {
  return replaced(replaced(name, "-", "_"), ".", "_");
}

namespace {

/// What follows an option: choices, files, or something that only its user knows.
std::string bashValueCase(const Option &option) {
  const std::string pattern = joined(option.names, "|");
  switch (option.value) {
  case Value::None:
    return "";
  case Value::Choice:
    return "  " + pattern + ") words=" + shellQuoted(joined(option.choices, " ")) + " ;;\n";
  case Value::File:
    return "  " + pattern + ") files=1 ;;\n";
  case Value::Number:
  case Value::Text:
    return "  " + pattern + ") return 0 ;;\n";
  }
  return "";
}

/// A function that sets `words` and `files` for what comes after `prev`.
std::string bashFunction(const std::string &name, const std::vector<Option> &options,
                         const std::vector<Command> &commands) {
  std::string cases, names, text = name + "() {\n";
  bool files = false;
  for (const Option &option : options) {
    cases += option.names.empty() ? "" : bashValueCase(option);
    for (const std::string &one : option.names)
      names += (names.empty() ? "" : " ") + one;
    files |= !option.argument.empty() && option.value == Value::File;
  }
  std::string words;
  for (const Command &command : commands)
    words += (words.empty() ? "" : " ") + command.name;
  text += "  case $prev in\n" + cases +
          "  *)\n    if [[ $cur == -* ]]; then words=" + shellQuoted(names) +
          "\n    else words=" + shellQuoted(words) + (files ? "; files=1" : "") +
          "; fi ;;\n  esac\n  return 0\n}\n";
  return text;
}

} // namespace

std::string bashCompletion(const Program &program) {
  const std::string function = "_" + identifier(program.name);
  std::string text = "# Completion of " + program.name + " for bash.\n";
  text += bashFunction(function + "__", program.options, program.commands);
  std::string commands, dispatch;
  for (const Command &command : program.commands) {
    const std::string own = function + "__" + identifier(command.name);
    std::vector<Option> options = command.options;
    for (const Option &option : program.options)
      if (!option.names.empty())
        options.push_back(option);
    text += bashFunction(own, options, {});
    commands += (commands.empty() ? "" : "|") + command.name;
    dispatch += "  " + command.name + ") " + own + " ;;\n";
  }
  text += function + "() {\n"
                     "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
                     "  local command='' words='' files='' i\n"
                     "  COMPREPLY=()\n";
  if (!commands.empty())
    text += "  for ((i = 1; i < COMP_CWORD; i++)); do\n    case ${COMP_WORDS[i]} in\n    " +
            commands + ") command=${COMP_WORDS[i]}; break ;;\n    esac\n  done\n";
  text += "  case $command in\n" + dispatch + "  *) " + function + "__ ;;\n  esac\n";
  text += "  [[ -n $words ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "  if [[ -n $files ]]; then\n"
          "    compopt -o filenames 2>/dev/null\n"
          "    mapfile -t -O \"${#COMPREPLY[@]}\" COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "  fi\n"
          "  return 0\n"
          "}\n"
          "complete -F " +
          function + " " + program.name + "\n";
  return text;
}

Result<std::string> completion(const Program &program, const std::string &shell) {
  if (shell == "bash")
    return bashCompletion(program);
  if (shell == "zsh")
    return zshCompletion(program);
  if (shell == "fish")
    return fishCompletion(program);
  return Status::error(StatusKind::Usage,
                       "completion: found '" + shell + "', expected one of bash, zsh, fish.");
}

} // namespace llama4::manual
