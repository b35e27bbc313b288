//===- OneLine.h - text of a file inside an error sentence -------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_ONELINE_H
#define LLAMA4_RUNTIME_TEXT_ONELINE_H

#include <string>
#include <string_view>

namespace llama4::text {

/// `text` as a terminal shows it in one line: control characters and bytes beyond ASCII as \xNN; of
/// what then has more than `limit` characters, the middle is left out.
inline std::string oneLine(std::string_view text, size_t limit = 600) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
      continue;
    }
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  if (out.size() > limit)
    out.replace(limit / 2, out.size() - limit / 2 * 2, "...");
  return out;
}

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_ONELINE_H
