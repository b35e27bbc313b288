//===- ConfigFile.cpp - options in a file ---------------------------------===//

#include "tools/manual/ConfigFile.h"

#include "runtime/base/File.h"

#include <algorithm>
#include <string_view>

namespace llama4::manual {

namespace {

constexpr uint64_t mostBytes = uint64_t{1} << 20;
constexpr std::string_view blanks = " \t\r";

bool isNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

/// What is left of a line, from its left end.
class Line {
public:
  explicit Line(std::string_view text) : text_(text) {}

  void skipBlanks() {
    const size_t begin = text_.find_first_not_of(blanks);
    text_.remove_prefix(begin == std::string_view::npos ? text_.size() : begin);
  }
  /// True where nothing is left but a comment.
  bool ended() {
    skipBlanks();
    return text_.empty() || text_.front() == '#' || text_.front() == ';';
  }
  bool take(char c) {
    skipBlanks();
    if (text_.empty() || text_.front() != c)
      return false;
    text_.remove_prefix(1);
    return true;
  }
  std::string_view takeName() {
    skipBlanks();
    const auto end = std::find_if_not(text_.begin(), text_.end(), isNameCharacter);
    const std::string_view name = text_.substr(0, static_cast<size_t>(end - text_.begin()));
    text_.remove_prefix(name.size());
    return name;
  }
  /// A value; one without quotes ends before a comment and, in a list, at , and ]. Nothing where
  /// quotes are not closed or an escape has no meaning.
  std::optional<std::string> takeValue(bool inList) {
    skipBlanks();
    if (take('"'))
      return takeQuoted();
    if (take('\'')) {
      const size_t end = text_.find('\'');
      if (end == std::string_view::npos)
        return std::nullopt;
      std::string value(text_.substr(0, end));
      text_.remove_prefix(end + 1);
      return value;
    }
    size_t end = 0;
    for (; end < text_.size(); ++end) {
      const bool afterBlank = end == 0 || blanks.find(text_[end - 1]) != std::string_view::npos;
      if ((text_[end] == '#' && afterBlank) || (inList && (text_[end] == ',' || text_[end] == ']')))
        break;
    }
    std::string_view value = text_.substr(0, end);
    text_.remove_prefix(end);
    value = value.substr(0, value.find_last_not_of(blanks) + 1);
    return std::string(value);
  }

private:
  std::optional<std::string> takeQuoted() {
    std::string value;
    for (size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '"') {
        text_.remove_prefix(i + 1);
        return value;
      }
      if (text_[i] != '\\') {
        value += text_[i];
        continue;
      }
      const char next = ++i < text_.size() ? text_[i] : '\0';
      if (next != '"' && next != '\\' && next != 'n' && next != 't')
        return std::nullopt;
      value += next == 'n' ? '\n' : next == 't' ? '\t' : next;
    }
    return std::nullopt;
  }

  std::string_view text_;
};

constexpr const char *badValue =
    "found a value whose quotes are not closed or that has an escape other than \\\" \\\\ \\n \\t, "
    "expected option = value.";

/// The values after "option =". An empty sentence is success.
std::string readValues(Line &line, ConfigEntry &entry) {
  entry.isList = line.take('[');
  if (entry.isList && line.take(']'))
    return "";
  do {
    std::optional<std::string> value = line.takeValue(entry.isList);
    if (!value)
      return badValue;
    entry.values.push_back(std::move(*value));
  } while (entry.isList && line.take(','));
  if (entry.isList && !line.take(']'))
    return "found a list without ] in its line, expected option = [value, value].";
  return line.ended() ? "" : "found text after the value, expected quotes around all of it.";
}

/// One line; `section` is the one it stands in.
Status readLine(std::string_view text, const std::string &path, unsigned number,
                std::string &section, std::vector<ConfigEntry> &entries) {
  Line line(text);
  if (line.ended())
    return {};
  if (line.take('[')) {
    section = line.takeName();
    if (section.empty() || !line.take(']') || !line.ended())
      return configError(path, number, "found no name between [ and ], expected [section].");
    return {};
  }
  ConfigEntry entry;
  entry.section = section;
  entry.line = number;
  entry.name = line.takeName();
  if (entry.name.empty() || entry.name.front() == '-')
    return configError(path, number,
                       "found no option's name, expected option = value, without dashes before.");
  if (!line.take('=')) {
    if (!line.ended())
      return configError(path, number, "found text after '" + entry.name + "', expected = before.");
  } else if (std::string wrong = readValues(line, entry); !wrong.empty()) {
    return configError(path, number, entry.name + ": " + wrong);
  }
  entries.push_back(std::move(entry));
  return {};
}

} // namespace

Status configError(const std::string &path, unsigned line, const std::string &sentence) {
  return Status::error(configKind, path + ":" + std::to_string(line) + ": " + sentence);
}

Result<std::vector<ConfigEntry>> readConfigFile(const std::string &path) {
  Result<std::string> text = readTextFile(path, mostBytes);
  if (!text.ok()) // what is not there has its own kind; what is there and no text has this one
    return text.status().kind() == StatusKind::InvalidInput
               ? Status::error(configKind, text.status().message())
               : text.status();
  std::vector<ConfigEntry> entries;
  std::string section;
  unsigned number = 0;
  for (size_t begin = 0; begin < text->size();) {
    const size_t end = std::min(text->find('\n', begin), text->size());
    LLAMA4_RETURN_IF_ERROR(readLine(std::string_view(*text).substr(begin, end - begin), path,
                                    ++number, section, entries));
    begin = end + 1;
  }
  return entries;
}

std::optional<bool> truthOf(const std::string &word) {
  for (const char *yes : {"true", "yes", "on", "1"})
    if (word == yes)
      return true;
  for (const char *no : {"false", "no", "off", "0"})
    if (word == no)
      return false;
  return std::nullopt;
}

} // namespace llama4::manual
