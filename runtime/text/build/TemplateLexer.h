//===- TemplateLexer.h - Jinja source to tokens -----------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATELEXER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATELEXER_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llama4::text {

enum class TokenKind : uint8_t {
  Data,       ///< text outside of tags, white-space control applied
  PrintBegin, ///< {{
  PrintEnd,   ///< }}
  BlockBegin, ///< {%
  BlockEnd,   ///< %}
  Name,
  String, ///< escapes resolved
  Integer,
  Float,
  Operator,
  End,
};

struct Token {
  TokenKind kind;
  std::string text;
  uint32_t line; ///< from 1
};

/// All tokens of a template, an End token last. Comments are gone, raw blocks are Data.
Result<std::vector<Token>> lexTemplate(std::string_view source);

/// "line N of the chat template: what".
Status templateError(uint32_t line, const std::string &what);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATELEXER_H
