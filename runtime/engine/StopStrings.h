//===- StopStrings.h - ends a text where a stop string begins ----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_STOPSTRINGS_H
#define LLAMA4_RUNTIME_ENGINE_STOPSTRINGS_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

/// Looks for stop strings in a text that comes in pieces. The text ends before the stop string that
/// is complete first (of several that end at the same byte, the longest), wherever the pieces
/// begin and end. What may still become a stop string is held back. Text and stop strings are
/// UTF-8, so what is let through is cut between characters only.
class StopStrings {
public:
  /// No stop strings: all text passes.
  StopStrings() = default;
  /// Errors: Usage (an empty string, one of more than 4096 bytes, or one that is not UTF-8).
  static Result<StopStrings> create(std::vector<std::string> strings);

  /// Takes a piece of valid UTF-8 and appends to `out` what is certainly before any stop string.
  /// Nothing passes after a match.
  void add(std::string_view piece, std::string &out);
  /// The text ends here: appends what was held back.
  void finish(std::string &out);

  /// A stop string was found.
  bool matched() const { return matched_; }

private:
  /// How long a prefix of `text` ends the text so far, for each string.
  struct Stop {
    std::string text;
    std::vector<size_t> failure; ///< [i]: longest border of the first i + 1 bytes
    size_t length = 0;           ///< bytes matched so far
  };
  static void advance(Stop &stop, char byte);

  std::vector<Stop> stops_;
  std::string held_; ///< text that is not let through yet
  bool matched_ = false;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_STOPSTRINGS_H
