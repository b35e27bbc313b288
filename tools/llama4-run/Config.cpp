//===- Config.cpp - options from the environment and from a file ----------===//

#include "tools/llama4-run/Config.h"

#include "tools/manual/ConfigFile.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

namespace llama4::run {

using manual::ConfigEntry;
using manual::configError;

namespace {

CLI::Option *findOption(CLI::App &command, const std::string &name) {
  CLI::Option *option = command.get_option_no_throw((name.size() == 1 ? "-" : "--") + name);
  return option == command.get_help_ptr() ? nullptr : option;
}

CLI::App *findCommand(CLI::App &app, const std::string &name) {
  for (CLI::App *command : app.get_subcommands(nullptr))
    if (command->get_name() == name)
      return command;
  return nullptr;
}

bool takesValue(const CLI::Option &option) { return option.get_items_expected_max() > 0; }

/// Sets the options of one subcommand, from the lines of one file.
class Setter {
public:
  Setter(CLI::App &command, std::string path) : command_(command), path_(std::move(path)) {
    for (const CLI::Option *option : command.get_options())
      if (option->count() > 0)
        settled_.insert(option);
  }

  /// The lines of a section; what an earlier call has set stays.
  Status setAll(const std::vector<ConfigEntry> &entries, const std::string &section) {
    std::map<CLI::Option *, unsigned> lines;
    for (const ConfigEntry &entry : entries) {
      CLI::Option *option = entry.section == section ? findOption(command_, entry.name) : nullptr;
      if (!option || settled_.count(option))
        continue;
      auto [before, isFirst] = lines.emplace(option, entry.line);
      if (!isFirst && option->get_items_expected_max() <= 1)
        return configError(path_, entry.line,
                           "found '" + entry.name + "' again after line " +
                               std::to_string(before->second) + ", expected it once.");
      LLAMA4_RETURN_IF_ERROR(set(*option, entry));
    }
    for (auto [option, line] : lines) {
      LLAMA4_RETURN_IF_ERROR(convert(*option, line));
      settled_.insert(option);
    }
    return {};
  }

private:
  Status set(CLI::Option &option, const ConfigEntry &entry) {
    for (const CLI::Option *other : option.get_excludes()) {
      if (set_.count(other))
        return configError(path_, entry.line,
                           "found '" + entry.name + "' beside " + other->get_name() +
                               ", expected one of them.");
      if (other->count() > 0)
        return {}; // a choice that the command line or the environment has made
    }
    if (!takesValue(option)) {
      const std::string word = entry.values.empty() ? "true" : entry.values[0];
      if (entry.values.size() > 1 || !manual::truthOf(word))
        return configError(path_, entry.line,
                           "found a value of the flag '" + entry.name +
                               "', expected true, false or none.");
      option.add_result(*manual::truthOf(word) ? "true" : "false");
      set_.insert(&option);
      return {};
    }
    const bool single = option.get_items_expected_max() <= 1;
    if (entry.values.empty() || (single && entry.values.size() > 1))
      return configError(path_, entry.line,
                         "found " + std::to_string(entry.values.size()) + " values of '" +
                             entry.name + "', expected " + (single ? "one." : "at least one."));
    option.add_result(entry.values);
    set_.insert(&option);
    return {};
  }

  /// Checks the values as if the command line had them.
  Status convert(CLI::Option &option, unsigned line) {
    try {
      if (option.count() > 0)
        option.run_callback();
    } catch (const CLI::ParseError &error) {
      std::string sentence = error.what();
      std::replace(sentence.begin(), sentence.end(), '\n', ' ');
      return configError(path_, line, sentence + ", expected a value as on the command line.");
    }
    return {};
  }

  CLI::App &command_;
  const std::string path_;
  std::set<const CLI::Option *> settled_, set_; ///< not to be set; set by this file
};

/// Every section is a subcommand, and every name an option of its section; before the first
/// section, of some subcommand.
Status checkNames(CLI::App &app, const std::vector<ConfigEntry> &entries, const std::string &path) {
  for (const ConfigEntry &entry : entries) {
    CLI::App *command = entry.section.empty() ? nullptr : findCommand(app, entry.section);
    if (!entry.section.empty() && !command)
      return configError(path, entry.line,
                         "found the section [" + entry.section +
                             "], expected the name of a subcommand.");
    bool known = false;
    for (CLI::App *one : app.get_subcommands(nullptr))
      known |= (!command || command == one) && findOption(*one, entry.name);
    if (!known)
      return configError(path, entry.line,
                         "found '" + entry.name + "', expected an option of " +
                             (command ? "llama4-run " + entry.section : "some subcommand") +
                             "; --help lists them.");
  }
  return {};
}

Status applyConfig(CLI::App &app, const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<ConfigEntry> entries, manual::readConfigFile(path));
  LLAMA4_RETURN_IF_ERROR(checkNames(app, entries, path));
  for (CLI::App *command : app.get_subcommands()) { // the one that the command line names
    Setter setter(*command, path);
    LLAMA4_RETURN_IF_ERROR(setter.setAll(entries, command->get_name()));
    LLAMA4_RETURN_IF_ERROR(setter.setAll(entries, ""));
  }
  return {};
}

} // namespace

std::string environmentName(const CLI::App &command, const CLI::Option &option) {
  if (option.get_lnames().empty() || &option == command.get_help_ptr())
    return "";
  std::string name = "LLAMA4_ARG_" + option.get_lnames()[0];
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return c == '-' ? '_' : static_cast<char>(std::toupper(c));
  });
  return name;
}

void readEnvironment(CLI::App &app) {
  for (CLI::App *command : app.get_subcommands(nullptr))
    command->preparse_callback([command](size_t) {
      for (CLI::Option *option : command->get_options())
        if (std::string name = environmentName(*command, *option); !name.empty())
          option->envname(name);
    });
}

void addConfig(CLI::App &app, Status &status) {
  // The callbacks of the program's options run when the command line and the environment have been
  // read, and before anything is asked of the subcommand's options.
  app.add_option_function<std::string>(
         "--config",
         [&app, &status](const std::string &path) {
           status = applyConfig(app, path);
           if (!status.ok())
             throw CLI::RuntimeError(status.exitCode());
         },
         "file of lines option = value, in sections [subcommand]; the command line and the "
         "environment have the last word")
      ->type_name("FILE")
      ->envname("LLAMA4_ARG_CONFIG");
  for (CLI::App *command : app.get_subcommands(nullptr))
    command->fallthrough();
}

} // namespace llama4::run
