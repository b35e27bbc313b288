//===- TemplateMethods.cpp - methods and functions of a chat template *- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"
#include "runtime/text/TemplateOps.h"
#include "runtime/text/TemplateStrings.h"

#include <array>

namespace llama4::text {

const Marked *TemplateInterpreter::textArgument(const TemplateArguments &arguments, size_t index,
                                                std::string_view name) {
  const Value *value = arguments.find(index, name);
  if (value == nullptr || holds<NoneValue>(*value))
    return nullptr;
  if (const auto *text = std::get_if<StringRef>(value))
    return text->get();
  budget_.fail("argument '" + std::string(name) + "' must be a string, not '" + typeName(*value) +
               "'");
  return nullptr;
}

std::optional<int64_t> TemplateInterpreter::integerArgument(const TemplateArguments &arguments,
                                                            size_t index, std::string_view name) {
  const Value *value = arguments.find(index, name);
  if (value == nullptr || holds<NoneValue>(*value))
    return std::nullopt;
  if (const auto *number = std::get_if<int64_t>(value))
    return *number;
  if (const auto *flag = std::get_if<bool>(value))
    return *flag ? 1 : 0;
  budget_.fail("argument '" + std::string(name) + "' must be an integer, not '" + typeName(*value) +
               "'");
  return std::nullopt;
}

bool TemplateInterpreter::flagArgument(const TemplateArguments &arguments, size_t index,
                                       std::string_view name) {
  const Value *value = arguments.find(index, name);
  return value != nullptr && isTrue(*value);
}

Value TemplateInterpreter::listOfTexts(std::vector<Marked> texts) {
  std::vector<Value> items;
  for (Marked &text : texts)
    items.push_back(makeString(std::move(text)));
  return makeList(std::move(items), budget_);
}

Value TemplateInterpreter::callMethod(TemplateMethod method, const Value &object,
                                      const TemplateArguments &arguments) {
  if (budget_.failed() || refuseUndefined(object))
    return Undefined{};
  if (const auto *text = std::get_if<StringRef>(&object))
    return callTextMethod(method, **text, arguments);
  if (const auto *dict = std::get_if<DictRef>(&object))
    return callDictMethod(method, *dict, arguments);
  if (const auto *loop = std::get_if<LoopRef>(&object);
      loop != nullptr && method == TemplateMethod::Cycle && !arguments.positional.empty())
    return arguments.positional[(*loop)->index % arguments.positional.size()];
  if (const auto *list = std::get_if<ListRef>(&object);
      list != nullptr && method == TemplateMethod::CountOf && arguments.positional.size() == 1) {
    int64_t count = 0;
    for (const Value &item : (*list)->items)
      count += areEqual(item, arguments.positional[0], budget_) ? 1 : 0;
    return count;
  }
  return fail(std::string("'") + typeName(object) + "' has no method '" + nameOf(method) + "'");
}

Value TemplateInterpreter::callDictMethod(TemplateMethod method, const DictRef &dict,
                                          const TemplateArguments &arguments) {
  std::vector<Value> items;
  switch (method) {
  case TemplateMethod::Items:
    return itemPairs(dict);
  case TemplateMethod::Keys:
    for (const auto &entry : dict->entries)
      items.push_back(entry.first);
    return makeList(std::move(items), budget_);
  case TemplateMethod::Values:
    for (const auto &entry : dict->entries)
      items.push_back(entry.second);
    return makeList(std::move(items), budget_);
  case TemplateMethod::Get: {
    const Value *key = arguments.find(0, "key");
    if (key == nullptr)
      return fail("get needs a key");
    if (const Value *value = findEntry(*dict, *key, budget_))
      return *value;
    const Value *fallback = arguments.find(1, "default");
    return fallback != nullptr ? *fallback : Value(NoneValue{});
  }
  default:
    return fail(std::string("'dict' has no method '") + nameOf(method) + "'");
  }
}

Value TemplateInterpreter::callTextMethod(TemplateMethod method, const Marked &text,
                                          const TemplateArguments &arguments) {
  if (!budget_.spendBytes(text.size()))
    return Undefined{};
  switch (method) {
  case TemplateMethod::Strip:
  case TemplateMethod::LStrip:
  case TemplateMethod::RStrip: {
    const Marked *chars = textArgument(arguments, 0, "chars");
    std::optional<std::string_view> set;
    if (chars != nullptr)
      set = chars->bytes();
    return makeString(
        stripText(text, set, method != TemplateMethod::RStrip, method != TemplateMethod::LStrip));
  }
  case TemplateMethod::Split:
  case TemplateMethod::RSplit:
    return splitMethod(method, text, arguments);
  case TemplateMethod::SplitLines:
    return listOfTexts(splitLines(text, flagArgument(arguments, 0, "keepends")));
  case TemplateMethod::Upper:
    return makeString(upperText(text));
  case TemplateMethod::Lower:
    return makeString(lowerText(text));
  case TemplateMethod::Capitalize:
    return makeString(capitalizeText(text));
  case TemplateMethod::Title:
    return makeString(titleText(text, /*afterNonLetter=*/true));
  case TemplateMethod::Replace:
    return replaceIn(text, arguments);
  case TemplateMethod::Find:
  case TemplateMethod::RFind:
  case TemplateMethod::CountOf:
    return searchMethod(method, text, arguments);
  case TemplateMethod::StartsWith:
  case TemplateMethod::EndsWith:
  case TemplateMethod::RemovePrefix:
  case TemplateMethod::RemoveSuffix:
    return affixMethod(method, text, arguments);
  case TemplateMethod::Join: {
    TemplateArguments separator;
    separator.positional.push_back(makeString(text));
    return filterJoin(arguments.positional.empty() ? Value(Undefined{}) : arguments.positional[0],
                      separator);
  }
  default:
    return fail(std::string("'str' has no method '") + nameOf(method) + "'");
  }
}

Value TemplateInterpreter::splitMethod(TemplateMethod method, const Marked &text,
                                       const TemplateArguments &arguments) {
  const Marked *separator = textArgument(arguments, 0, "sep");
  std::optional<int64_t> given = integerArgument(arguments, 1, "maxsplit");
  std::optional<size_t> limit;
  if (given && *given >= 0)
    limit = static_cast<size_t>(*given);
  bool fromRight = method == TemplateMethod::RSplit;
  if (separator == nullptr) {
    if (fromRight && limit)
      return fail("rsplit with a limit needs a separator");
    return listOfTexts(splitWords(text, limit));
  }
  if (separator->empty())
    return fail("the separator of split is empty");
  return listOfTexts(splitText(text, separator->bytes(), limit, fromRight));
}

Value TemplateInterpreter::searchMethod(TemplateMethod method, const Marked &text,
                                        const TemplateArguments &arguments) {
  const Marked *part = textArgument(arguments, 0, "sub");
  if (part == nullptr || arguments.positional.size() > 1)
    return fail(std::string(nameOf(method)) + " needs one string");
  std::string_view bytes = text.bytes();
  if (method == TemplateMethod::CountOf) {
    if (part->empty())
      return static_cast<int64_t>(characterCount(bytes)) + 1;
    int64_t count = 0;
    for (size_t at = bytes.find(part->bytes()); at != std::string_view::npos;
         at = bytes.find(part->bytes(), at + part->size()))
      ++count;
    return count;
  }
  size_t at =
      method == TemplateMethod::Find ? bytes.find(part->bytes()) : bytes.rfind(part->bytes());
  return at == std::string_view::npos ? int64_t{-1}
                                      : static_cast<int64_t>(characterCount(bytes.substr(0, at)));
}

Value TemplateInterpreter::affixMethod(TemplateMethod method, const Marked &text,
                                       const TemplateArguments &arguments) {
  const std::string &bytes = text.bytes();
  bool atStart = method == TemplateMethod::StartsWith || method == TemplateMethod::RemovePrefix;
  auto matches = [&](const Marked &affix) {
    return atStart ? bytes.starts_with(affix.bytes()) : bytes.ends_with(affix.bytes());
  };
  const Value *first = arguments.find(0, "prefix");
  bool asks = method == TemplateMethod::StartsWith || method == TemplateMethod::EndsWith;
  if (first != nullptr && asks && holds<ListRef>(*first)) { // any of several
    for (const Value &option : std::get<ListRef>(*first)->items)
      if (holds<StringRef>(option) && matches(*std::get<StringRef>(option)))
        return true;
    return false;
  }
  const Marked *affix = textArgument(arguments, 0, "prefix");
  if (affix == nullptr)
    return fail(std::string(nameOf(method)) + " needs a string");
  bool found = matches(*affix);
  if (asks)
    return found;
  if (!found)
    return makeString(text);
  return makeString(atStart ? text.slice(affix->size(), text.size())
                            : text.slice(0, text.size() - affix->size()));
}

Value TemplateInterpreter::replaceIn(const Marked &text, const TemplateArguments &arguments) {
  const Marked *from = textArgument(arguments, 0, "old");
  const Marked *to = textArgument(arguments, 1, "new");
  if (from == nullptr || to == nullptr)
    return fail("replace needs two strings");
  std::optional<int64_t> given = integerArgument(arguments, 2, "count");
  std::optional<size_t> limit;
  if (given && *given >= 0)
    limit = static_cast<size_t>(*given);
  if (!budget_.spendBytes(replacedSize(text, from->bytes(), *to, limit)))
    return Undefined{};
  return makeString(replaceText(text, from->bytes(), *to, limit));
}

Value TemplateInterpreter::callFunction(TemplateFunction function,
                                        const TemplateArguments &arguments) {
  if (budget_.failed())
    return Undefined{};
  switch (function) {
  case TemplateFunction::RaiseException: {
    const Value *message = arguments.find(0, "message");
    budget_.failStatus(Status::invalidInput(
        "the chat template refuses these messages: " +
        (message != nullptr ? textOf(*message).bytes() : std::string("no reason given"))));
    return Undefined{};
  }
  case TemplateFunction::StrftimeNow:
    return formatTime(arguments);
  case TemplateFunction::Namespace:
    return makeNamespace(arguments);
  case TemplateFunction::Range:
    return makeRange(arguments);
  default: {
    std::vector<std::pair<Value, Value>> entries;
    for (const Value &base : arguments.positional)
      if (const auto *dict = std::get_if<DictRef>(&base))
        entries.insert(entries.end(), (*dict)->entries.begin(), (*dict)->entries.end());
    for (const auto &[name, value] : arguments.named)
      entries.emplace_back(makeString(name, /*content=*/false), value);
    return makeDict(std::move(entries), budget_);
  }
  }
}

Value TemplateInterpreter::makeNamespace(const TemplateArguments &arguments) {
  std::vector<std::pair<std::string_view, Value>> members = arguments.named;
  if (!arguments.positional.empty())
    return fail("namespace takes keyword arguments only");
  if (!budget_.spend(16))
    return Undefined{};
  namespaces_.push_back(std::move(members));
  return NamespaceRef{namespaces_.size() - 1};
}

Value TemplateInterpreter::makeRange(const TemplateArguments &arguments) {
  std::vector<int64_t> bounds;
  for (size_t i = 0; i < arguments.positional.size(); ++i)
    if (std::optional<int64_t> bound = integerArgument(arguments, i, "bound"))
      bounds.push_back(*bound);
  if (bounds.empty() || bounds.size() > 3 || bounds.size() != arguments.positional.size())
    return fail("range needs one to three integers");
  int64_t start = bounds.size() > 1 ? bounds[0] : 0;
  int64_t stop = bounds.size() > 1 ? bounds[1] : bounds[0];
  int64_t step = bounds.size() > 2 ? bounds[2] : 1;
  if (step == 0)
    return fail("range's step cannot be 0");
  std::vector<Value> items;
  while (step > 0 ? start < stop : start > stop) {
    if (!budget_.spend(1))
      return Undefined{};
    items.emplace_back(start);
    if (__builtin_add_overflow(start, step, &start))
      break;
  }
  return makeList(std::move(items), budget_);
}

Value TemplateInterpreter::formatTime(const TemplateArguments &arguments) {
  const Marked *format = textArgument(arguments, 0, "format");
  if (format == nullptr || format->empty())
    return fail("strftime_now needs a format");
  std::tm local{};
  std::array<char, 256> buffer{};
  if (localtime_r(&now_, &local) == nullptr)
    return fail("the time is not known");
  // A result of 0 bytes is one that does not fit: formats here are never empty.
  size_t size = std::strftime(buffer.data(), buffer.size(), format->bytes().c_str(), &local);
  if (size == 0)
    return fail("the result of strftime_now is empty or longer than 255 bytes");
  return makeString({buffer.data(), size}, format->hasContent());
}

} // namespace llama4::text
