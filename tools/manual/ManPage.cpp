//===- ManPage.cpp - pages for man ----------------------------------------===//

#include "tools/manual/Manual.h"
#include "tools/manual/Text.h"
#include "tools/manual/Version.h"

#include <algorithm>

namespace llama4::manual {

namespace {

/// Text for roff: no escape, no request, and a - that can be copied.
std::string roff(const std::string &text) {
  std::string out = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (!out.empty() && (out[0] == '.' || out[0] == '\''))
    out.insert(0, "\\&");
  return replaced(replaced(std::move(out), "\n.", "\n\\&."), "\n'", "\n\\&'");
}

std::string section(const std::string &name) { return ".SH " + name + "\n"; }

/// "-n, --max-new-tokens N", names bold and values slanted.
std::string heading(const Option &option) {
  std::string text;
  for (const std::string &name : option.names)
    text += (text.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  if (option.names.empty())
    return "\\fI" + roff(option.argument) + "\\fR";
  if (!option.valueName.empty())
    text += " \\fI" + roff(option.valueName) + "\\fR";
  if (!option.argument.empty())
    text = "\\fI" + roff(option.argument) + "\\fR, " + text;
  return text;
}

std::string described(const Option &option) {
  std::string text = ".TP\n" + heading(option) + "\n" + roff(option.help) + "\n";
  if (!option.choices.empty())
    text += ".br\nOne of: " + roff(joined(option.choices, ", ")) + ".\n";
  if (option.isRequired)
    text += ".br\nRequired.\n";
  if (!option.environment.empty())
    text += ".br\nEnvironment: \\fB" + roff(option.environment) + "\\fR\n";
  return text;
}

/// The options by group, groups in the order in which they first appear.
std::string optionSections(const std::vector<Option> &options) {
  std::vector<std::string> groups;
  for (const Option &option : options)
    if (std::find(groups.begin(), groups.end(), option.group) == groups.end())
      groups.push_back(option.group);
  std::string text = section("OPTIONS");
  for (const std::string &group : groups) {
    if (groups.size() > 1)
      text += ".SS " + roff(group) + "\n";
    for (const Option &option : options)
      if (option.group == group)
        text += described(option);
  }
  return text;
}

/// What must be given, and that there is more.
std::string synopsis(const std::string &name, const std::vector<Option> &options) {
  std::string text = section("SYNOPSIS") + "\\fB" + roff(name) + "\\fR";
  for (const Option &option : options)
    if (!option.argument.empty())
      text += " \\fI" + roff(option.argument) + "\\fR";
    else if (option.isRequired)
      text += " \\fB" + roff(option.names.front()) + "\\fR \\fI" + roff(option.valueName) + "\\fR";
  return text + " [options]\n";
}

std::string exitStatus() {
  std::string text = section("EXIT STATUS");
  for (const auto &[code, meaning] : exitCodes())
    text += ".TP\n\\fB" + std::to_string(code) + "\\fR\n" + roff(meaning) + "\n";
  return text;
}

std::string page(const std::string &title, const std::string &name, const std::string &summary,
                 const std::string &body) {
  return ".TH \"" + roff(title) + "\" 1 \"\" \"llama4 " + std::string(projectVersion()) + "\"\n" +
         ".nh\n.ad l\n" + section("NAME") + roff(name) + " \\- " + roff(summary) + "\n" + body +
         exitStatus();
}

std::string notes(const Program &program) {
  std::string text;
  for (const std::string &note : program.notes)
    text += ".PP\n" + roff(note) + "\n";
  return text.empty() ? "" : section("DESCRIPTION") + text.substr(4); // no .PP after .SH
}

std::string programPage(const Program &program) {
  std::string body = program.commands.empty() ? synopsis(program.name, program.options)
                                              : section("SYNOPSIS") + "\\fB" + roff(program.name) +
                                                    "\\fR \\fIcommand\\fR [options]\n";
  body += notes(program);
  if (!program.commands.empty())
    body += section("COMMANDS");
  for (const Command &command : program.commands)
    body += ".TP\n\\fB" + roff(command.name) + "\\fR\n" + roff(command.summary) + "; see " +
            roff(program.name + "-" + command.name) + "(1)\n";
  return page(program.name, program.name, program.summary, body + optionSections(program.options));
}

std::string commandPage(const Program &program, const Command &command) {
  std::vector<Option> options = command.options;
  for (const Option &option : program.options)
    if (!option.names.empty())
      options.push_back(option);
  return page(program.name + "-" + command.name, program.name + "-" + command.name, command.summary,
              synopsis(program.name + " " + command.name, command.options) +
                  optionSections(options) + section("SEE ALSO") + roff(program.name) + "(1)\n");
}

} // namespace

const std::vector<std::pair<int, std::string>> &exitCodes() {
  static const std::vector<std::pair<int, std::string>> codes = {
      {0, "done"},
      {1, "diff only: the files differ"},
      {2, "the command line is wrong"},
      {65, "a file's content is not what it must be"},
      {66, "a named file does not exist"},
      {69, "a device, a port or a feature of this machine is missing"},
      {70, "an error of this program"},
      {71, "not enough memory"},
      {74, "reading or writing failed"},
      {78, "a line of the file of --config is wrong"}};
  return codes;
}

Result<std::string> manPage(const Program &program, const std::string &name) {
  if (name.empty())
    return programPage(program);
  std::string names;
  for (const Command &command : program.commands) {
    if (command.name == name)
      return commandPage(program, command);
    names += (names.empty() ? "" : ", ") + command.name;
  }
  return Status::error(StatusKind::Usage,
                       "man: found '" + name + "', expected one of " + names + ".");
}

} // namespace llama4::manual
