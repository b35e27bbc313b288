//===- Utf8.h - reading UTF-8 that may be broken ----------------*- C++ -*-===//
//
// One decoding step, with the Unicode-recommended treatment of broken input: a maximal ill-formed
// prefix is one replacement character. A surrogate written as three bytes, which is how some
// programs pass a lone half of a pair, counts as one too where the caller says so.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_UTF8_H
#define LLAMA4_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llama4::text {

inline constexpr char32_t kReplacement = 0xfffd;
inline constexpr std::string_view kReplacementBytes = "\xef\xbf\xbd";

/// What one step of decoding found.
struct Utf8Step {
  char32_t code = kReplacement; ///< the scalar value; kReplacement when not valid
  uint32_t bytes = 1;           ///< bytes consumed, at least 1
  bool valid = false;
  bool truncated = false; ///< not valid, but more bytes could complete it
};

/// Decodes the first character of `text`, which must not be empty. With `joinSurrogates` an
/// encoded surrogate (ED A0..BF xx) is one broken character of three bytes, else three of one.
Utf8Step decodeUtf8(std::string_view text, bool joinSurrogates = false);

/// Appends the encoding of a scalar value (surrogates and values above U+10FFFF: U+FFFD).
void appendUtf8(std::string &out, char32_t code);

/// True when every byte belongs to a valid character.
bool isValidUtf8(std::string_view text);

/// `text` with every broken character replaced by U+FFFD.
std::string replaceInvalidUtf8(std::string_view text, bool joinSurrogates);

/// Number of bytes of the character that starts at `pos` of *valid* text.
inline size_t utf8Length(char lead) {
  auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_UTF8_H
