//===- TemplateFilters.cpp - filters that look at one value -----*- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"
#include "runtime/text/TemplateOps.h"
#include "runtime/text/TemplateStrings.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace llama4::text {

Value TemplateInterpreter::applyFilter(TemplateFilter filter, const Value &input,
                                       const TemplateArguments &arguments) {
  if (budget_.failed())
    return Undefined{};
  switch (filter) {
  case TemplateFilter::Trim:
  case TemplateFilter::Upper:
  case TemplateFilter::Lower:
  case TemplateFilter::Capitalize:
  case TemplateFilter::Title:
  case TemplateFilter::String:
  case TemplateFilter::Replace:
    return filterText(filter, input, arguments);
  case TemplateFilter::Int:
  case TemplateFilter::Float:
  case TemplateFilter::Abs:
    return filterNumber(filter, input, arguments);
  case TemplateFilter::Safe:
    return input;
  case TemplateFilter::ToJson:
    return filterJson(input, arguments);
  case TemplateFilter::Indent:
    return indentText(input, arguments);
  case TemplateFilter::Join:
    return filterJoin(input, arguments);
  case TemplateFilter::Format:
    return formatText(input, arguments);
  case TemplateFilter::Default:
    if (holds<Undefined>(input) || (flagArgument(arguments, 1, "boolean") && !isTrue(input))) {
      const Value *fallback = arguments.find(0, "default_value");
      return fallback != nullptr ? *fallback : makeString("", /*content=*/false);
    }
    return input;
  default:
    return filterSequence(filter, input, arguments);
  }
}

Value TemplateInterpreter::filterText(TemplateFilter filter, const Value &input,
                                      const TemplateArguments &arguments) {
  Marked text = textOf(input);
  if (!budget_.spendBytes(text.size()))
    return Undefined{};
  switch (filter) {
  case TemplateFilter::Trim: {
    const Marked *chars = textArgument(arguments, 0, "chars");
    std::optional<std::string_view> set;
    if (chars != nullptr)
      set = chars->bytes();
    return makeString(stripText(text, set, true, true));
  }
  case TemplateFilter::Upper:
    return makeString(upperText(text));
  case TemplateFilter::Lower:
    return makeString(lowerText(text));
  case TemplateFilter::Capitalize:
    return makeString(capitalizeText(text));
  case TemplateFilter::Title:
    return makeString(titleText(text, /*afterNonLetter=*/false));
  case TemplateFilter::Replace:
    return replaceIn(text, arguments);
  default:
    return makeString(std::move(text));
  }
}

namespace {

/// A whole string (white space around it aside) as a number, as Python's int() and float() read it.
template <typename T> std::optional<T> parseNumber(const Marked &text) {
  Marked stripped = stripText(text, std::nullopt, true, true);
  std::string_view bytes = stripped.bytes();
  if (bytes.starts_with('+') && !bytes.starts_with("+-"))
    bytes.remove_prefix(1);
  T value{};
  auto [end, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), value);
  if (error != std::errc() || end != bytes.data() + bytes.size())
    return std::nullopt;
  return value;
}

std::optional<int64_t> truncated(double value) {
  if (!(std::fabs(value) < 9.2e18))
    return std::nullopt;
  return static_cast<int64_t>(value);
}

} // namespace

Value TemplateInterpreter::filterNumber(TemplateFilter filter, const Value &input,
                                        const TemplateArguments &arguments) {
  const auto *text = std::get_if<StringRef>(&input);
  const auto *real = std::get_if<double>(&input);
  std::optional<int64_t> integer;
  if (const auto *number = std::get_if<int64_t>(&input))
    integer = *number;
  else if (const auto *flag = std::get_if<bool>(&input))
    integer = *flag ? 1 : 0;
  if (filter == TemplateFilter::Abs) {
    if (integer)
      return *integer < 0 ? integerArithmetic(BinaryOp::Multiply, *integer, -1) : Value(*integer);
    return real != nullptr ? Value(std::fabs(*real))
                           : fail(std::string("'") + typeName(input) + "' has no absolute value");
  }
  std::optional<double> parsed;
  if (text != nullptr)
    parsed = parseNumber<double>(**text);
  const Value *fallback = arguments.find(0, "default");
  if (filter == TemplateFilter::Float) {
    if (integer)
      return static_cast<double>(*integer);
    if (real != nullptr || parsed)
      return real != nullptr ? *real : *parsed;
    return fallback != nullptr ? *fallback : Value(0.0);
  }
  if (arguments.find(1, "base") != nullptr)
    return fail("the filter 'int' with a base is not supported");
  if (text != nullptr && !integer)
    integer = parseNumber<int64_t>(**text);
  if (!integer && (real != nullptr || parsed))
    integer = truncated(real != nullptr ? *real : *parsed);
  if (integer)
    return *integer;
  return fallback != nullptr ? *fallback : Value(int64_t{0});
}

/// Python's `format % arguments` with %s, %d and %% alone.
Value TemplateInterpreter::formatText(const Value &input, const TemplateArguments &arguments) {
  if (!arguments.named.empty())
    return fail("the filter 'format' with named arguments is not supported");
  Marked format = textOf(input);
  Marked out;
  size_t used = 0;
  size_t copied = 0;
  for (size_t at = format.bytes().find('%'); at != std::string::npos && !budget_.failed();
       at = format.bytes().find('%', copied)) {
    out += format.slice(copied, at);
    char kind = at + 1 < format.size() ? format.bytes()[at + 1] : '\0';
    copied = std::min(at + 2, format.size());
    if (kind == '%') {
      out += format.slice(at, at + 1);
      continue;
    }
    if (kind != 's' && kind != 'd')
      return fail("the filter 'format' knows %s, %d and %% only");
    if (used == arguments.positional.size())
      return fail("the filter 'format' has fewer arguments than the text has places");
    const Value &argument = arguments.positional[used++];
    if (kind == 'd' && !holds<int64_t>(argument))
      return fail("the filter 'format' has no integer for %d");
    out += textOf(argument);
    if (!budget_.spend(1) || out.size() > kMaxTemplateOutput)
      return fail("a formatted string is larger than " + std::to_string(kMaxTemplateOutput) +
                  " bytes, or took too many steps");
  }
  if (used != arguments.positional.size() && !budget_.failed())
    return fail("the filter 'format' has more arguments than the text has places");
  out += format.slice(copied, format.size());
  return budget_.spendBytes(out.size()) ? makeString(std::move(out)) : Value(Undefined{});
}

Value TemplateInterpreter::filterJson(const Value &input, const TemplateArguments &arguments) {
  JsonStyle style;
  style.ensureAscii = flagArgument(arguments, 0, "ensure_ascii");
  if (std::optional<int64_t> indent = integerArgument(arguments, 1, "indent"))
    style.indent = static_cast<int>(std::clamp<int64_t>(*indent, 0, 64));
  if (const Value *separators = arguments.find(2, "separators");
      separators != nullptr && !holds<NoneValue>(*separators)) {
    const auto *pair = std::get_if<ListRef>(separators);
    if (pair == nullptr || (*pair)->items.size() != 2 || !holds<StringRef>((*pair)->items[0]) ||
        !holds<StringRef>((*pair)->items[1]))
      return fail("tojson's separators must be two strings");
    style.itemSeparator = std::get<StringRef>((*pair)->items[0])->bytes();
    style.keySeparator = std::get<StringRef>((*pair)->items[1])->bytes();
  }
  style.sortKeys = flagArgument(arguments, 3, "sort_keys");
  return makeString(toJsonText(input, style, budget_));
}

Value TemplateInterpreter::indentText(const Value &input, const TemplateArguments &arguments) {
  Marked indention("    ", /*content=*/false);
  if (const Value *width = arguments.find(0, "width")) {
    if (const auto *text = std::get_if<StringRef>(width))
      indention = **text;
    else if (std::optional<int64_t> spaces = integerArgument(arguments, 0, "width"))
      indention =
          Marked(std::string(static_cast<size_t>(std::clamp<int64_t>(*spaces, 0, 1024)), ' '),
                 /*content=*/false);
  }
  bool blank = flagArgument(arguments, 2, "blank");
  Marked text = textOf(input);
  text.append("\n", false); // so that a last line break makes a line
  std::vector<Marked> lines = splitLines(text, /*keepEnds=*/false);
  if (!budget_.spendBytes(text.size() + lines.size() * indention.size()))
    return Undefined{};
  Marked out;
  if (flagArgument(arguments, 1, "first"))
    out += indention;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) {
      out.append("\n", false);
      if (blank || !lines[i].empty())
        out += indention;
    }
    out += lines[i];
  }
  return makeString(std::move(out));
}

Value TemplateInterpreter::path(const Value &object, std::string_view dotted) {
  Value value = object;
  while (!dotted.empty() && !budget_.failed()) {
    size_t dot = dotted.find('.');
    std::string_view part = dotted.substr(0, dot);
    int64_t index = 0;
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    bool isIndex = error == std::errc() && end == part.data() + part.size();
    value = itemOf(value, isIndex ? Value(index) : makeString(part, /*content=*/false));
    dotted = dot == std::string_view::npos ? std::string_view() : dotted.substr(dot + 1);
  }
  return value;
}

Value TemplateInterpreter::filterJoin(const Value &input, const TemplateArguments &arguments) {
  Marked separator;
  if (const Value *given = arguments.find(0, "d"))
    separator = textOf(*given);
  const Marked *attribute = textArgument(arguments, 1, "attribute");
  ListRef items = iterate(input, budget_);
  Marked out;
  for (size_t i = 0; i < items->items.size() && !budget_.failed(); ++i) {
    if (i > 0)
      out += separator;
    out += attribute != nullptr ? textOf(path(items->items[i], attribute->bytes()))
                                : textOf(items->items[i]);
    if (!budget_.spend(1 + separator.size() / 64) || out.size() > kMaxTemplateOutput)
      return fail("a joined string is larger than " + std::to_string(kMaxTemplateOutput) +
                  " bytes, or took too many steps");
  }
  return budget_.spendBytes(out.size()) ? makeString(std::move(out)) : Value(Undefined{});
}

} // namespace llama4::text
