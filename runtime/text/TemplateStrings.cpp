//===- TemplateStrings.cpp - Python's string operations on marked text *- C++ -*-===//

#include "runtime/text/TemplateStrings.h"

#include "runtime/text/UnicodeClasses.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace llama4::text {

namespace {

char32_t codeAt(std::string_view text, size_t at) { return decodeUtf8(text.substr(at)).code; }

/// Start of the character that ends at byte `end` > 0.
size_t previousStart(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u)
    --at;
  return at;
}

bool isLineBreak(char32_t code) {
  return (code >= 0x0a && code <= 0x0d) || (code >= 0x1c && code <= 0x1e) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

template <typename Map> Marked mapRuns(const Marked &text, Map map) {
  Marked out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && text.isContent(end) == text.isContent(at))
      ++end;
    out.append(map(std::string_view(text.bytes()).substr(at, end - at)), text.isContent(at));
    at = end;
  }
  return out;
}

} // namespace

size_t characterCount(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0u) != 0x80u;
  }));
}

size_t characterOffset(std::string_view text, size_t index) {
  size_t at = 0;
  for (; index > 0 && at < text.size(); --index)
    at += utf8Length(text[at]);
  return at;
}

Marked stripText(const Marked &text, std::optional<std::string_view> chars, bool left, bool right) {
  std::string_view bytes = text.bytes();
  auto stripped = [&](size_t at, size_t length) {
    return chars ? chars->find(bytes.substr(at, length)) != std::string_view::npos
                 : isPythonSpace(codeAt(bytes, at));
  };
  size_t begin = 0;
  size_t end = bytes.size();
  while (left && begin < end && stripped(begin, utf8Length(bytes[begin])))
    begin += utf8Length(bytes[begin]);
  while (right && end > begin) {
    size_t start = previousStart(bytes, end);
    if (!stripped(start, end - start))
      break;
    end = start;
  }
  return text.slice(begin, end);
}

std::vector<Marked> splitText(const Marked &text, std::string_view separator,
                              std::optional<size_t> limit, bool fromRight) {
  std::vector<size_t> cuts;
  std::string_view bytes = text.bytes();
  if (fromRight) {
    for (size_t end = bytes.size(); !limit || cuts.size() < *limit;) {
      size_t at = end < separator.size() ? std::string_view::npos
                                         : bytes.rfind(separator, end - separator.size());
      if (at == std::string_view::npos)
        break;
      cuts.push_back(at);
      end = at;
    }
    std::reverse(cuts.begin(), cuts.end());
  } else {
    for (size_t at = bytes.find(separator);
         at != std::string_view::npos && (!limit || cuts.size() < *limit);
         at = bytes.find(separator, at + separator.size()))
      cuts.push_back(at);
  }
  std::vector<Marked> parts;
  size_t begin = 0;
  for (size_t cut : cuts) {
    parts.push_back(text.slice(begin, cut));
    begin = cut + separator.size();
  }
  parts.push_back(text.slice(begin, text.size()));
  return parts;
}

std::vector<Marked> splitWords(const Marked &text, std::optional<size_t> limit) {
  std::vector<Marked> parts;
  std::string_view bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    if (isPythonSpace(codeAt(bytes, at))) {
      at += utf8Length(bytes[at]);
      continue;
    }
    if (limit && parts.size() == *limit) {
      parts.push_back(stripText(text.slice(at, bytes.size()), std::nullopt, false, true));
      break;
    }
    size_t end = at;
    while (end < bytes.size() && !isPythonSpace(codeAt(bytes, end)))
      end += utf8Length(bytes[end]);
    parts.push_back(text.slice(at, end));
    at = end;
  }
  return parts;
}

std::vector<Marked> splitLines(const Marked &text, bool keepEnds) {
  std::vector<Marked> lines;
  std::string_view bytes = text.bytes();
  for (size_t begin = 0; begin < bytes.size();) {
    size_t end = begin;
    while (end < bytes.size() && !isLineBreak(codeAt(bytes, end)))
      end += utf8Length(bytes[end]);
    size_t next = end;
    if (end < bytes.size())
      next = bytes.substr(end).starts_with("\r\n") ? end + 2 : end + utf8Length(bytes[end]);
    lines.push_back(text.slice(begin, keepEnds ? next : end));
    begin = next;
  }
  return lines;
}

namespace {

/// Calls `gap(begin, end)` for what stays and `hit()` for every occurrence replaced.
template <typename Gap, typename Hit>
void walkReplaced(std::string_view bytes, std::string_view from, std::optional<size_t> limit,
                  Gap gap, Hit hit) {
  size_t done = 0;
  size_t begin = 0;
  size_t at = 0;
  while (!limit || done < *limit) {
    if (from.empty()) { // before every character and at the end
      gap(begin, at);
      hit();
      ++done;
      begin = at;
      if (at == bytes.size())
        break;
      at += utf8Length(bytes[at]);
      continue;
    }
    at = bytes.find(from, begin);
    if (at == std::string_view::npos)
      break;
    gap(begin, at);
    hit();
    ++done;
    begin = at + from.size();
  }
  gap(begin, bytes.size());
}

} // namespace

Marked replaceText(const Marked &text, std::string_view from, const Marked &to,
                   std::optional<size_t> limit) {
  Marked out;
  walkReplaced(
      text.bytes(), from, limit, [&](size_t b, size_t e) { out += text.slice(b, e); },
      [&] { out += to; });
  return out;
}

size_t replacedSize(const Marked &text, std::string_view from, const Marked &to,
                    std::optional<size_t> limit) {
  size_t size = 0;
  walkReplaced(
      text.bytes(), from, limit, [&](size_t b, size_t e) { size += e - b; },
      [&] { size += to.size(); });
  return size;
}

Marked upperText(const Marked &text) { return mapRuns(text, toUpper); }

Marked lowerText(const Marked &text) { return mapRuns(text, toLower); }

Marked capitalizeText(const Marked &text) {
  size_t first = characterOffset(text.bytes(), 1);
  Marked out = upperText(text.slice(0, first));
  out += lowerText(text.slice(first, text.size()));
  return out;
}

Marked titleText(const Marked &text, bool afterNonLetter) {
  Marked out;
  bool wordStart = true;
  std::string_view bytes = text.bytes();
  for (size_t at = 0; at < bytes.size();) {
    size_t next = at + utf8Length(bytes[at]);
    char32_t code = codeAt(bytes, at);
    Marked character = text.slice(at, next);
    out += wordStart ? upperText(character) : lowerText(character);
    constexpr std::string_view kOpeners = "-({[<";
    wordStart = afterNonLetter
                    ? (unicodeClasses(code) & kLetter) == 0
                    : isPythonSpace(code) ||
                          (code < 0x80 && kOpeners.find(bytes[at]) != std::string_view::npos);
    at = next;
  }
  return out;
}

} // namespace llama4::text
