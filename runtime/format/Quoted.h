//===- Quoted.h - names from files inside error sentences -------*- C++ -*-===//
//
// A name read from a file may hold anything: terminal escapes, newlines, a megabyte of text. Error
// sentences show it only through this function.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_QUOTED_H
#define LLAMA4_RUNTIME_FORMAT_QUOTED_H

#include <string>
#include <string_view>

namespace llama4 {

/// `text` in double quotes, printable ASCII as it is, every other byte as \xNN, cut after `limit`
/// bytes with "...".
inline std::string quoteName(std::string_view text, size_t limit = 120) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text.substr(0, limit)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out + (text.size() > limit ? "...\"" : "\"");
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_QUOTED_H
