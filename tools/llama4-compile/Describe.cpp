//===- Describe.cpp - the registered options, for completion and manual ---===//

#include "tools/llama4-compile/Registered.h"

#include <algorithm>
#include <map>

namespace llama4 {

namespace cl = llvm::cl;

static std::string dashed(llvm::StringRef name) {
  return (name.size() == 1 ? "-" : "--") + name.str();
}

/// How the value of an option is called: as in --help.
static std::string valueName(const cl::Option &option) {
  if (option.getValueExpectedFlag() == cl::ValueDisallowed ||
      dynamic_cast<const cl::opt<bool> *>(&option))
    return "";
  std::string name = option.ValueStr.str();
  if (name.empty())
    name = dynamic_cast<const cl::opt<int64_t> *>(&option) ||
                   dynamic_cast<const cl::opt<unsigned> *>(&option)
               ? "N"
           : dynamic_cast<const cl::opt<double> *>(&option) ? "NUMBER"
                                                            : "TEXT";
  return option.getValueExpectedFlag() == cl::ValueOptional ? "[=" + name + "]" : name;
}

static manual::Value kindOf(const manual::Option &option) {
  const std::string &name = option.valueName;
  if (name.empty() || name[0] == '[') // the value comes in the same word
    return manual::Value::None;
  if (!option.choices.empty())
    return manual::Value::Choice;
  if (name == "N" || name == "NUMBER")
    return manual::Value::Number;
  return name == "file" || name == "folder" || name == "path" ? manual::Value::File
                                                              : manual::Value::Text;
}

manual::Program describeProgram(const std::string &name, const manual::Option &argument,
                                const Choices &choices) {
  manual::Program program = {
      name, "compile a checkpoint into one .l4x program", {argument}, {}, {}};
  program.notes = {"Dumps and reports go to stdout, everything else to stderr.",
                   "A file of --config has lines option = value or flag, with the names below "
                   "without dashes. The command line has the last word."};
  std::map<const cl::Option *, std::vector<std::string>> otherNames;
  std::map<std::string, cl::Option *> options; // in the order of their names
  for (auto &[key, option] : cl::getRegisteredOptions()) {
    if (option->getOptionHiddenFlag() != cl::NotHidden || option->ArgStr.empty())
      continue;
    if (auto *other = dynamic_cast<OtherName *>(option))
      otherNames[&other->target].push_back(dashed(other->ArgStr));
    else
      options[option->ArgStr.str()] = option;
  }
  for (auto &[key, option] : options) {
    manual::Option described;
    described.names = {dashed(key)};
    std::vector<std::string> &others = otherNames[option];
    std::sort(others.begin(), others.end());
    described.names.insert(described.names.end(), others.begin(), others.end());
    described.valueName = valueName(*option);
    for (const auto &[chooser, values] : choices)
      if (chooser == option)
        described.choices = values;
    described.value = kindOf(described);
    described.help = option->HelpStr.str();
    described.group = option->Categories.empty() ? "" : option->Categories[0]->getName().str();
    program.options.push_back(std::move(described));
  }
  return program;
}

} // namespace llama4
