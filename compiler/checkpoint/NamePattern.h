//===- NamePattern.h - patterns of module names -----------------*- C++ -*-===//
//
// The part of regular expressions that configurations use for names of modules: characters, `.`,
// `\d`, escaped characters, `*`, `+` and `?` behind one of them, `^` at the start and `$` at the
// end. A pattern has to match from the start of a name and, without `$`, any part of it. Matching
// takes at most length of pattern times length of name steps, whatever the pattern.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_NAMEPATTERN_H
#define LLAMA4_COMPILER_CHECKPOINT_NAMEPATTERN_H

#include <optional>
#include <string_view>
#include <vector>

namespace llama4 {

class NamePattern {
public:
  /// Nothing for a pattern that uses more than that (groups, alternatives, classes).
  static std::optional<NamePattern> parse(std::string_view text);
  bool matches(std::string_view name) const;

private:
  enum class Kind { Character, Any, Digit };
  struct Atom {
    Kind kind = Kind::Any;
    char character = 0;
    bool isOptional = false, isRepeated = false; ///< what repeats is optional
    bool accepts(char c) const;
  };

  std::vector<Atom> atoms_;
  bool isWhole_ = false; ///< ends with `$`
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_NAMEPATTERN_H
