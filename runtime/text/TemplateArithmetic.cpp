//===- TemplateArithmetic.cpp - + - * / // % ** of a chat template *- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"

#include <cmath>

namespace llama4::text {

namespace {

const char *symbolOf(BinaryOp op) {
  static constexpr const char *kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

std::optional<int64_t> asInteger(const Value &value) {
  if (const auto *number = std::get_if<int64_t>(&value))
    return *number;
  if (const auto *flag = std::get_if<bool>(&value))
    return *flag ? 1 : 0;
  return std::nullopt;
}

std::optional<double> asFloat(const Value &value) {
  if (const auto *number = std::get_if<double>(&value))
    return *number;
  if (std::optional<int64_t> number = asInteger(value))
    return static_cast<double>(*number);
  return std::nullopt;
}

/// base ** exponent (>= 0), or nothing on overflow.
std::optional<int64_t> integerPower(int64_t base, int64_t exponent) {
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      return std::nullopt;
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
      return std::nullopt;
  }
  return result;
}

} // namespace

Value TemplateInterpreter::evaluateSign(const TemplateNode &node, int64_t sign) {
  Value value = evaluate(view_.child(node, 0));
  if (refuseUndefined(value))
    return Undefined{};
  if (std::optional<int64_t> number = asInteger(value))
    return integerArithmetic(BinaryOp::Multiply, *number, sign);
  if (const auto *number = std::get_if<double>(&value))
    return *number * static_cast<double>(sign);
  return fail(std::string("'") + typeName(value) + "' has no sign");
}

Value TemplateInterpreter::binary(BinaryOp op, const Value &a, const Value &b) {
  if (refuseUndefined(a) || refuseUndefined(b))
    return Undefined{};
  std::optional<int64_t> x = asInteger(a);
  std::optional<int64_t> y = asInteger(b);
  if (x && y)
    return integerArithmetic(op, *x, *y);
  std::optional<double> p = asFloat(a);
  std::optional<double> q = asFloat(b);
  if (p && q)
    return floatArithmetic(op, *p, *q);
  if (op == BinaryOp::Add)
    return addSequences(a, b);
  if (op == BinaryOp::Multiply && holds<StringRef>(a) && y)
    return repeatText(*std::get<StringRef>(a), *y);
  if (op == BinaryOp::Multiply && holds<StringRef>(b) && x)
    return repeatText(*std::get<StringRef>(b), *x);
  if (op == BinaryOp::Modulo && holds<StringRef>(a))
    return fail("string formatting with % is not supported");
  return fail(std::string("'") + typeName(a) + "' " + symbolOf(op) + " '" + typeName(b) +
              "' is not possible");
}

Value TemplateInterpreter::addSequences(const Value &a, const Value &b) {
  if (holds<StringRef>(a) && holds<StringRef>(b)) {
    Marked text = *std::get<StringRef>(a);
    const Marked &tail = *std::get<StringRef>(b);
    if (!budget_.spendBytes(text.size() + tail.size()))
      return Undefined{};
    text += tail;
    return makeString(std::move(text));
  }
  if (holds<ListRef>(a) && holds<ListRef>(b) &&
      std::get<ListRef>(a)->tuple == std::get<ListRef>(b)->tuple) {
    std::vector<Value> items = std::get<ListRef>(a)->items;
    const std::vector<Value> &more = std::get<ListRef>(b)->items;
    items.insert(items.end(), more.begin(), more.end());
    return makeList(std::move(items), budget_, std::get<ListRef>(a)->tuple);
  }
  return fail(std::string("cannot add '") + typeName(b) + "' to '" + typeName(a) + "'");
}

Value TemplateInterpreter::repeatText(const Marked &text, int64_t count) {
  Marked out;
  auto times = static_cast<uint64_t>(count < 0 ? 0 : count);
  if (!text.empty() && times > kMaxTemplateOutput / text.size())
    return fail("a string is larger than " + std::to_string(kMaxTemplateOutput) + " bytes");
  if (!budget_.spendBytes(text.size() * times))
    return Undefined{};
  for (uint64_t i = 0; !text.empty() && i < times; ++i)
    out += text;
  return makeString(std::move(out));
}

Value TemplateInterpreter::integerArithmetic(BinaryOp op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  bool divides = op == BinaryOp::Divide || op == BinaryOp::FloorDivide || op == BinaryOp::Modulo;
  if (divides && b == 0)
    return fail("division by zero");
  switch (op) {
  case BinaryOp::Add:
    overflow = __builtin_add_overflow(a, b, &result);
    break;
  case BinaryOp::Subtract:
    overflow = __builtin_sub_overflow(a, b, &result);
    break;
  case BinaryOp::Multiply:
    overflow = __builtin_mul_overflow(a, b, &result);
    break;
  case BinaryOp::Divide:
    return static_cast<double>(a) / static_cast<double>(b);
  case BinaryOp::FloorDivide:
  case BinaryOp::Modulo: {
    if (b == -1) // the one quotient that overflows, and a remainder that is always 0
      return op == BinaryOp::Modulo ? Value(int64_t{0})
                                    : integerArithmetic(BinaryOp::Multiply, a, -1);
    int64_t quotient = a / b;
    int64_t remainder = a % b;
    bool down = remainder != 0 && (remainder < 0) != (b < 0);
    result = op == BinaryOp::Modulo ? remainder + (down ? b : 0) : quotient - (down ? 1 : 0);
    break;
  }
  default:
    if (b < 0)
      return floatArithmetic(op, static_cast<double>(a), static_cast<double>(b));
    std::optional<int64_t> power = integerPower(a, b);
    overflow = !power;
    result = power.value_or(0);
  }
  return overflow ? fail(std::string("an integer ") + symbolOf(op) + " needs more than 64 bits")
                  : Value(result);
}

Value TemplateInterpreter::floatArithmetic(BinaryOp op, double a, double b) {
  bool divides = op == BinaryOp::Divide || op == BinaryOp::FloorDivide || op == BinaryOp::Modulo;
  if (divides && b == 0.0)
    return fail("division by zero");
  switch (op) {
  case BinaryOp::Add:
    return a + b;
  case BinaryOp::Subtract:
    return a - b;
  case BinaryOp::Multiply:
    return a * b;
  case BinaryOp::Divide:
    return a / b;
  case BinaryOp::FloorDivide:
    return std::floor(a / b);
  case BinaryOp::Modulo: {
    double remainder = std::fmod(a, b);
    return remainder != 0.0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
  }
  default:
    return std::pow(a, b);
  }
}

} // namespace llama4::text
