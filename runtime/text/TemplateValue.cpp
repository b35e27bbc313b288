//===- TemplateValue.cpp - the values of the chat-template language *- C++ -*-===//

#include "runtime/text/TemplateValue.h"

#include "runtime/text/OneLine.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <cmath>

namespace llama4::text {

bool TemplateBudget::spend(uint64_t steps) {
  if (failed())
    return false;
  if (steps > left_) {
    left_ = 0;
    fail("rendering needs more than " + std::to_string(kMaxTemplateSteps) + " steps");
    return false;
  }
  left_ -= steps;
  return true;
}

bool TemplateBudget::spendBytes(size_t bytes) {
  if (bytes > kMaxTemplateOutput) {
    fail("a string is larger than " + std::to_string(kMaxTemplateOutput) + " bytes");
    return false;
  }
  return spend(bytes / 64);
}

void TemplateBudget::fail(const std::string &message) {
  failStatus(Status::invalidInput("chat template, line " + std::to_string(line_) + ": " +
                                  oneLine(message)));
}

void TemplateBudget::failStatus(Status status) {
  if (!failed())
    status_ = std::move(status);
}

Value makeString(Marked text) { return std::make_shared<const Marked>(std::move(text)); }

Value makeString(std::string_view text, bool content) { return makeString(Marked(text, content)); }

uint32_t depthOf(const Value &value) {
  if (const auto *list = std::get_if<ListRef>(&value))
    return (*list)->depth;
  if (const auto *dict = std::get_if<DictRef>(&value))
    return (*dict)->depth;
  if (const auto *loop = std::get_if<LoopRef>(&value))
    return (*loop)->items->depth + 1;
  return 0;
}

static bool checkDepth(uint32_t depth, TemplateBudget &budget) {
  if (depth > kMaxValueDepth)
    budget.fail("a value is nested deeper than " + std::to_string(kMaxValueDepth) + " levels");
  return depth <= kMaxValueDepth;
}

Value makeList(std::vector<Value> items, TemplateBudget &budget, bool tuple) {
  uint32_t depth = 1;
  for (const Value &item : items)
    depth = std::max(depth, depthOf(item) + 1);
  if (!budget.spend(items.size()) || !checkDepth(depth, budget))
    return Undefined{};
  return std::make_shared<const TemplateList>(TemplateList{std::move(items), tuple, depth});
}

Value makeDict(std::vector<std::pair<Value, Value>> entries, TemplateBudget &budget) {
  auto dict = std::make_shared<TemplateDict>();
  for (auto &[key, value] : entries) {
    dict->depth = std::max({dict->depth, depthOf(key) + 1, depthOf(value) + 1});
    const Value *known = findEntry(*dict, key, budget);
    if (budget.failed() || !checkDepth(dict->depth, budget))
      return Undefined{};
    if (known != nullptr)
      *const_cast<Value *>(known) = std::move(value); // the dict is still ours
    else
      dict->entries.emplace_back(std::move(key), std::move(value));
  }
  return DictRef(std::move(dict));
}

static Value fromJsonObject(const nlohmann::ordered_json &json, TemplateBudget &budget) {
  auto dict = std::make_shared<TemplateDict>(); // JSON parsing has made the keys unique
  for (const auto &[key, item] : json.items()) {
    Value value = fromJson(item, budget);
    dict->depth = std::max(dict->depth, depthOf(value) + 1);
    if (budget.failed() || !checkDepth(dict->depth, budget))
      return Undefined{};
    dict->entries.emplace_back(makeString(isValidUtf8(key) ? key : replaceInvalidUtf8(key, true),
                                          /*content=*/true),
                               std::move(value));
  }
  return DictRef(std::move(dict));
}

Value fromJson(const nlohmann::ordered_json &json, TemplateBudget &budget) {
  if (json.is_string()) {
    const auto &text = json.get_ref<const std::string &>();
    return isValidUtf8(text) ? makeString(text, true)
                             : makeString(replaceInvalidUtf8(text, true), true);
  }
  if (json.is_boolean())
    return json.get<bool>();
  if (json.is_number_integer()) {
    if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
      budget.fail("an integer of the request is larger than 64 bits");
      return Undefined{};
    }
    return json.get<int64_t>();
  }
  if (json.is_number_float())
    return json.get<double>();
  if (json.is_object())
    return fromJsonObject(json, budget);
  if (!json.is_array())
    return NoneValue{};
  std::vector<Value> items;
  uint32_t depth = 1;
  for (const auto &item : json) {
    items.push_back(fromJson(item, budget));
    depth = std::max(depth, depthOf(items.back()) + 1);
    if (budget.failed() || !checkDepth(depth, budget))
      return Undefined{};
  }
  return std::make_shared<const TemplateList>(TemplateList{std::move(items), false, depth});
}

bool isTrue(const Value &value) {
  if (const auto *flag = std::get_if<bool>(&value))
    return *flag;
  if (const auto *number = std::get_if<int64_t>(&value))
    return *number != 0;
  if (const auto *number = std::get_if<double>(&value))
    return *number != 0.0;
  if (const auto *text = std::get_if<StringRef>(&value))
    return !(*text)->empty();
  if (const auto *list = std::get_if<ListRef>(&value))
    return !(*list)->items.empty();
  if (const auto *dict = std::get_if<DictRef>(&value))
    return !(*dict)->entries.empty();
  return !holds<Undefined>(value) && !holds<NoneValue>(value);
}

namespace {

/// A bool, integer or float as Python compares them.
struct Number {
  bool isNumber = false;
  bool isFloat = false;
  int64_t integer = 0;
  double real = 0;
};

Number numberOf(const Value &value) {
  if (const auto *flag = std::get_if<bool>(&value))
    return {true, false, *flag, static_cast<double>(*flag)};
  if (const auto *number = std::get_if<int64_t>(&value))
    return {true, false, *number, static_cast<double>(*number)};
  if (const auto *number = std::get_if<double>(&value))
    return {true, true, 0, *number};
  return {};
}

bool equalLists(const TemplateList &a, const TemplateList &b, TemplateBudget &budget) {
  if (a.tuple != b.tuple || a.items.size() != b.items.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (budget.failed() || !areEqual(a.items[i], b.items[i], budget))
      return false;
  return true;
}

bool equalDicts(const TemplateDict &a, const TemplateDict &b, TemplateBudget &budget) {
  if (a.entries.size() != b.entries.size())
    return false;
  for (const auto &[key, value] : a.entries) {
    const Value *other = findEntry(b, key, budget);
    if (other == nullptr || budget.failed() || !areEqual(value, *other, budget))
      return false;
  }
  return true;
}

} // namespace

bool areEqual(const Value &a, const Value &b, TemplateBudget &budget) {
  if (!budget.spend(1))
    return false;
  Number x = numberOf(a);
  Number y = numberOf(b);
  if (x.isNumber && y.isNumber)
    return x.isFloat || y.isFloat ? x.real == y.real : x.integer == y.integer;
  if (a.index() != b.index())
    return false;
  if (const auto *text = std::get_if<StringRef>(&a))
    return (*text)->bytes() == std::get<StringRef>(b)->bytes();
  if (const auto *list = std::get_if<ListRef>(&a))
    return equalLists(**list, *std::get<ListRef>(b), budget);
  if (const auto *dict = std::get_if<DictRef>(&a))
    return equalDicts(**dict, *std::get<DictRef>(b), budget);
  if (const auto *ns = std::get_if<NamespaceRef>(&a))
    return ns->index == std::get<NamespaceRef>(b).index;
  if (const auto *macro = std::get_if<MacroRef>(&a))
    return macro->node == std::get<MacroRef>(b).node;
  if (const auto *function = std::get_if<FunctionRef>(&a))
    return function->function == std::get<FunctionRef>(b).function;
  if (const auto *loop = std::get_if<LoopRef>(&a))
    return *loop == std::get<LoopRef>(b);
  return true; // None and undefined
}

bool isLess(const Value &a, const Value &b, TemplateBudget &budget) {
  if (!budget.spend(1))
    return false;
  Number x = numberOf(a);
  Number y = numberOf(b);
  if (x.isNumber && y.isNumber)
    return x.isFloat || y.isFloat ? x.real < y.real : x.integer < y.integer;
  if (holds<StringRef>(a) && holds<StringRef>(b)) // code point order is byte order in UTF-8
    return std::get<StringRef>(a)->bytes() < std::get<StringRef>(b)->bytes();
  if (holds<ListRef>(a) && holds<ListRef>(b)) {
    const auto &left = std::get<ListRef>(a)->items;
    const auto &right = std::get<ListRef>(b)->items;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i)
      if (!areEqual(left[i], right[i], budget))
        return !budget.failed() && isLess(left[i], right[i], budget);
    return left.size() < right.size();
  }
  budget.fail(std::string("'") + typeName(a) + "' and '" + typeName(b) + "' have no order");
  return false;
}

const char *typeName(const Value &value) {
  static constexpr const char *kNames[] = {"undefined", "None",      "bool",  "int",
                                           "float",     "str",       "list",  "dict",
                                           "loop",      "namespace", "macro", "function"};
  return kNames[value.index()];
}

const Value *findEntry(const TemplateDict &dict, const Value &key, TemplateBudget &budget) {
  if (const auto *text = std::get_if<StringRef>(&key))
    return findEntry(dict, (*text)->bytes(), budget);
  for (const auto &[name, value] : dict.entries)
    if (areEqual(name, key, budget))
      return &value;
  return nullptr;
}

const Value *findEntry(const TemplateDict &dict, std::string_view key, TemplateBudget &budget) {
  if (!budget.spend(1 + dict.entries.size() / 16))
    return nullptr;
  for (const auto &[name, value] : dict.entries)
    if (const auto *text = std::get_if<StringRef>(&name);
        text != nullptr && (*text)->bytes() == key)
      return &value;
  return nullptr;
}

ListRef iterate(const Value &value, TemplateBudget &budget) {
  static const ListRef empty = std::make_shared<const TemplateList>();
  if (const auto *list = std::get_if<ListRef>(&value))
    return *list;
  std::vector<Value> items;
  if (const auto *dict = std::get_if<DictRef>(&value)) {
    for (const auto &entry : (*dict)->entries)
      items.push_back(entry.first);
  } else if (const auto *text = std::get_if<StringRef>(&value)) {
    const std::string &bytes = (*text)->bytes();
    if (!budget.spend(bytes.size()))
      return empty;
    for (size_t at = 0; at < bytes.size();) {
      size_t next = at + utf8Length(bytes[at]);
      items.push_back(makeString((*text)->slice(at, next)));
      at = next;
    }
  } else if (!holds<Undefined>(value)) {
    budget.fail(std::string("'") + typeName(value) + "' cannot be iterated over");
    return empty;
  }
  Value list = makeList(std::move(items), budget);
  return budget.failed() ? empty : std::get<ListRef>(list);
}

} // namespace llama4::text
