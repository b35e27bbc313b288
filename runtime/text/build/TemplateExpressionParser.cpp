//===- TemplateExpressionParser.cpp - the expressions of a template *- C++ -*-===//

#include "runtime/text/TemplateOps.h"
#include "runtime/text/build/TemplateParser.h"

#include <algorithm>
#include <bit>
#include <charconv>

namespace llama4::text {

namespace {

template <typename Enum> uint8_t opOf(Enum value) { return static_cast<uint8_t>(value); }

} // namespace

/// a, b, c: a tuple when there is a comma.
uint32_t TemplateParser::parseTuple(bool withChoice) {
  uint32_t at = line();
  auto parse = [&] { return withChoice ? parseExpression() : parseOr(); };
  std::vector<uint32_t> items = {parse()};
  bool tuple = false;
  while (!failed() && acceptOperator(",")) {
    tuple = true;
    TokenKind next = peek().kind;
    if (next == TokenKind::PrintEnd || next == TokenKind::BlockEnd || isOperator(")"))
      break;
    items.push_back(parse());
  }
  return tuple ? writer_.add(NodeKind::Tuple, at, items) : items[0];
}

uint32_t TemplateParser::parseExpression() {
  NestingGuard guard(*this);
  uint32_t at = line();
  uint32_t value = parseOr();
  while (!failed() && acceptName("if")) {
    uint32_t condition = parseOr();
    if (acceptName("else")) {
      uint32_t other = parseExpression();
      value = writer_.add(NodeKind::Choose, at, {value, condition, other});
    } else {
      value = writer_.add(NodeKind::Choose, at, {value, condition});
    }
  }
  return value;
}

uint32_t TemplateParser::parseChain(NodeKind kind, std::string_view word,
                                    uint32_t (TemplateParser::*next)()) {
  uint32_t at = line();
  std::vector<uint32_t> parts = {(this->*next)()};
  while (!failed() && (kind == NodeKind::Concat ? acceptOperator(word) : acceptName(word)))
    parts.push_back((this->*next)());
  return parts.size() == 1 ? parts[0] : writer_.add(kind, at, parts);
}

uint32_t TemplateParser::parseOr() {
  return parseChain(NodeKind::Or, "or", &TemplateParser::parseAnd);
}

uint32_t TemplateParser::parseAnd() {
  return parseChain(NodeKind::And, "and", &TemplateParser::parseNot);
}

uint32_t TemplateParser::parseNot() {
  uint32_t at = line();
  if (!acceptName("not"))
    return parseCompare();
  NestingGuard guard(*this);
  return writer_.add(NodeKind::Not, at, {failed() ? none() : parseNot()});
}

uint32_t TemplateParser::parseCompare() {
  static constexpr std::pair<std::string_view, CompareOp> kOperators[] = {
      {"==", CompareOp::Eq}, {"!=", CompareOp::Ne}, {"<", CompareOp::Lt},
      {"<=", CompareOp::Le}, {">", CompareOp::Gt},  {">=", CompareOp::Ge}};
  uint32_t at = line();
  std::vector<uint32_t> parts = {parseSum()};
  while (!failed()) {
    const auto *op = std::find_if(std::begin(kOperators), std::end(kOperators),
                                  [&](const auto &entry) { return isOperator(entry.first); });
    CompareOp code = CompareOp::In;
    if (op != std::end(kOperators)) {
      code = op->second;
      take();
    } else if (isName("not") && isName("in", 1)) {
      code = CompareOp::NotIn;
      take();
      take();
    } else if (!acceptName("in")) {
      break;
    }
    uint32_t right = parseSum();
    parts.push_back(writer_.add(NodeKind::Comparison, line(), {right}, {opOf(code), 0}));
  }
  return parts.size() == 1 ? parts[0] : writer_.add(NodeKind::Compare, at, parts);
}

uint32_t TemplateParser::parseSum() {
  uint32_t at = line();
  std::vector<uint32_t> parts = {parseConcat()};
  while (!failed() && (isOperator("+") || isOperator("-"))) {
    BinaryOp op = take().text == "+" ? BinaryOp::Add : BinaryOp::Subtract;
    uint32_t right = parseConcat();
    parts.push_back(writer_.add(NodeKind::Term, line(), {right}, {opOf(op), 0}));
  }
  return parts.size() == 1 ? parts[0] : writer_.add(NodeKind::Sum, at, parts);
}

uint32_t TemplateParser::parseConcat() {
  return parseChain(NodeKind::Concat, "~", &TemplateParser::parseProduct);
}

uint32_t TemplateParser::parseProduct() {
  static constexpr std::pair<std::string_view, BinaryOp> kOperators[] = {
      {"*", BinaryOp::Multiply},
      {"/", BinaryOp::Divide},
      {"//", BinaryOp::FloorDivide},
      {"%", BinaryOp::Modulo}};
  uint32_t at = line();
  std::vector<uint32_t> parts = {parsePower()};
  while (!failed()) {
    const auto *op = std::find_if(std::begin(kOperators), std::end(kOperators),
                                  [&](const auto &entry) { return isOperator(entry.first); });
    if (op == std::end(kOperators))
      break;
    take();
    uint32_t right = parsePower();
    parts.push_back(writer_.add(NodeKind::Term, line(), {right}, {opOf(op->second), 0}));
  }
  return parts.size() == 1 ? parts[0] : writer_.add(NodeKind::Sum, at, parts);
}

uint32_t TemplateParser::parsePower() {
  uint32_t at = line();
  std::vector<uint32_t> parts = {parseUnary(/*withFilters=*/true)};
  while (!failed() && acceptOperator("**")) {
    uint32_t right = parseUnary(/*withFilters=*/true);
    parts.push_back(writer_.add(NodeKind::Term, line(), {right}, {opOf(BinaryOp::Power), 0}));
  }
  return parts.size() == 1 ? parts[0] : writer_.add(NodeKind::Sum, at, parts);
}

uint32_t TemplateParser::parseUnary(bool withFilters) {
  NestingGuard guard(*this);
  uint32_t at = line();
  uint32_t node = 0;
  if (failed())
    return none();
  if (isOperator("-") || isOperator("+")) {
    NodeKind kind = take().text == "-" ? NodeKind::Negate : NodeKind::Plus;
    node = writer_.add(kind, at, {parseUnary(/*withFilters=*/false)});
  } else {
    node = parsePrimary();
  }
  node = parsePostfix(node);
  return withFilters ? parseFilters(node) : node;
}

uint32_t TemplateParser::parsePrimary() {
  Token token = peek();
  switch (token.kind) {
  case TokenKind::Name:
    take();
    return parseName(token);
  case TokenKind::String: {
    std::string text;
    while (peek().kind == TokenKind::String)
      text += take().text; // neighbours are one string
    return writer_.add(NodeKind::String, token.line, {}, {0, writer_.string(text)});
  }
  case TokenKind::Integer:
  case TokenKind::Float:
    take();
    return parseNumber(token);
  default:
    break;
  }
  if (acceptOperator("("))
    return parseParenthesis(token.line);
  if (acceptOperator("["))
    return parseList(token.line);
  if (acceptOperator("{"))
    return parseDict(token.line);
  fail("expected a value before '" + token.text + "'");
  return none();
}

uint32_t TemplateParser::parseName(const Token &token) {
  if (token.text == "true" || token.text == "True")
    return writer_.add(NodeKind::True, token.line);
  if (token.text == "false" || token.text == "False")
    return writer_.add(NodeKind::False, token.line);
  if (token.text == "none" || token.text == "None")
    return writer_.add(NodeKind::None, token.line);
  if (isOperator("("))
    return parseFunctionCall(token);
  return writer_.add(NodeKind::Name, token.line, {}, {0, writer_.string(token.text)});
}

uint32_t TemplateParser::parseNumber(const Token &token) {
  const char *begin = token.text.data();
  const char *end = begin + token.text.size();
  if (token.kind == TokenKind::Integer) {
    int64_t value = 0;
    if (std::from_chars(begin, end, value).ec != std::errc())
      fail("the number " + token.text + " needs more than 64 bits");
    uint32_t number = writer_.number(static_cast<uint64_t>(value));
    return writer_.add(NodeKind::Integer, token.line, {}, {0, number});
  }
  double value = 0;
  if (std::from_chars(begin, end, value).ec != std::errc())
    fail("the number " + token.text + " is out of range");
  uint32_t number = writer_.number(std::bit_cast<uint64_t>(value));
  return writer_.add(NodeKind::Float, token.line, {}, {0, number});
}

uint32_t TemplateParser::parseParenthesis(uint32_t at) {
  if (acceptOperator(")"))
    return writer_.add(NodeKind::Tuple, at);
  uint32_t value = parseTuple(/*withChoice=*/true);
  expectOperator(")");
  return value;
}

uint32_t TemplateParser::parseList(uint32_t at) {
  std::vector<uint32_t> items;
  while (!failed() && !isOperator("]")) {
    items.push_back(parseExpression());
    if (!acceptOperator(","))
      break;
  }
  expectOperator("]");
  return writer_.add(NodeKind::List, at, items);
}

uint32_t TemplateParser::parseDict(uint32_t at) {
  std::vector<uint32_t> items;
  while (!failed() && !isOperator("}")) {
    items.push_back(parseExpression());
    expectOperator(":");
    items.push_back(parseExpression());
    if (!acceptOperator(","))
      break;
  }
  expectOperator("}");
  return writer_.add(NodeKind::Dict, at, items);
}

uint32_t TemplateParser::parsePostfix(uint32_t node) {
  uint32_t count = 0;
  while (!failed() && (isOperator(".") || isOperator("[") || isOperator("("))) {
    if (++count > kMaxTemplateNesting)
      fail("a chain of attributes is longer than " + std::to_string(kMaxTemplateNesting));
    else if (acceptOperator("."))
      node = parseAttribute(node);
    else if (acceptOperator("["))
      node = parseSubscript(node);
    else
      fail("calling the value of an expression is not supported");
  }
  return node;
}

uint32_t TemplateParser::parseAttribute(uint32_t object) {
  Token name = take();
  if (name.kind == TokenKind::Integer) {
    uint32_t index = parseNumber(name);
    return writer_.add(NodeKind::Item, name.line, {object, index});
  }
  if (name.kind != TokenKind::Name) {
    fail("expected a name after '.'");
    return object;
  }
  if (!acceptOperator("("))
    return writer_.add(NodeKind::Attribute, name.line, {object}, {0, writer_.string(name.text)});
  std::optional<TemplateMethod> method = findMethod(name.text);
  if (!method) {
    fail("method '" + name.text + "' is not supported");
    return object;
  }
  std::vector<uint32_t> children = {object};
  parseArguments(children);
  return writer_.add(NodeKind::Method, name.line, children, {opOf(*method), 0});
}

uint32_t TemplateParser::parseSubscript(uint32_t object) {
  uint32_t at = line();
  std::vector<uint32_t> parts = {object};
  uint8_t flags = 0;
  bool slice = false;
  for (uint8_t flag : {kSliceStart, kSliceStop, kSliceStep}) {
    if (!isOperator(":") && !isOperator("]")) {
      parts.push_back(parseExpression());
      flags |= flag;
    }
    if (!acceptOperator(":"))
      break;
    slice = true;
  }
  if (isOperator(","))
    fail("subscripts with a comma are not supported");
  expectOperator("]");
  if (!slice && flags == 0)
    fail("expected an index before ']'");
  return slice ? writer_.add(NodeKind::Slice, at, parts, {flags, 0})
               : writer_.add(NodeKind::Item, at, parts);
}

uint32_t TemplateParser::parseFilters(uint32_t node) {
  uint32_t count = 0;
  while (!failed()) {
    if (++count > kMaxTemplateNesting)
      fail("a chain of filters is longer than " + std::to_string(kMaxTemplateNesting));
    else if (acceptOperator("|"))
      node = parseFilter(node);
    else if (acceptName("is"))
      node = parseTest(node);
    else if (isOperator("("))
      fail("calling the value of an expression is not supported");
    else
      break;
  }
  return node;
}

uint32_t TemplateParser::parseFilter(uint32_t node) {
  uint32_t at = line();
  std::string name = expectIdentifier();
  std::optional<TemplateFilter> filter = findFilter(name);
  if (!filter) {
    fail("filter '" + name + "' is not supported");
    return node;
  }
  std::vector<uint32_t> children = {node};
  if (acceptOperator("("))
    parseArguments(children);
  checkNamedOperation(name, children);
  return writer_.add(NodeKind::Filter, at, children, {opOf(*filter), 0});
}

/// Filters and tests that `map`, `select` and the like name in a literal are checked here.
void TemplateParser::checkNamedOperation(std::string_view filter,
                                         const std::vector<uint32_t> &children) {
  bool byAttribute = filter == "selectattr" || filter == "rejectattr";
  bool isTest = byAttribute || filter == "select" || filter == "reject";
  size_t at = byAttribute ? 2 : 1;
  if ((!isTest && filter != "map") || children.size() <= at || failed() ||
      writer_.kindOf(children[at]) != NodeKind::String)
    return;
  std::string_view name = writer_.stringOf(children[at]);
  if (isTest ? !findTest(name) : !findFilter(name))
    fail((isTest ? "test '" : "filter '") + std::string(name) + "' is not supported");
}

uint32_t TemplateParser::parseTest(uint32_t node) {
  uint32_t at = line();
  bool negated = acceptName("not");
  std::string name = expectIdentifier();
  std::optional<TemplateTest> test = findTest(name);
  if (!test) {
    fail("test '" + name + "' is not supported");
    return node;
  }
  std::vector<uint32_t> children = {node};
  TokenKind next = peek().kind;
  bool value = next == TokenKind::String || next == TokenKind::Integer ||
               next == TokenKind::Float || isOperator("[") || isOperator("{") ||
               (next == TokenKind::Name && !isName("else") && !isName("or") && !isName("and") &&
                !isName("is") && !isName("if") && !isName("not") && !isName("in"));
  if (acceptOperator("("))
    parseArguments(children);
  else if (value)
    children.push_back(parsePostfix(parsePrimary()));
  uint32_t result = writer_.add(NodeKind::Test, at, children, {opOf(*test), 0});
  return negated ? writer_.add(NodeKind::Not, at, {result}) : result;
}

uint32_t TemplateParser::parseFunctionCall(const Token &name) {
  expectOperator("(");
  std::vector<uint32_t> children;
  parseArguments(children);
  if (std::optional<TemplateFunction> function = findFunction(name.text))
    return writer_.add(NodeKind::Function, name.line, children, {opOf(*function), 0});
  macroCalls_.emplace_back(name.text, name.line);
  return writer_.add(NodeKind::CallMacro, name.line, children, {0, writer_.string(name.text)});
}

/// After '(': positional arguments, then name=value ones, and ')'.
void TemplateParser::parseArguments(std::vector<uint32_t> &children) {
  bool named = false;
  while (!failed() && !isOperator(")")) {
    uint32_t at = line();
    if (isOperator("*") || isOperator("**")) {
      fail("unpacking arguments with '*' is not supported");
    } else if (peek().kind == TokenKind::Name && isOperator("=", 1)) {
      uint32_t name = writer_.string(take().text);
      take();
      uint32_t value = parseExpression();
      children.push_back(writer_.add(NodeKind::Keyword, at, {value}, {0, name}));
      named = true;
    } else {
      if (named)
        fail("a positional argument follows a named one");
      children.push_back(parseExpression());
    }
    if (!acceptOperator(","))
      break;
  }
  expectOperator(")");
}

} // namespace llama4::text
