//===- UnicodeClasses.cpp - the character classes of the splitters *- C++ -*-===//

#include "runtime/text/UnicodeClasses.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>

namespace llama4::text {

namespace {

/// Code points first, first + stride, ..., last map to themselves plus delta.
struct CaseRun {
  char32_t first;
  char32_t last;
  char32_t stride;
  int32_t delta;
};

/// A code point that maps to up to three; unused ones are 0.
struct CaseMany {
  char32_t code;
  char32_t to[3];
};

#include "runtime/text/UnicodeTables.inc"

uint32_t searchClasses(char32_t code) {
  uint32_t key = (static_cast<uint32_t>(code) << 11) | 0x7ffu;
  const uint32_t *next = std::upper_bound(std::begin(kClassRuns), std::end(kClassRuns), key);
  return next[-1] & 0x7ffu; // the first entry starts at U+0000
}

/// The classes of the first 1024 code points, so that common scripts need no search.
const std::array<uint16_t, 1024> &directTable() {
  static const std::array<uint16_t, 1024> table = [] {
    std::array<uint16_t, 1024> t{};
    for (char32_t code = 0; code < t.size(); ++code)
      t[code] = static_cast<uint16_t>(searchClasses(code));
    return t;
  }();
  return table;
}

void appendMapped(std::string &out, char32_t code, std::span<const CaseRun> runs,
                  std::span<const CaseMany> many) {
  auto exact = std::lower_bound(many.begin(), many.end(), code,
                                [](const CaseMany &m, char32_t c) { return m.code < c; });
  if (exact != many.end() && exact->code == code) {
    for (char32_t to : exact->to)
      if (to != 0)
        appendUtf8(out, to);
    return;
  }
  auto next = std::upper_bound(runs.begin(), runs.end(), code,
                               [](char32_t c, const CaseRun &r) { return c < r.first; });
  if (next != runs.begin()) {
    --next; // runs are ordered and do not overlap
    if (code <= next->last && (code - next->first) % next->stride == 0) {
      appendUtf8(out, static_cast<char32_t>(static_cast<int32_t>(code) + next->delta));
      return;
    }
  }
  appendUtf8(out, code);
}

std::string mapCase(std::string_view text, char firstAscii, std::span<const CaseRun> runs,
                    std::span<const CaseMany> many) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    Utf8Step step = decodeUtf8(text);
    if (step.code < 0x80) {
      bool mapped = text[0] >= firstAscii && text[0] < firstAscii + 26;
      out.push_back(mapped ? static_cast<char>(text[0] ^ 0x20) : text[0]);
    } else {
      appendMapped(out, step.code, runs, many);
    }
    text.remove_prefix(step.bytes);
  }
  return out;
}

} // namespace

uint32_t unicodeClasses(char32_t code) {
  static const std::array<uint16_t, 1024> &direct = directTable();
  return code < direct.size() ? direct[code] : searchClasses(code);
}

std::string toUpper(std::string_view text) { return mapCase(text, 'a', kUpperRuns, kUpperMany); }

std::string toLower(std::string_view text) { return mapCase(text, 'A', kLowerRuns, kLowerMany); }

bool isPythonSpace(char32_t code) {
  return (unicodeClasses(code) & kSpace) != 0 || (code >= 0x1c && code <= 0x1f);
}

} // namespace llama4::text
