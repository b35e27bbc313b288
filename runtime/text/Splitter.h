//===- Splitter.h - cutting text into pre-tokenizer pieces ------*- C++ -*-===//
//
// The pre-tokenizer regular expressions of the known vocabularies, written out by hand: one pass,
// no backtracking engine, linear time on any input. Text is valid UTF-8 here.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_SPLITTER_H
#define LLAMA4_RUNTIME_TEXT_SPLITTER_H

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace llama4::text {

/// Which regular expression cuts the text. The values are part of the section format.
enum class SplitKind : uint32_t {
  None = 0,   ///< the text is one piece
  Gpt2 = 1,   ///< ByteLevel's own expression
  Llama3 = 2, ///< Llama 3, 3.1, 3.2
  Llama4 = 3, ///< Llama 4
};

/// What happens to digits before the expression is applied. Part of the section format.
enum class DigitKind : uint32_t {
  Keep = 0,       ///< nothing
  Individual = 1, ///< every digit is a piece
  Runs = 2,       ///< every run of digits is a piece
};

/// Walks over the pieces of one text: `while (!(piece = splitter.next()).empty())`.
/// The text must outlive the splitter; pieces are views into it and cover it without gaps.
class Splitter {
public:
  Splitter(SplitKind kind, DigitKind digits, std::string_view text)
      : kind_(kind), digits_(digits), text_(text) {}

  /// The next piece, or an empty view at the end.
  std::string_view next();

private:
  /// Moves the end of the current span: a digit piece, or the text up to the next digit.
  void advanceSpan();

  SplitKind kind_;
  DigitKind digits_;
  std::string_view text_;
  size_t pos_ = 0;
  size_t spanEnd_ = 0; ///< the expression sees the text only up to here
  bool spanIsDigits_ = false;
};

/// Length in bytes of the piece that expression `kind` matches at the start of `text` (valid
/// UTF-8, not empty); at least one character.
size_t matchPiece(SplitKind kind, std::string_view text);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_SPLITTER_H
