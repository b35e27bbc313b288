//===- TextSegment.h - text that knows where it came from -------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_TEXTSEGMENT_H
#define LLAMA4_RUNTIME_TEXT_TEXTSEGMENT_H

#include <string>

namespace llama4::text {

/// A stretch of a rendered chat. What a request supplied (message text, roles, tool names) is
/// content and can never become a control token; what the template itself says is not.
struct TextSegment {
  std::string text;
  bool fromContent = false;

  bool operator==(const TextSegment &) const = default;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEXTSEGMENT_H
