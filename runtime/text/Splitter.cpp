//===- Splitter.cpp - cutting text into pre-tokenizer pieces ----*- C++ -*-===//
//
// Each matcher follows its expression's alternatives in order; the comment above a function is the
// part of the expression that it stands for.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Splitter.h"

#include "runtime/text/UnicodeClasses.h"
#include "runtime/text/Utf8.h"

namespace llama4::text {

namespace {

/// A character at a byte position; `size` 0 stands for the end of the text.
struct Char {
  char32_t code = 0;
  uint32_t classes = 0;
  size_t size = 0;

  bool is(uint32_t mask) const { return (classes & mask) != 0; }
  bool isNewline() const { return size != 0 && (code == '\r' || code == '\n'); }
  /// [^\s\p{L}\p{N}]
  bool isSymbol() const { return size != 0 && !is(kSpace | kLetter | kNumber); }
};

Char charAt(std::string_view text, size_t pos) {
  if (pos >= text.size())
    return {};
  Utf8Step step = decodeUtf8(text.substr(pos));
  return {step.code, unicodeClasses(step.code), step.bytes};
}

/// The end of the run of characters in `mask` that starts at `pos`.
size_t skipClass(std::string_view text, size_t pos, uint32_t mask) {
  for (Char c = charAt(text, pos); c.is(mask); c = charAt(text, pos))
    pos += c.size;
  return pos;
}

/// 's|'t|'re|'ve|'m|'ll|'d : its length at `pos`, or 0. Without case, U+017F is an s too.
size_t contractionLength(std::string_view text, size_t pos, bool anyCase) {
  if (pos >= text.size() || text[pos] != '\'')
    return 0;
  std::string_view rest = text.substr(pos + 1);
  if (anyCase && rest.starts_with("\xc5\xbf"))
    return 3;
  auto at = [&](size_t i) {
    char c = i < rest.size() ? rest[i] : '\0';
    return anyCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  switch (at(0)) {
  case 's':
  case 't':
  case 'm':
  case 'd':
    return 2;
  case 'r':
  case 'v':
    return at(1) == 'e' ? 3 : 0;
  case 'l':
    return at(1) == 'l' ? 3 : 0;
  default:
    return 0;
  }
}

/// ` ?[^\s\p{L}\p{N}]+` and then `tail` characters; 0 when it does not match.
size_t matchSymbols(std::string_view text, std::string_view tail) {
  size_t pos = text[0] == ' ' ? 1 : 0;
  size_t begin = pos;
  for (Char c = charAt(text, pos); c.isSymbol(); c = charAt(text, pos))
    pos += c.size;
  if (pos == begin)
    return 0;
  while (pos < text.size() && tail.find(text[pos]) != std::string_view::npos)
    ++pos;
  return pos;
}

/// `\s*[\r\n]+|\s+(?!\S)|\s+`, or without the first alternative. The text starts with a space.
size_t matchSpaces(std::string_view text, bool newlinesFirst) {
  size_t pos = 0;
  size_t lastStart = 0;
  size_t afterNewline = 0;
  for (Char c = charAt(text, pos); c.is(kSpace); c = charAt(text, pos)) {
    lastStart = pos;
    pos += c.size;
    if (c.isNewline())
      afterNewline = pos;
  }
  if (newlinesFirst && afterNewline != 0)
    return afterNewline;
  if (pos == text.size() || lastStart == 0)
    return pos;
  return lastStart; // the last one stays with the word that follows
}

/// `\p{N}{1,3}`; 0 when it does not match.
size_t matchNumber(std::string_view text) {
  size_t pos = 0;
  for (int count = 0; count < 3; ++count) {
    Char c = charAt(text, pos);
    if (!c.is(kNumber))
      break;
    pos += c.size;
  }
  return pos;
}

/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t matchGpt2(std::string_view text) {
  if (size_t n = contractionLength(text, 0, /*anyCase=*/false))
    return n;
  size_t start = text[0] == ' ' ? 1 : 0;
  Char c = charAt(text, start);
  if (c.is(kLetter))
    return skipClass(text, start, kLetter);
  if (c.is(kNumber))
    return skipClass(text, start, kNumber);
  if (c.isSymbol())
    return matchSymbols(text, "");
  return matchSpaces(text, /*newlinesFirst=*/false);
}

/// [^\r\n\p{L}\p{N}]?\p{L}+ ; 0 when it does not match.
size_t matchLlama3Word(std::string_view text, const Char &first) {
  if (first.is(kLetter))
    return skipClass(text, first.size, kLetter);
  if (first.is(kNumber) || first.isNewline())
    return 0;
  size_t end = skipClass(text, first.size, kLetter);
  return end == first.size ? 0 : end;
}

size_t matchLlama3(std::string_view text) {
  if (size_t n = contractionLength(text, 0, /*anyCase=*/true))
    return n;
  Char first = charAt(text, 0);
  if (size_t n = matchLlama3Word(text, first))
    return n;
  if (first.is(kNumber))
    return matchNumber(text);
  if (size_t n = matchSymbols(text, "\r\n"))
    return n;
  return matchSpaces(text, /*newlinesFirst=*/true);
}

constexpr uint32_t kHeadMask = kUpperLetter | kTitleLetter | kModifierLetter | kOtherLetter | kMark;
constexpr uint32_t kTailMask = kLowerLetter | kModifierLetter | kOtherLetter | kMark;

/// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+ from `pos`: the end, or 0. When no
/// tail character follows the head, the head gives back up to its last one that can be a tail.
size_t matchHeadTail(std::string_view text, size_t pos) {
  size_t afterShared = 0;
  Char c = charAt(text, pos);
  for (; c.is(kHeadMask); c = charAt(text, pos)) {
    pos += c.size;
    if (c.is(kTailMask))
      afterShared = pos;
  }
  return c.is(kTailMask) ? skipClass(text, pos, kTailMask) : afterShared;
}

/// [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]* from `pos`: the end, or 0.
size_t matchHeads(std::string_view text, size_t pos) {
  size_t end = skipClass(text, pos, kHeadMask);
  return end == pos ? 0 : skipClass(text, end, kTailMask);
}

/// The two word alternatives, each with the optional prefix first and then without it.
size_t matchLlama4Word(std::string_view text, const Char &first) {
  bool prefix = !first.isNewline() && !first.is(kLetter | kNumber);
  for (auto match : {matchHeadTail, matchHeads}) {
    size_t end = prefix ? match(text, first.size) : 0;
    if (end == 0)
      end = match(text, 0);
    if (end != 0)
      return end + contractionLength(text, end, /*anyCase=*/true);
  }
  return 0;
}

size_t matchLlama4(std::string_view text) {
  Char first = charAt(text, 0);
  if (size_t n = matchLlama4Word(text, first))
    return n;
  if (first.is(kNumber))
    return matchNumber(text);
  if (size_t n = matchSymbols(text, "\r\n/"))
    return n;
  return matchSpaces(text, /*newlinesFirst=*/true);
}

} // namespace

size_t matchPiece(SplitKind kind, std::string_view text) {
  switch (kind) {
  case SplitKind::Gpt2:
    return matchGpt2(text);
  case SplitKind::Llama3:
    return matchLlama3(text);
  case SplitKind::Llama4:
    return matchLlama4(text);
  case SplitKind::None:
    break;
  }
  return text.size();
}

void Splitter::advanceSpan() {
  if (digits_ == DigitKind::Keep) {
    spanEnd_ = text_.size();
    return;
  }
  Char c = charAt(text_, pos_);
  spanIsDigits_ = c.is(kDigit);
  spanEnd_ = pos_ + c.size;
  if (spanIsDigits_ && digits_ == DigitKind::Individual)
    return;
  for (c = charAt(text_, spanEnd_); c.size != 0 && c.is(kDigit) == spanIsDigits_;
       c = charAt(text_, spanEnd_))
    spanEnd_ += c.size;
}

std::string_view Splitter::next() {
  if (pos_ == text_.size())
    return {};
  if (pos_ == spanEnd_)
    advanceSpan();
  std::string_view span = text_.substr(pos_, spanEnd_ - pos_);
  size_t length = matchPiece(kind_, span);
  pos_ += length;
  return span.substr(0, length);
}

} // namespace llama4::text
