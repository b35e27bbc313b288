//===- NamePattern.cpp - patterns of module names -------------------------===//

#include "compiler/checkpoint/NamePattern.h"

namespace llama4 {

bool NamePattern::Atom::accepts(char c) const {
  switch (kind) {
  case Kind::Any:
    return true;
  case Kind::Digit:
    return c >= '0' && c <= '9';
  case Kind::Character:
    return c == character;
  }
  return false;
}

std::optional<NamePattern> NamePattern::parse(std::string_view text) {
  constexpr size_t kLongest = 1024; // far beyond any name
  constexpr std::string_view kSpecial = "()[]{}|^$*+?";
  if (text.size() > kLongest)
    return std::nullopt;
  NamePattern pattern;
  if (text.starts_with('^'))
    text.remove_prefix(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '$' && i + 1 == text.size()) {
      pattern.isWhole_ = true;
      return pattern;
    }
    if (kSpecial.find(text[i]) != std::string_view::npos)
      return std::nullopt;
    Atom atom;
    if (text[i] == '\\') {
      if (++i == text.size())
        return std::nullopt;
      const bool isLetter = (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z';
      if (isLetter && text[i] != 'd')
        return std::nullopt; // another class
      atom = {isLetter ? Kind::Digit : Kind::Character, text[i]};
    } else if (text[i] != '.') {
      atom = {Kind::Character, text[i]};
    }
    const char mark = i + 1 < text.size() ? text[i + 1] : '\0';
    if (mark == '*' || mark == '+' || mark == '?')
      ++i;
    if (mark == '+')
      pattern.atoms_.push_back(atom); // one, then any number
    atom.isRepeated = mark == '*' || mark == '+';
    atom.isOptional = atom.isRepeated || mark == '?';
    pattern.atoms_.push_back(atom);
  }
  return pattern;
}

bool NamePattern::matches(std::string_view name) const {
  // reached[i]: the first i atoms match what was read so far.
  const size_t count = atoms_.size();
  std::vector<bool> reached(count + 1);
  auto skipOptional = [&](std::vector<bool> &set) {
    for (size_t i = 0; i < count; ++i)
      if (set[i] && atoms_[i].isOptional)
        set[i + 1] = true;
  };
  reached[0] = true;
  skipOptional(reached);
  for (char c : name) {
    if (reached[count] && !isWhole_)
      return true;
    std::vector<bool> next(count + 1);
    for (size_t i = 0; i < count; ++i)
      if (reached[i] && atoms_[i].accepts(c))
        next[atoms_[i].isRepeated ? i : i + 1] = true;
    skipOptional(next);
    reached = std::move(next);
  }
  return reached[count];
}

} // namespace llama4
