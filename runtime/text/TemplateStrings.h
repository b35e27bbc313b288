//===- TemplateStrings.h - Python's string operations on marked text *- C++ -*-===//
//
// Positions and counts are in characters where Python's are. Everything keeps the provenance of
// the bytes it copies. Sizes are checked by the callers (TemplateBudget::spendBytes).
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATESTRINGS_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATESTRINGS_H

#include "runtime/text/TemplateValue.h"

#include <optional>
#include <string_view>
#include <vector>

namespace llama4::text {

/// Number of characters.
size_t characterCount(std::string_view text);
/// Byte position of character `index`, the size of the text at most.
size_t characterOffset(std::string_view text, size_t index);

/// strip: removes characters of `chars` (white space when absent) on the sides asked for.
Marked stripText(const Marked &text, std::optional<std::string_view> chars, bool left, bool right);
/// split(separator): at most `limit` cuts (none: all), counted from the left, or from the right.
std::vector<Marked> splitText(const Marked &text, std::string_view separator,
                              std::optional<size_t> limit, bool fromRight);
/// split(): at runs of white space, which are dropped at the ends too.
std::vector<Marked> splitWords(const Marked &text, std::optional<size_t> limit);
std::vector<Marked> splitLines(const Marked &text, bool keepEnds);
/// replace: at most `limit` (none: all). The size of the result is `replacedSize`.
Marked replaceText(const Marked &text, std::string_view from, const Marked &to,
                   std::optional<size_t> limit);
size_t replacedSize(const Marked &text, std::string_view from, const Marked &to,
                    std::optional<size_t> limit);

Marked upperText(const Marked &text);
Marked lowerText(const Marked &text);
/// First character upper, the rest lower.
Marked capitalizeText(const Marked &text);
/// Every word capitalised; with `afterNonLetter` words start after anything that is no letter
/// (str.title), else after white space and -({[< (the title filter).
Marked titleText(const Marked &text, bool afterNonLetter);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATESTRINGS_H
