//===- ManualCommand.cpp - llama4-run completion and man ------------------===//
//
// The description is read from the option parser itself.
//
//===----------------------------------------------------------------------===//

#include "tools/llama4-run/Common.h"
#include "tools/llama4-run/Config.h"
#include "tools/manual/Manual.h"

namespace llama4::run {

namespace {

/// The words of "TEXT:{json,text}".
std::vector<std::string> choicesOf(const std::string &type) {
  const size_t begin = type.find(":{"), end = type.find('}');
  return begin == std::string::npos || end == std::string::npos
             ? std::vector<std::string>()
             : CLI::detail::split(type.substr(begin + 2, end - begin - 2), ',');
}

manual::Value valueOf(const CLI::Option &option, const manual::Option &described) {
  if (option.get_items_expected_max() == 0)
    return manual::Value::None;
  if (!described.choices.empty())
    return manual::Value::Choice;
  if (described.valueName != "TEXT" && described.valueName != "FILE")
    return manual::Value::Number;
  if (option.get_positional() || described.valueName == "FILE")
    return manual::Value::File;
  for (const char *part : {"file", "path", "--in", "--out", "--image", "--messages", "--unix"})
    for (const std::string &name : described.names)
      if (name.find(part) != std::string::npos)
        return manual::Value::File;
  return manual::Value::Text;
}

manual::Option describe(const CLI::App &command, const CLI::Option &option) {
  manual::Option out;
  for (const std::string &name : option.get_snames())
    out.names.push_back("-" + name);
  for (const std::string &name : option.get_lnames())
    out.names.push_back("--" + name);
  if (option.get_positional())
    out.argument = option.get_name(true);
  const std::string type = option.get_type_name();
  out.choices = choicesOf(type);
  if (option.get_items_expected_max() > 0)
    out.valueName = type.substr(0, type.find_first_of(": "));
  out.value = valueOf(option, out);
  if (!out.choices.empty() && out.valueName.empty())
    out.valueName = "TEXT";
  out.help = option.get_description();
  out.group = option.get_group();
  out.environment = command.get_parent() ? environmentName(command, option) : option.get_envname();
  out.isRequired = option.get_required();
  return out;
}

void describeOptions(const CLI::App &command, std::vector<manual::Option> &options) {
  for (const CLI::Option *option : command.get_options())
    if (!option->get_group().empty()) // else it is hidden
      options.push_back(describe(command, *option));
}

manual::Program describeProgram(const CLI::App &app) {
  manual::Program program = {app.get_name(), "run models compiled by llama4-compile", {}, {}, {}};
  program.notes = {
      "Results go to stdout, everything else to stderr.",
      "Every option with a long name can be set by an environment variable, LLAMA4_ARG_ and its "
      "name in capitals, and by a line of the file of --config: option = value, in sections named "
      "after the commands. The command line has the last word, then the environment, then the "
      "file."};
  describeOptions(app, program.options);
  for (const CLI::App *command : app.get_subcommands(nullptr)) {
    program.commands.push_back({command->get_name(), command->get_description(), {}});
    describeOptions(*command, program.commands.back().options);
  }
  return program;
}

Status print(const Result<std::string> &text) {
  if (text.ok())
    std::fputs(text->c_str(), stdout);
  return text.status();
}

} // namespace

void addManual(CLI::App &app, Action &action) {
  auto word = std::make_shared<std::string>();
  CLI::App *completion = app.add_subcommand("completion", "print what a shell completes");
  completion->add_option("SHELL", *word, "the shell that reads it")
      ->required()
      ->check(CLI::IsMember(
          std::vector<std::string>(std::begin(manual::shells), std::end(manual::shells))));
  completion->callback([word, &app, &action] {
    action = [word, &app] { return print(manual::completion(describeProgram(app), *word)); };
  });
  CLI::App *man = app.add_subcommand("man", "print a manual page, for man -l -");
  std::vector<std::string> names;
  for (const CLI::App *command : app.get_subcommands(nullptr))
    names.push_back(command->get_name());
  man->add_option("COMMAND", *word, "a subcommand (default: the page of the program)")
      ->check(CLI::IsMember(names));
  man->callback([word, &app, &action] {
    action = [word, &app] { return print(manual::manPage(describeProgram(app), *word)); };
  });
}

} // namespace llama4::run
