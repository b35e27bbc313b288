//===- TemplateParser.cpp - the statements of a template --------*- C++ -*-===//

#include "runtime/text/build/TemplateParser.h"

#include "runtime/text/build/TemplateCompiler.h"

#include <algorithm>

namespace llama4::text {

const Token &TemplateParser::peek(size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

Token TemplateParser::take() {
  Token token = peek();
  if (at_ + 1 < tokens_.size())
    ++at_;
  return token;
}

bool TemplateParser::isOperator(std::string_view op, size_t ahead) const {
  return peek(ahead).kind == TokenKind::Operator && peek(ahead).text == op;
}

bool TemplateParser::isName(std::string_view name, size_t ahead) const {
  return peek(ahead).kind == TokenKind::Name && peek(ahead).text == name;
}

bool TemplateParser::acceptOperator(std::string_view op) {
  bool found = isOperator(op);
  if (found)
    take();
  return found;
}

bool TemplateParser::acceptName(std::string_view name) {
  bool found = isName(name);
  if (found)
    take();
  return found;
}

void TemplateParser::expectOperator(std::string_view op) {
  if (!acceptOperator(op))
    fail("expected '" + std::string(op) + "' before '" + peek().text + "'");
}

void TemplateParser::expectName(std::string_view name) {
  if (!acceptName(name))
    fail("expected '" + std::string(name) + "' before '" + peek().text + "'");
}

void TemplateParser::expectBlockEnd() {
  if (peek().kind == TokenKind::BlockEnd)
    take();
  else
    fail("expected '%}' before '" + peek().text + "'");
}

std::string TemplateParser::expectIdentifier() {
  if (peek().kind == TokenKind::Name)
    return take().text;
  fail("expected a name before '" + peek().text + "'");
  return {};
}

/// Keeps the first error and moves to the end, which stops every loop of the parser.
void TemplateParser::fail(const std::string &what) {
  if (!failed())
    status_ = templateError(line(), what);
  at_ = tokens_.size() - 1;
}

Status TemplateParser::run() {
  parseBody({});
  for (const auto &[name, line] : macroCalls_)
    if (!failed() && !macros_.contains(name))
      return templateError(line, "function '" + name + "' is not supported");
  return status_;
}

bool TemplateParser::atBlock(std::initializer_list<std::string_view> words) const {
  return peek().kind == TokenKind::BlockBegin &&
         std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return isName(word, 1); });
}

uint32_t TemplateParser::parseBody(std::initializer_list<std::string_view> endWords) {
  NestingGuard guard(*this);
  uint32_t begin = line();
  std::vector<uint32_t> statements;
  while (!failed() && peek().kind != TokenKind::End && !atBlock(endWords))
    parseStatement(statements);
  if (endWords.size() != 0 && peek().kind == TokenKind::End && !failed())
    fail("expected '" + std::string(*(endWords.end() - 1)) + "' before the end of the template");
  return writer_.add(NodeKind::Body, begin, statements);
}

/// The rest of a block tag, the body and the end tag.
uint32_t TemplateParser::parseEnclosed(std::string_view endWord) {
  expectBlockEnd();
  uint32_t body = parseBody({endWord});
  take();
  expectName(endWord);
  if (endWord == "endmacro" && peek().kind == TokenKind::Name)
    take(); // the macro's name may follow
  expectBlockEnd();
  return body;
}

void TemplateParser::parseStatement(std::vector<uint32_t> &statements) {
  Token token = take();
  if (token.kind == TokenKind::Data) {
    statements.push_back(
        writer_.add(NodeKind::Text, token.line, {}, {0, writer_.string(token.text)}));
    return;
  }
  if (token.kind == TokenKind::PrintBegin) {
    uint32_t value = parseTuple(/*withChoice=*/true);
    if (peek().kind == TokenKind::PrintEnd)
      take();
    else
      fail("expected '}}' before '" + peek().text + "'");
    statements.push_back(writer_.add(NodeKind::Output, token.line, {value}));
    return;
  }
  uint32_t at = line();
  std::string word = expectIdentifier();
  if (word == "if") {
    statements.push_back(parseIf(at));
  } else if (word == "for") {
    statements.push_back(parseFor(at));
  } else if (word == "set") {
    statements.push_back(parseSet(at));
  } else if (word == "macro") {
    statements.push_back(parseMacro(at));
  } else if (word == "generation") {
    statements.push_back(parseEnclosed("endgeneration"));
  } else if (word == "break" || word == "continue") {
    if (loops_ == 0)
      fail("'" + word + "' stands outside of a loop");
    statements.push_back(writer_.add(word == "break" ? NodeKind::Break : NodeKind::Continue, at));
    expectBlockEnd();
  } else {
    fail("statement '" + word + "' is not supported");
  }
}

uint32_t TemplateParser::parseIf(uint32_t at) {
  std::vector<uint32_t> parts;
  do {
    parts.push_back(parseTuple(/*withChoice=*/false));
    expectBlockEnd();
    parts.push_back(parseBody({"elif", "else", "endif"}));
    take();
  } while (!failed() && acceptName("elif"));
  if (acceptName("else")) {
    expectBlockEnd();
    parts.push_back(parseBody({"endif"}));
    take();
  }
  expectName("endif");
  expectBlockEnd();
  return writer_.add(NodeKind::If, at, parts);
}

uint32_t TemplateParser::parseFor(uint32_t at) {
  uint32_t target = parseTarget(/*allowAttribute=*/false);
  expectName("in");
  uint32_t sequence = parseTuple(/*withChoice=*/false);
  std::vector<uint32_t> parts = {target, sequence};
  uint8_t op = 0;
  uint32_t filter = 0;
  if (acceptName("if")) {
    filter = parseExpression();
    op |= kForFilter;
  }
  if (isName("recursive"))
    fail("recursive loops are not supported");
  expectBlockEnd();
  ++loops_;
  parts.push_back(parseBody({"else", "endfor"}));
  --loops_;
  take();
  if ((op & kForFilter) != 0)
    parts.push_back(filter);
  if (acceptName("else")) {
    expectBlockEnd();
    parts.push_back(parseBody({"endfor"}));
    take();
    op |= kForElse;
  }
  expectName("endfor");
  expectBlockEnd();
  return writer_.add(NodeKind::For, at, parts, {op, 0});
}

/// a | a, b | (a, b) | ns.a
uint32_t TemplateParser::parseTarget(bool allowAttribute) {
  uint32_t at = line();
  NestingGuard guard(*this);
  std::vector<uint32_t> names;
  bool tuple = false;
  do {
    if (acceptOperator("(")) {
      names.push_back(parseTarget(allowAttribute));
      expectOperator(")");
      continue;
    }
    if (peek().kind != TokenKind::Name && tuple)
      break; // a trailing comma
    std::string name = expectIdentifier();
    names.push_back(writer_.add(NodeKind::Name, at, {}, {0, writer_.string(name)}));
    if (allowAttribute && acceptOperator(".")) {
      std::string attribute = expectIdentifier();
      names.back() =
          writer_.add(NodeKind::Attribute, at, {names.back()}, {0, writer_.string(attribute)});
    }
  } while (!failed() && acceptOperator(",") && (tuple = true));
  return tuple ? writer_.add(NodeKind::Tuple, at, names) : names.empty() ? none() : names[0];
}

uint32_t TemplateParser::parseSet(uint32_t at) {
  uint32_t target = parseTarget(/*allowAttribute=*/true);
  if (acceptOperator("=")) {
    uint32_t value = parseTuple(/*withChoice=*/true);
    expectBlockEnd();
    return writer_.add(NodeKind::Set, at, {target, value});
  }
  if (isOperator("|"))
    fail("filters on a set block are not supported");
  uint32_t body = parseEnclosed("endset");
  return writer_.add(NodeKind::SetBlock, at, {target, body});
}

uint32_t TemplateParser::parseMacro(uint32_t at) {
  std::string name = expectIdentifier();
  std::vector<uint32_t> parts;
  expectOperator("(");
  while (!failed() && !isOperator(")")) {
    uint32_t text = writer_.string(expectIdentifier());
    if (acceptOperator("=")) {
      uint32_t value = parseExpression();
      parts.push_back(writer_.add(NodeKind::Parameter, line(), {value}, {0, text}));
    } else {
      parts.push_back(writer_.add(NodeKind::Parameter, line(), {}, {0, text}));
    }
    if (!acceptOperator(","))
      break;
  }
  expectOperator(")");
  uint32_t outer = std::exchange(loops_, 0u);
  parts.push_back(parseEnclosed("endmacro"));
  loops_ = outer;
  macros_.insert(name);
  return writer_.add(NodeKind::Macro, at, parts, {0, writer_.string(name)});
}

Result<std::vector<std::byte>> compileTemplate(std::string_view source) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<Token> tokens, lexTemplate(source));
  TemplateWriter writer;
  TemplateParser parser(std::move(tokens), writer);
  LLAMA4_RETURN_IF_ERROR(parser.run());
  return writer.finish();
}

} // namespace llama4::text
