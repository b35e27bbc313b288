//===- TemplateParser.h - tokens of a template to nodes ---------*- C++ -*-===//
//
// Recursive descent with Jinja's precedences. The first error stays and everything after it parses
// as nothing, so that the grammar below reads without error handling.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEPARSER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEPARSER_H

#include "runtime/text/build/TemplateLexer.h"
#include "runtime/text/build/TemplateWriter.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llama4::text {

class TemplateParser {
public:
  TemplateParser(std::vector<Token> tokens, TemplateWriter &writer)
      : tokens_(std::move(tokens)), writer_(writer) {}

  /// Parses everything; the writer's last node is the root.
  Status run();

private:
  struct NestingGuard;

  // Tokens.
  const Token &peek(size_t ahead = 0) const;
  Token take();
  bool isOperator(std::string_view op, size_t ahead = 0) const;
  bool isName(std::string_view name, size_t ahead = 0) const;
  bool acceptOperator(std::string_view op);
  bool acceptName(std::string_view name);
  void expectOperator(std::string_view op);
  void expectName(std::string_view name);
  void expectBlockEnd();
  std::string expectIdentifier();
  void fail(const std::string &what);
  bool failed() const { return !status_.ok(); }
  uint32_t line() const { return peek().line; }
  uint32_t none() { return writer_.add(NodeKind::None, line()); }

  // TemplateParser.cpp: statements. parseBody stops at one of the words (and does not consume it).
  uint32_t parseBody(std::initializer_list<std::string_view> endWords);
  void parseStatement(std::vector<uint32_t> &statements);
  uint32_t parseIf(uint32_t at);
  uint32_t parseFor(uint32_t at);
  uint32_t parseSet(uint32_t at);
  uint32_t parseMacro(uint32_t at);
  uint32_t parseTarget(bool allowAttribute);
  uint32_t parseEnclosed(std::string_view endWord);
  bool atBlock(std::initializer_list<std::string_view> words) const;

  // TemplateExpressionParser.cpp.
  uint32_t parseTuple(bool withChoice);
  uint32_t parseExpression();
  uint32_t parseOr();
  uint32_t parseAnd();
  uint32_t parseNot();
  uint32_t parseCompare();
  uint32_t parseSum();
  uint32_t parseConcat();
  uint32_t parseProduct();
  uint32_t parsePower();
  uint32_t parseUnary(bool withFilters);
  uint32_t parsePrimary();
  uint32_t parseName(const Token &token);
  uint32_t parseNumber(const Token &token);
  uint32_t parseParenthesis(uint32_t at);
  uint32_t parseList(uint32_t at);
  uint32_t parseDict(uint32_t at);
  uint32_t parsePostfix(uint32_t node);
  uint32_t parseAttribute(uint32_t object);
  uint32_t parseSubscript(uint32_t object);
  uint32_t parseFilters(uint32_t node);
  uint32_t parseFilter(uint32_t node);
  uint32_t parseTest(uint32_t node);
  uint32_t parseFunctionCall(const Token &name);
  void parseArguments(std::vector<uint32_t> &children);
  void checkNamedOperation(std::string_view filter, const std::vector<uint32_t> &children);
  uint32_t parseChain(NodeKind kind, std::string_view word, uint32_t (TemplateParser::*next)());

  std::vector<Token> tokens_;
  size_t at_ = 0;
  TemplateWriter &writer_;
  Status status_;
  uint32_t nesting_ = 0;
  uint32_t loops_ = 0;
  std::set<std::string, std::less<>> macros_;
  std::vector<std::pair<std::string, uint32_t>> macroCalls_; ///< name and line
};

/// Counts nesting for the length of a scope; fails beyond kMaxTemplateNesting.
struct TemplateParser::NestingGuard {
  explicit NestingGuard(TemplateParser &parser) : parser(parser) {
    if (++parser.nesting_ > kMaxTemplateNesting)
      parser.fail("nesting is deeper than " + std::to_string(kMaxTemplateNesting) + " levels");
  }
  ~NestingGuard() { --parser.nesting_; }
  NestingGuard(const NestingGuard &) = delete;
  NestingGuard &operator=(const NestingGuard &) = delete;

  TemplateParser &parser;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEPARSER_H
