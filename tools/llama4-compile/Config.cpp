//===- Config.cpp - options from a file -----------------------------------===//

#include "tools/llama4-compile/Registered.h"
#include "tools/manual/ConfigFile.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringExtras.h"

namespace llama4 {

namespace cl = llvm::cl;
using manual::ConfigEntry;
using manual::configError;

OtherName::OtherName(const char *name, cl::Option &target, const char *help,
                     cl::OptionCategory &category)
    : cl::alias(llvm::StringRef(name), cl::aliasopt(target), cl::NotHidden, cl::desc(help),
                cl::cat(category)),
      target(target) {}

/// What the option's parser would say of a value, if it is one that it refuses: that parser itself
/// prints. Empty for good values.
static std::string wrongValue(const cl::Option &option, llvm::StringRef value) {
  double number = 0;
  int64_t integer = 0;
  unsigned natural = 0;
  const bool wrong =
      (dynamic_cast<const cl::opt<int64_t> *>(&option) && value.getAsInteger(0, integer)) ||
      (dynamic_cast<const cl::opt<unsigned> *>(&option) && value.getAsInteger(0, natural)) ||
      (dynamic_cast<const cl::opt<double> *>(&option) && value.getAsDouble(number));
  return wrong ? "found '" + value.str() + "', expected a number." : "";
}

/// The values of a line as the command line would have them.
static Status findValues(const cl::Option &option, const ConfigEntry &entry,
                         const std::string &path, std::vector<std::string> &values) {
  auto wrong = [&](const std::string &sentence) {
    return configError(path, entry.line, entry.name + ": " + sentence);
  };
  values = entry.values;
  if (dynamic_cast<const cl::opt<bool> *>(&option)) {
    const std::optional<bool> truth = manual::truthOf(values.empty() ? "true" : values[0]);
    if (values.size() > 1 || !truth)
      return wrong("found a value of a flag, expected true, false or none.");
    values = {*truth ? "true" : "false"};
    return {};
  }
  if (values.empty() && option.getValueExpectedFlag() == cl::ValueOptional)
    values = {""};
  const unsigned wanted = std::max(option.getNumAdditionalVals(), 1u);
  const bool isList = option.getNumOccurrencesFlag() == cl::ZeroOrMore && wanted == 1;
  if (values.empty() || (!isList && values.size() != wanted))
    return wrong("found " + std::to_string(values.size()) + " values, expected " +
                 std::to_string(wanted) + ".");
  for (const std::string &value : values)
    if (std::string sentence = wrongValue(option, value); !sentence.empty())
      return wrong(sentence);
  return {};
}

/// True where the option's own parser refuses the values; it has then said why.
static bool refuses(cl::Option &option, const std::vector<std::string> &values) {
  const bool commas = option.getMiscFlags() & cl::CommaSeparated;
  bool more = false; // of the values of one occurrence
  for (const std::string &value : values) {
    llvm::SmallVector<llvm::StringRef> parts = {value};
    if (commas)
      llvm::SplitString(value, parts = {}, ",");
    for (llvm::StringRef part : parts)
      if (option.addOccurrence(0, option.ArgStr, part, more))
        return true;
    more = option.getNumAdditionalVals() > 0;
  }
  return false;
}

Status applyConfig(const std::string &path,
                   const std::vector<std::vector<const cl::Option *>> &together) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<ConfigEntry> entries, manual::readConfigFile(path));
  auto isGiven = [](const cl::Option *option) { return option->getNumOccurrences() > 0; };
  llvm::DenseMap<const cl::Option *, unsigned> settled; // the line, 0: on the command line
  auto &registered = cl::getRegisteredOptions();
  for (auto &[name, option] : registered)
    if (isGiven(option))
      settled[option] = 0;
  for (const std::vector<const cl::Option *> &group : together)
    if (llvm::any_of(group, isGiven))
      for (const cl::Option *option : group)
        settled[option] = 0;
  for (const ConfigEntry &entry : entries) {
    if (!entry.section.empty())
      return configError(path, entry.line,
                         "found the section [" + entry.section + "], expected options only.");
    cl::Option *option = registered.lookup(entry.name);
    if (auto *other = dynamic_cast<OtherName *>(option))
      option = &other->target;
    if (!option || option->getOptionHiddenFlag() != cl::NotHidden || entry.name == "config")
      return configError(path, entry.line,
                         "found '" + entry.name +
                             "', expected an option of llama4-compile; --help "
                             "lists them.");
    std::vector<std::string> values;
    LLAMA4_RETURN_IF_ERROR(findValues(*option, entry, path, values));
    auto [line, isNew] = settled.try_emplace(option, entry.line);
    const bool isList = option->getNumOccurrencesFlag() == cl::ZeroOrMore;
    if (line->second == 0)
      continue;
    if (!isNew && !isList)
      return configError(path, entry.line,
                         "found '" + entry.name + "' again after line " +
                             std::to_string(line->second) + ", expected it once.");
    if (refuses(*option, values))
      return configError(path, entry.line,
                         entry.name + ": found a value that this option does not take, expected "
                                      "one as on the command line.");
  }
  return {};
}

} // namespace llama4
