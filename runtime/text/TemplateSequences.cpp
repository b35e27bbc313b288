//===- TemplateSequences.cpp - filters over sequences, and tests *- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"
#include "runtime/text/TemplateOps.h"
#include "runtime/text/TemplateStrings.h"
#include "runtime/text/UnicodeClasses.h"

#include <algorithm>

namespace llama4::text {

Value TemplateInterpreter::itemPairs(const Value &dict) {
  std::vector<Value> pairs;
  for (const auto &[key, value] : std::get<DictRef>(dict)->entries)
    pairs.push_back(makeList({key, value}, budget_, /*tuple=*/true));
  return makeList(std::move(pairs), budget_);
}

Value TemplateInterpreter::filterSequence(TemplateFilter filter, const Value &input,
                                          const TemplateArguments &arguments) {
  switch (filter) {
  case TemplateFilter::Items:
    if (holds<DictRef>(input))
      return itemPairs(input);
    return holds<Undefined>(input) ? makeList({}, budget_)
                                   : fail("the filter 'items' needs a mapping");
  case TemplateFilter::Length:
    if (const auto *text = std::get_if<StringRef>(&input))
      return budget_.spendBytes((*text)->size())
                 ? Value(static_cast<int64_t>(characterCount((*text)->bytes())))
                 : Value(Undefined{});
    return static_cast<int64_t>(iterate(input, budget_)->items.size());
  case TemplateFilter::Map:
    return filterMap(input, arguments);
  case TemplateFilter::Select:
  case TemplateFilter::Reject:
  case TemplateFilter::SelectAttr:
  case TemplateFilter::RejectAttr:
    return filterSelect(filter, input, arguments);
  case TemplateFilter::Sort:
  case TemplateFilter::DictSort:
  case TemplateFilter::Min:
  case TemplateFilter::Max:
    return filterSort(filter, input, arguments);
  case TemplateFilter::Unique:
    return filterUnique(input, arguments);
  default:
    break;
  }
  ListRef items = iterate(input, budget_);
  std::vector<Value> values = items->items;
  if (budget_.failed())
    return Undefined{};
  switch (filter) {
  case TemplateFilter::First:
    return values.empty() ? Value(Undefined{"the first item of nothing"}) : values.front();
  case TemplateFilter::Last:
    return values.empty() ? Value(Undefined{"the last item of nothing"}) : values.back();
  case TemplateFilter::Reverse: {
    std::reverse(values.begin(), values.end());
    if (!holds<StringRef>(input))
      return makeList(std::move(values), budget_);
    Marked text;
    for (const Value &character : values)
      text += *std::get<StringRef>(character);
    return makeString(std::move(text));
  }
  case TemplateFilter::Sum: {
    const Value *start = arguments.find(1, "start");
    const Marked *attribute = textArgument(arguments, 0, "attribute");
    Value total = start != nullptr ? *start : Value(int64_t{0});
    for (const Value &value : values)
      if (!budget_.failed())
        total = binary(BinaryOp::Add, total,
                       attribute != nullptr ? path(value, attribute->bytes()) : value);
    return total;
  }
  default:
    return makeList(std::move(values), budget_);
  }
}

Value TemplateInterpreter::filterMap(const Value &input, const TemplateArguments &arguments) {
  ListRef items = iterate(input, budget_);
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    const Marked *attribute = textArgument(arguments, 0, "attribute");
    const Value *fallback = arguments.find(1, "default");
    if (attribute == nullptr)
      return fail("the filter 'map' needs a filter's name or an attribute");
    for (const Value &item : items->items) {
      Value value = path(item, attribute->bytes());
      mapped.push_back(holds<Undefined>(value) && fallback != nullptr ? *fallback : value);
      if (budget_.failed())
        return Undefined{};
    }
    return makeList(std::move(mapped), budget_);
  }
  const Marked *name = textArgument(arguments, 0, "filter");
  std::optional<TemplateFilter> filter = name ? findFilter(name->bytes()) : std::nullopt;
  if (!filter)
    return fail("the filter '" + (name ? name->bytes() : std::string()) +
                "' given to 'map' is not supported");
  TemplateArguments rest = arguments;
  rest.positional.erase(rest.positional.begin());
  if (++depth_ > kMaxTemplateDepth)
    return fail("nesting is deeper than " + std::to_string(kMaxTemplateDepth) + " levels");
  for (const Value &item : items->items)
    if (!budget_.failed())
      mapped.push_back(applyFilter(*filter, item, rest));
  --depth_;
  return makeList(std::move(mapped), budget_);
}

Value TemplateInterpreter::filterSelect(TemplateFilter filter, const Value &input,
                                        const TemplateArguments &arguments) {
  bool byAttribute = filter == TemplateFilter::SelectAttr || filter == TemplateFilter::RejectAttr;
  bool keepMatching = filter == TemplateFilter::Select || filter == TemplateFilter::SelectAttr;
  TemplateArguments rest = arguments;
  auto takeText = [&]() -> const Marked * {
    const Marked *text =
        textArgument(arguments, arguments.positional.size() - rest.positional.size(), "name");
    if (text != nullptr)
      rest.positional.erase(rest.positional.begin());
    return text;
  };
  const Marked *attribute = byAttribute && !rest.positional.empty() ? takeText() : nullptr;
  if (byAttribute && attribute == nullptr)
    return fail(std::string("the filter '") + nameOf(filter) + "' needs an attribute");
  std::optional<TemplateTest> test;
  if (!rest.positional.empty()) {
    const Marked *name = takeText();
    test = name != nullptr ? findTest(name->bytes()) : std::nullopt;
    if (!test)
      return fail(std::string("the test given to '") + nameOf(filter) + "' is not supported");
  }
  ListRef items = iterate(input, budget_);
  std::vector<Value> kept;
  for (const Value &item : items->items) {
    Value value = attribute != nullptr ? path(item, attribute->bytes()) : item;
    bool matches = test ? applyTest(*test, value, rest) : isTrue(value);
    if (budget_.failed())
      return Undefined{};
    if (matches == keepMatching)
      kept.push_back(item);
  }
  return makeList(std::move(kept), budget_);
}

/// sort, dictsort, min and max: an order over keys, strings without case unless asked for.
Value TemplateInterpreter::filterSort(TemplateFilter filter, const Value &input,
                                      const TemplateArguments &arguments) {
  bool isSort = filter == TemplateFilter::Sort;
  bool isDict = filter == TemplateFilter::DictSort;
  if (isDict && !holds<DictRef>(input))
    return fail("the filter 'dictsort' needs a mapping");
  bool caseSensitive = flagArgument(arguments, isSort ? 1 : 0, "case_sensitive");
  bool reverse = flagArgument(arguments, isSort ? 0 : 2, "reverse");
  const Marked *attribute = isDict ? nullptr : textArgument(arguments, isSort ? 2 : 1, "attribute");
  const Marked *by = isDict ? textArgument(arguments, 1, "by") : nullptr;
  size_t part = by != nullptr && by->bytes() == "value" ? 1 : 0;
  Value sequence = isDict ? itemPairs(input) : input;
  std::vector<std::pair<Value, Value>> keyed; // key, item
  ListRef items = iterate(sequence, budget_);
  for (const Value &item : items->items) {
    if (budget_.failed())
      return Undefined{};
    Value key = attribute != nullptr ? path(item, attribute->bytes()) : item;
    if (isDict)
      key = std::get<ListRef>(item)->items[part];
    if (const auto *text = std::get_if<StringRef>(&key); text != nullptr && !caseSensitive)
      key = budget_.spendBytes((*text)->size()) ? makeString(lowerText(**text)) : key;
    keyed.emplace_back(std::move(key), item);
  }
  bool descending = (isSort || isDict) ? reverse : filter == TemplateFilter::Max;
  stableSort(keyed, [&](const auto &a, const auto &b) {
    return descending ? isLess(b.first, a.first, budget_) : isLess(a.first, b.first, budget_);
  });
  if (!isSort && !isDict)
    return keyed.empty() ? Value(Undefined{"the extreme of nothing"}) : keyed.front().second;
  std::vector<Value> sorted;
  for (auto &entry : keyed)
    sorted.push_back(std::move(entry.second));
  return makeList(std::move(sorted), budget_);
}

Value TemplateInterpreter::filterUnique(const Value &input, const TemplateArguments &arguments) {
  bool caseSensitive = flagArgument(arguments, 0, "case_sensitive");
  const Marked *attribute = textArgument(arguments, 1, "attribute");
  ListRef items = iterate(input, budget_);
  std::vector<Value> seen;
  std::vector<Value> kept;
  for (const Value &item : items->items) {
    Value key = attribute != nullptr ? path(item, attribute->bytes()) : item;
    if (const auto *text = std::get_if<StringRef>(&key); text != nullptr && !caseSensitive)
      key = makeString(lowerText(**text));
    bool known = std::any_of(seen.begin(), seen.end(),
                             [&](const Value &other) { return areEqual(other, key, budget_); });
    if (budget_.failed())
      return Undefined{};
    if (known)
      continue;
    seen.push_back(std::move(key));
    kept.push_back(item);
  }
  return makeList(std::move(kept), budget_);
}

bool TemplateInterpreter::testNumber(TemplateTest test, const Value &input,
                                     const TemplateArguments &arguments) {
  int64_t divisor = 2;
  if (test == TemplateTest::DivisibleBy)
    divisor = integerArgument(arguments, 0, "num").value_or(0);
  Value remainder = binary(BinaryOp::Modulo, input, divisor);
  return !budget_.failed() && areEqual(remainder, int64_t{test == TemplateTest::Odd}, budget_);
}

bool TemplateInterpreter::applyTest(TemplateTest test, const Value &input,
                                    const TemplateArguments &arguments) {
  bool isText = holds<StringRef>(input);
  bool isNumber = holds<int64_t>(input) || holds<double>(input);
  bool undefined = holds<Undefined>(input);
  bool hasItems = isText || holds<ListRef>(input) || holds<DictRef>(input) || undefined;
  auto against = [&](CompareOp op) {
    const Value *other = arguments.find(0, "other");
    if (other == nullptr)
      budget_.fail("a test that compares needs a value to compare with");
    return other != nullptr && compare(op, input, *other);
  };
  auto cased = [&](std::string (*map)(std::string_view), std::string (*other)(std::string_view)) {
    std::string text = textOf(input).bytes();
    return budget_.spendBytes(text.size()) && map(text) == text && other(text) != text;
  };
  switch (test) {
  case TemplateTest::Defined:
    return !undefined;
  case TemplateTest::Undefined:
    return undefined;
  case TemplateTest::None:
    return holds<NoneValue>(input);
  case TemplateTest::String:
    return isText;
  case TemplateTest::Number:
    return isNumber || holds<bool>(input);
  case TemplateTest::Integer:
    return holds<int64_t>(input);
  case TemplateTest::Float:
    return holds<double>(input);
  case TemplateTest::Boolean:
    return holds<bool>(input);
  case TemplateTest::True:
    return holds<bool>(input) && isTrue(input);
  case TemplateTest::False:
    return holds<bool>(input) && !isTrue(input);
  case TemplateTest::Mapping:
    return holds<DictRef>(input);
  case TemplateTest::Iterable:
    return hasItems || holds<LoopRef>(input);
  case TemplateTest::Sequence:
    return hasItems;
  case TemplateTest::Callable:
    return holds<MacroRef>(input) || holds<FunctionRef>(input) || undefined;
  case TemplateTest::Odd:
  case TemplateTest::Even:
  case TemplateTest::DivisibleBy:
    return testNumber(test, input, arguments);
  case TemplateTest::Eq:
    return against(CompareOp::Eq);
  case TemplateTest::Ne:
    return against(CompareOp::Ne);
  case TemplateTest::Lt:
    return against(CompareOp::Lt);
  case TemplateTest::Le:
    return against(CompareOp::Le);
  case TemplateTest::Gt:
    return against(CompareOp::Gt);
  case TemplateTest::Ge:
    return against(CompareOp::Ge);
  case TemplateTest::In:
    return against(CompareOp::In);
  case TemplateTest::Upper:
    return cased(toUpper, toLower);
  case TemplateTest::Lower:
    return cased(toLower, toUpper);
  case TemplateTest::Count:
    break;
  }
  return false;
}

} // namespace llama4::text
