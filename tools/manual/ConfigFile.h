//===- ConfigFile.h - options in a file --------------------------*- C++ -*-===//
//
// A line is one of
//     [section]
//     option = value          # a comment
//     option = "value", 'value' or [value, "value", ...]
//     flag
// Names are those of the command line without dashes. In "..." stand \" \\ \n \t, in '...' nothing
// has a meaning. Without quotes a value ends at " #". Comments begin with # or ;.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TOOLS_MANUAL_CONFIGFILE_H
#define LLAMA4_TOOLS_MANUAL_CONFIGFILE_H

#include "runtime/base/Status.h"

#include <optional>
#include <string>
#include <vector>

namespace llama4::manual {

/// One line that sets an option.
struct ConfigEntry {
  std::string section; ///< empty before the first [section]
  std::string name;
  std::vector<std::string> values; ///< empty for a flag without a value
  bool isList = false;             ///< the values stood in [ ]
  unsigned line = 0;               ///< from 1
};

/// The kind, and exit code, of what is wrong in such a file.
inline constexpr StatusKind configKind{78};

/// An error of that kind at a line: "FILE:LINE: SENTENCE".
Status configError(const std::string &path, unsigned line, const std::string &sentence);

/// The lines of a file that set options, in their order. Errors: NotFound, Io; configKind, naming
/// file and line (what is not such a line; more than 1 MiB).
Result<std::vector<ConfigEntry>> readConfigFile(const std::string &path);

/// What a word says of a flag: true, yes, on, 1; false, no, off, 0; nothing for other words.
std::optional<bool> truthOf(const std::string &word);

} // namespace llama4::manual

#endif // LLAMA4_TOOLS_MANUAL_CONFIGFILE_H
