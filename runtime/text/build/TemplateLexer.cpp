//===- TemplateLexer.cpp - Jinja source to tokens ---------------*- C++ -*-===//
//
// White space as with trim_blocks and lstrip_blocks: the first line break after a block tag goes,
// and so does white space between the start of a line and a block tag; '-' strips all white space
// on its side, '+' keeps it.
//
//===----------------------------------------------------------------------===//

#include "runtime/text/build/TemplateLexer.h"

#include "runtime/text/OneLine.h"
#include "runtime/text/UnicodeClasses.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace llama4::text {

Status templateError(uint32_t line, const std::string &what) {
  return Status::invalidInput("chat template, line " + std::to_string(line) + ": " + oneLine(what));
}

namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

/// Line breaks of any kind as "\n", and without the one at the very end.
std::string normalizeNewlines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n')
      continue;
    out.push_back(source[i] == '\r' ? '\n' : source[i]);
  }
  if (out.ends_with('\n'))
    out.pop_back();
  return out;
}

size_t skipSpace(std::string_view text, size_t at) {
  while (at < text.size()) {
    Utf8Step step = decodeUtf8(text.substr(at));
    if (!step.valid || !isPythonSpace(step.code))
      break;
    at += step.bytes;
  }
  return at;
}

std::string_view stripRight(std::string_view text) {
  size_t kept = 0; // end of the last character that is no space
  for (size_t at = 0; at < text.size();) {
    Utf8Step step = decodeUtf8(text.substr(at));
    at += step.bytes;
    if (!step.valid || !isPythonSpace(step.code))
      kept = at;
  }
  return text.substr(0, kept);
}

class Lexer {
public:
  explicit Lexer(std::string_view source) : source_(normalizeNewlines(source)), text_(source_) {}

  Result<std::vector<Token>> run() {
    while (at_ < text_.size())
      LLAMA4_RETURN_IF_ERROR(lexNext());
    push(TokenKind::End, "");
    return std::move(tokens_);
  }

private:
  uint32_t line() {
    line_ += static_cast<uint32_t>(std::count(text_.begin() + static_cast<long>(counted_),
                                              text_.begin() + static_cast<long>(at_), '\n'));
    counted_ = at_;
    return line_;
  }
  void push(TokenKind kind, std::string_view text) {
    tokens_.push_back({kind, std::string(text), line()});
  }
  void pushData(std::string_view data) {
    if (!data.empty())
      push(TokenKind::Data, data);
  }

  /// Text up to the next tag, and the tag.
  Status lexNext() {
    size_t tag = at_;
    while (tag + 1 < text_.size() &&
           !(text_[tag] == '{' &&
             (text_[tag + 1] == '{' || text_[tag + 1] == '%' || text_[tag + 1] == '#')))
      ++tag;
    if (tag + 1 >= text_.size()) {
      pushData(text_.substr(at_));
      at_ = text_.size();
      return Status();
    }
    std::string_view data = text_.substr(at_, tag - at_);
    char kind = text_[tag + 1];
    char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    bool signedTag = sign == '-' || sign == '+';
    if (sign == '-')
      data = stripRight(data);
    else if (sign != '+' && kind != '{')
      data = stripLineStart(data);
    pushData(data);
    at_ = tag + (signedTag ? 3 : 2);
    if (kind == '#')
      return lexComment();
    if (kind == '%' && atKeyword("raw"))
      return lexRaw();
    push(kind == '%' ? TokenKind::BlockBegin : TokenKind::PrintBegin, "");
    return lexTag(kind == '%');
  }

  std::string_view stripLineStart(std::string_view data) const {
    size_t lineStart = data.rfind('\n') == std::string_view::npos ? 0 : data.rfind('\n') + 1;
    bool blank = skipSpace(data, lineStart) == data.size();
    return blank && (lineStart > 0 || lineStarting_) ? data.substr(0, lineStart) : data;
  }

  /// After the end of a tag: what its sign and trim_blocks remove.
  void finishTag(char sign, bool trimBlock) {
    size_t begin = at_;
    if (sign == '-')
      at_ = skipSpace(text_, at_);
    else if (sign != '+' && trimBlock && at_ < text_.size() && text_[at_] == '\n')
      ++at_;
    lineStarting_ = at_ > begin && text_[at_ - 1] == '\n';
  }

  Status lexComment() {
    uint32_t begin = line();
    size_t end = text_.find("#}", at_);
    if (end == std::string_view::npos)
      return templateError(begin, "a comment is not closed");
    char sign = end > at_ ? text_[end - 1] : '\0';
    at_ = end + 2;
    finishTag(sign, /*trimBlock=*/true);
    return Status();
  }

  bool atKeyword(std::string_view word) const {
    size_t at = skipSpace(text_, at_);
    if (!text_.substr(at).starts_with(word))
      return false;
    at = skipSpace(text_, at + word.size());
    std::string_view rest = text_.substr(at);
    return rest.starts_with("%}") || rest.starts_with("-%}") || rest.starts_with("+%}");
  }

  /// Moves past "%}" and applies its sign.
  void skipBlockEnd(bool trimBlock) {
    size_t end = text_.find("%}", at_);
    char sign = text_[end - 1];
    at_ = end + 2;
    finishTag(sign, trimBlock);
  }

  Status lexRaw() {
    uint32_t begin = line();
    skipBlockEnd(/*trimBlock=*/false);
    size_t from = at_;
    for (size_t tag = text_.find("{%", at_); tag != std::string_view::npos;
         tag = text_.find("{%", tag + 2)) {
      char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
      at_ = tag + (sign == '-' || sign == '+' ? 3 : 2);
      if (!atKeyword("endraw"))
        continue;
      std::string_view data = text_.substr(from, tag - from);
      pushData(sign == '-' ? stripRight(data) : sign == '+' ? data : stripLineStart(data));
      skipBlockEnd(/*trimBlock=*/true);
      return Status();
    }
    return templateError(begin, "a raw block is not closed");
  }

  /// The inside of {{ }} or {% %}, with its end.
  Status lexTag(bool block) {
    std::string_view close = block ? "%}" : "}}";
    std::string open; // brackets not closed yet
    while (true) {
      at_ = skipSpace(text_, at_);
      if (at_ >= text_.size())
        return templateError(line(), block ? "a block tag is not closed" : "a '{{' is not closed");
      std::string_view rest = text_.substr(at_);
      char sign = rest[0] == '-' || (block && rest[0] == '+') ? rest[0] : '\0';
      if (open.empty() && rest.substr(sign != '\0').starts_with(close)) {
        push(block ? TokenKind::BlockEnd : TokenKind::PrintEnd, "");
        at_ += sign != '\0' ? 3 : 2;
        finishTag(sign, block);
        return Status();
      }
      LLAMA4_RETURN_IF_ERROR(lexToken(open));
    }
  }

  Status lexToken(std::string &open) {
    char c = text_[at_];
    if (isNameStart(c)) {
      size_t end = at_;
      while (end < text_.size() && (isNameStart(text_[end]) || isDigit(text_[end])))
        ++end;
      push(TokenKind::Name, text_.substr(at_, end - at_));
      at_ = end;
      return Status();
    }
    if (isDigit(c))
      return lexNumber();
    if (c == '"' || c == '\'')
      return lexString(c);
    return lexOperator(open);
  }

  Status lexNumber() {
    size_t end = at_;
    auto digits = [&] {
      while (end < text_.size() && (isDigit(text_[end]) || text_[end] == '_'))
        ++end;
    };
    bool isFloat = false;
    digits();
    if (end + 1 < text_.size() && text_[end] == '.' && isDigit(text_[end + 1])) {
      isFloat = true;
      ++end;
      digits();
    }
    if (end + 1 < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t sign = text_[end + 1] == '-' || text_[end + 1] == '+' ? 2 : 1;
      if (end + sign < text_.size() && isDigit(text_[end + sign])) {
        isFloat = true;
        end += sign;
        digits();
      }
    }
    std::string number(text_.substr(at_, end - at_));
    std::erase(number, '_');
    push(isFloat ? TokenKind::Float : TokenKind::Integer, number);
    at_ = end;
    return Status();
  }

  /// \xHH, \uHHHH, \UHHHHHHHH: `count` digits after at_.
  Status lexHex(size_t count, std::string &value) {
    char32_t code = 0;
    for (size_t i = 0; i < count; ++i, ++at_) {
      size_t digit =
          at_ < text_.size()
              ? std::string_view("0123456789abcdef")
                    .find(static_cast<char>(text_[at_] >= 'A' && text_[at_] <= 'F' ? text_[at_] + 32
                                                                                   : text_[at_]))
              : std::string_view::npos;
      if (digit == std::string_view::npos || code > 0x10ffff)
        return templateError(line(), "a string has a damaged \\x or \\u escape");
      code = code << 4 | static_cast<char32_t>(digit);
    }
    appendUtf8(value, code);
    return Status();
  }

  Status lexEscape(std::string &value) {
    char c = text_[at_++];
    constexpr std::string_view kEscapes = "abfnrtv\\'\"";
    constexpr std::string_view kValues = "\a\b\f\n\r\t\v\\'\"";
    if (size_t i = kEscapes.find(c); i != std::string_view::npos)
      value.push_back(kValues[i]);
    else if (c == 'x' || c == 'u' || c == 'U')
      return lexHex(c == 'x' ? 2 : c == 'u' ? 4 : 8, value);
    else if (c >= '0' && c <= '7')
      return templateError(line(), "octal escapes in strings are not supported");
    else if (c != '\n')
      value += {'\\', c}; // Python keeps an escape that it does not know
    return Status();
  }

  Status lexString(char quote) {
    uint32_t begin = line();
    std::string value;
    ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      char c = text_[at_++];
      if (c != '\\')
        value.push_back(c);
      else if (at_ < text_.size())
        LLAMA4_RETURN_IF_ERROR(lexEscape(value));
    }
    if (at_ >= text_.size())
      return templateError(begin, "a string is not closed");
    ++at_;
    push(TokenKind::String, value);
    return Status();
  }

  Status lexOperator(std::string &open) {
    static constexpr std::string_view kOperators[] = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};
    std::string_view rest = text_.substr(at_);
    for (std::string_view op : kOperators) {
      if (!rest.starts_with(op))
        continue;
      constexpr std::string_view kOpening = "([{";
      constexpr std::string_view kClosing = ")]}";
      if (kOpening.find(op[0]) != std::string_view::npos)
        open.push_back(op[0]);
      if (size_t i = kClosing.find(op[0]); i != std::string_view::npos) {
        if (open.empty() || open.back() != kOpening[i])
          return templateError(line(), "unexpected '" + std::string(op) + "'");
        open.pop_back();
      }
      push(TokenKind::Operator, op);
      at_ += op.size();
      return Status();
    }
    return templateError(line(), "unexpected character '" + std::string(1, rest[0]) + "'");
  }

  std::string source_;
  std::string_view text_;
  size_t at_ = 0;
  size_t counted_ = 0; ///< lines are counted up to here
  uint32_t line_ = 1;
  bool lineStarting_ = true;
  std::vector<Token> tokens_;
};

} // namespace

Result<std::vector<Token>> lexTemplate(std::string_view source) {
  if (!isValidUtf8(source))
    return Status::invalidInput("the chat template is not UTF-8");
  return Lexer(source).run();
}

} // namespace llama4::text
