//===- UnicodeClasses.h - the character classes of the splitters *- C++ -*-===//
//
// General categories as the `tokenizers` package sees them (generated: UnicodeTables.inc), and the
// letter case of the template filters. Nothing here depends on the locale or on a system library.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_UNICODECLASSES_H
#define LLAMA4_RUNTIME_TEXT_UNICODECLASSES_H

#include <cstdint>
#include <string>
#include <string_view>

namespace llama4::text {

/// Bits of a class mask; the order is that of tools/dev/unicode_tables.py.
enum : uint32_t {
  kUpperLetter = 1u << 0,    ///< \p{Lu}
  kLowerLetter = 1u << 1,    ///< \p{Ll}
  kTitleLetter = 1u << 2,    ///< \p{Lt}
  kModifierLetter = 1u << 3, ///< \p{Lm}
  kOtherLetter = 1u << 4,    ///< \p{Lo}
  kMark = 1u << 5,           ///< \p{M}
  kNumber = 1u << 6,         ///< \p{N}
  kSpace = 1u << 7,          ///< \s
  kDigit = 1u << 8,          ///< what the Digits pre-tokenizer sets apart
  kLetter = kUpperLetter | kLowerLetter | kTitleLetter | kModifierLetter | kOtherLetter,
};

/// The classes of one code point, as a mask of the bits above; 0 for one without any.
uint32_t unicodeClasses(char32_t code);

/// What Python's str.upper / str.lower make of valid UTF-8 text, except that a final sigma is
/// lowered like any other sigma.
std::string toUpper(std::string_view text);
std::string toLower(std::string_view text);

/// True for the characters that Python's str.isspace accepts (a superset of \s).
bool isPythonSpace(char32_t code);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_UNICODECLASSES_H
