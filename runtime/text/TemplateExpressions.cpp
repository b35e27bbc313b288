//===- TemplateExpressions.cpp - the expressions of a chat template *- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"
#include "runtime/text/TemplateStrings.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <bit>

namespace llama4::text {

Value TemplateInterpreter::fail(std::string message) {
  budget_.fail(std::move(message));
  return Undefined{};
}

bool TemplateInterpreter::refuseUndefined(const Value &value) {
  const auto *undefined = std::get_if<Undefined>(&value);
  if (undefined != nullptr)
    budget_.fail("'" + undefined->name + "' is undefined");
  return undefined != nullptr;
}

Value TemplateInterpreter::evaluate(uint32_t index) {
  TemplateNode node = view_.node(index);
  if (!budget_.spend(1))
    return Undefined{};
  budget_.setLine(node.line);
  if (depth_ >= kMaxTemplateDepth)
    return fail("nesting is deeper than " + std::to_string(kMaxTemplateDepth) + " levels");
  ++depth_;
  Value value = evaluateNode(node);
  --depth_;
  return budget_.failed() ? Undefined{} : value;
}

Value TemplateInterpreter::evaluateNode(const TemplateNode &node) {
  auto child = [&](uint32_t i) { return evaluate(view_.child(node, i)); };
  switch (static_cast<NodeKind>(node.kind)) {
  case NodeKind::String:
    return makeString(view_.string(node.a), /*content=*/false);
  case NodeKind::Integer:
    return static_cast<int64_t>(view_.number(node.a));
  case NodeKind::Float:
    return std::bit_cast<double>(view_.number(node.a));
  case NodeKind::True:
    return true;
  case NodeKind::False:
    return false;
  case NodeKind::None:
    return NoneValue{};
  case NodeKind::Name:
    return lookup(view_.string(node.a));
  case NodeKind::Not:
    return !isTrue(child(0));
  case NodeKind::Negate:
    return evaluateSign(node, -1);
  case NodeKind::Plus:
    return evaluateSign(node, 1);
  case NodeKind::Sum:
    return evaluateSum(node);
  case NodeKind::Concat:
    return evaluateConcat(node);
  case NodeKind::And:
    return evaluateLogic(node, /*stopAt=*/false);
  case NodeKind::Or:
    return evaluateLogic(node, /*stopAt=*/true);
  case NodeKind::Compare:
    return evaluateCompare(node);
  case NodeKind::Choose:
    if (isTrue(child(1)))
      return child(0);
    return node.childCount == 3 ? child(2) : Value(Undefined{"the missing else of an inline if"});
  case NodeKind::List:
    return makeList(evaluateAll(node), budget_);
  case NodeKind::Tuple:
    return makeList(evaluateAll(node), budget_, /*tuple=*/true);
  case NodeKind::Dict:
    return evaluateDict(node);
  default:
    return evaluateAccess(node);
  }
}

/// Attributes, items, calls, filters and tests.
Value TemplateInterpreter::evaluateAccess(const TemplateNode &node) {
  auto child = [&](uint32_t i) { return evaluate(view_.child(node, i)); };
  switch (static_cast<NodeKind>(node.kind)) {
  case NodeKind::Attribute:
    return attributeOf(child(0), view_.string(node.a));
  case NodeKind::Item: {
    Value object = child(0);
    return itemOf(object, child(1));
  }
  case NodeKind::Slice:
    return evaluateSlice(node);
  case NodeKind::Function:
    return callFunction(static_cast<TemplateFunction>(node.op), evaluateArguments(node, 0));
  case NodeKind::Method: {
    Value object = child(0);
    return callMethod(static_cast<TemplateMethod>(node.op), object, evaluateArguments(node, 1));
  }
  case NodeKind::CallMacro:
    return callMacro(node);
  case NodeKind::Filter: {
    Value input = child(0);
    return applyFilter(static_cast<TemplateFilter>(node.op), input, evaluateArguments(node, 1));
  }
  case NodeKind::Test: {
    Value input = child(0);
    return applyTest(static_cast<TemplateTest>(node.op), input, evaluateArguments(node, 1));
  }
  default:
    return fail("a statement stands where an expression must be");
  }
}

std::vector<Value> TemplateInterpreter::evaluateAll(const TemplateNode &node) {
  std::vector<Value> values;
  for (uint32_t i = 0; i < node.childCount && !budget_.failed(); ++i)
    values.push_back(evaluate(view_.child(node, i)));
  return values;
}

TemplateArguments TemplateInterpreter::evaluateArguments(const TemplateNode &node, uint32_t first) {
  TemplateArguments arguments;
  for (uint32_t i = first; i < node.childCount && !budget_.failed(); ++i) {
    TemplateNode child = view_.node(view_.child(node, i));
    if (static_cast<NodeKind>(child.kind) == NodeKind::Keyword)
      arguments.named.emplace_back(view_.string(child.a), evaluate(view_.child(child, 0)));
    else
      arguments.positional.push_back(evaluate(view_.child(node, i)));
  }
  return arguments;
}

const Value *TemplateArguments::find(size_t index, std::string_view name) const {
  if (index < positional.size())
    return &positional[index];
  for (const auto &[known, value] : named)
    if (known == name)
      return &value;
  return nullptr;
}

Value TemplateInterpreter::evaluateSum(const TemplateNode &node) {
  Value total = evaluate(view_.child(node, 0));
  for (uint32_t i = 1; i < node.childCount && !budget_.failed(); ++i) {
    TemplateNode term = view_.node(view_.child(node, i));
    total = binary(static_cast<BinaryOp>(term.op), total, evaluate(view_.child(term, 0)));
  }
  return total;
}

Value TemplateInterpreter::evaluateConcat(const TemplateNode &node) {
  Marked text;
  for (uint32_t i = 0; i < node.childCount && !budget_.failed(); ++i) {
    Marked part = textOf(evaluate(view_.child(node, i)));
    if (budget_.spendBytes(text.size() + part.size()))
      text += part;
  }
  return makeString(std::move(text));
}

Value TemplateInterpreter::evaluateLogic(const TemplateNode &node, bool stopAt) {
  Value value;
  for (uint32_t i = 0; i < node.childCount && !budget_.failed(); ++i) {
    value = evaluate(view_.child(node, i));
    if (isTrue(value) == stopAt)
      break;
  }
  return value;
}

Value TemplateInterpreter::evaluateCompare(const TemplateNode &node) {
  Value left = evaluate(view_.child(node, 0));
  for (uint32_t i = 1; i < node.childCount && !budget_.failed(); ++i) {
    TemplateNode comparison = view_.node(view_.child(node, i));
    Value right = evaluate(view_.child(comparison, 0));
    if (budget_.failed() || !compare(static_cast<CompareOp>(comparison.op), left, right))
      return false;
    left = std::move(right);
  }
  return true;
}

bool TemplateInterpreter::compare(CompareOp op, const Value &a, const Value &b) {
  switch (op) {
  case CompareOp::Eq:
    return areEqual(a, b, budget_);
  case CompareOp::Ne:
    return !areEqual(a, b, budget_);
  case CompareOp::In:
    return contains(b, a);
  case CompareOp::NotIn:
    return !contains(b, a);
  default:
    break;
  }
  if (refuseUndefined(a) || refuseUndefined(b))
    return false;
  switch (op) {
  case CompareOp::Lt:
    return isLess(a, b, budget_);
  case CompareOp::Gt:
    return isLess(b, a, budget_);
  case CompareOp::Le:
    return isLess(a, b, budget_) || areEqual(a, b, budget_);
  default:
    return isLess(b, a, budget_) || areEqual(a, b, budget_);
  }
}

bool TemplateInterpreter::contains(const Value &container, const Value &item) {
  if (const auto *text = std::get_if<StringRef>(&container)) {
    const auto *part = std::get_if<StringRef>(&item);
    if (part == nullptr) {
      budget_.fail(std::string("'in <string>' needs a string on its left, not '") + typeName(item) +
                   "'");
      return false;
    }
    return budget_.spendBytes((*text)->size()) &&
           (*text)->bytes().find((*part)->bytes()) != std::string::npos;
  }
  if (const auto *dict = std::get_if<DictRef>(&container))
    return findEntry(**dict, item, budget_) != nullptr;
  ListRef items = iterate(container, budget_);
  return std::any_of(items->items.begin(), items->items.end(), [&](const Value &value) {
    return !budget_.failed() && areEqual(value, item, budget_);
  });
}

Value TemplateInterpreter::evaluateDict(const TemplateNode &node) {
  std::vector<Value> values = evaluateAll(node);
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i + 1 < values.size(); i += 2)
    entries.emplace_back(std::move(values[i]), std::move(values[i + 1]));
  return budget_.failed() ? Value(Undefined{}) : makeDict(std::move(entries), budget_);
}

Value TemplateInterpreter::attributeOf(const Value &object, std::string_view name) {
  if (refuseUndefined(object))
    return Undefined{};
  if (const auto *dict = std::get_if<DictRef>(&object)) {
    // A dict's methods hide its entries, as they do in Python.
    static constexpr std::string_view kHidden[] = {"items",   "keys",       "values",  "get",
                                                   "copy",    "pop",        "update",  "clear",
                                                   "popitem", "setdefault", "fromkeys"};
    if (std::find(std::begin(kHidden), std::end(kHidden), name) != std::end(kHidden))
      return FunctionRef{TemplateFunction::Dict};
    if (const Value *value = findEntry(**dict, name, budget_))
      return *value;
  } else if (const auto *ns = std::get_if<NamespaceRef>(&object)) {
    for (const auto &[known, value] : namespaces_[ns->index])
      if (known == name)
        return value;
  } else if (const auto *loop = std::get_if<LoopRef>(&object)) {
    return loopAttribute(**loop, name);
  }
  return Undefined{std::string(name)};
}

Value TemplateInterpreter::loopAttribute(const TemplateLoop &loop, std::string_view name) {
  auto index = static_cast<int64_t>(loop.index);
  auto count = static_cast<int64_t>(loop.items->items.size());
  if (name == "index")
    return index + 1;
  if (name == "index0")
    return index;
  if (name == "first")
    return index == 0;
  if (name == "last")
    return index + 1 == count;
  if (name == "length")
    return count;
  if (name == "revindex")
    return count - index;
  if (name == "revindex0")
    return count - index - 1;
  if (name == "depth" || name == "depth0") // of recursion, which there is none of
    return int64_t{name == "depth"};
  if (name == "previtem" && index > 0)
    return loop.items->items[loop.index - 1];
  if (name == "nextitem" && index + 1 < count)
    return loop.items->items[loop.index + 1];
  return Undefined{"loop." + std::string(name)};
}

/// An index as Python takes it: bools count, negative ones count from the end.
static std::optional<size_t> resolveIndex(const Value &key, size_t size) {
  int64_t index = 0;
  if (const auto *number = std::get_if<int64_t>(&key))
    index = *number;
  else if (const auto *flag = std::get_if<bool>(&key))
    index = *flag ? 1 : 0;
  else
    return std::nullopt;
  if (index < 0)
    index += static_cast<int64_t>(size);
  if (index < 0 || index >= static_cast<int64_t>(size))
    return std::nullopt;
  return static_cast<size_t>(index);
}

Value TemplateInterpreter::itemOf(const Value &object, const Value &key) {
  if (refuseUndefined(object))
    return Undefined{};
  const auto *name = std::get_if<StringRef>(&key);
  std::string shown = name != nullptr ? (*name)->bytes() : std::string("item");
  if (const auto *dict = std::get_if<DictRef>(&object)) {
    const Value *value = findEntry(**dict, key, budget_);
    return value != nullptr ? *value : Value(Undefined{shown});
  }
  if (const auto *list = std::get_if<ListRef>(&object)) {
    std::optional<size_t> index = resolveIndex(key, (*list)->items.size());
    return index ? (*list)->items[*index] : Value(Undefined{shown});
  }
  if (const auto *text = std::get_if<StringRef>(&object)) {
    std::string_view bytes = (*text)->bytes();
    if (!budget_.spendBytes(bytes.size()))
      return Undefined{};
    std::optional<size_t> index = resolveIndex(key, characterCount(bytes));
    if (!index)
      return Undefined{shown};
    size_t begin = characterOffset(bytes, *index);
    return makeString((*text)->slice(begin, begin + utf8Length(bytes[begin])));
  }
  return name != nullptr ? attributeOf(object, shown) : Value(Undefined{shown});
}

namespace {

/// Python's slice of `size` elements: which indices, in order.
struct SliceBounds {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
};

SliceBounds resolveSlice(std::optional<int64_t> start, std::optional<int64_t> stop, int64_t step,
                         int64_t size) {
  auto clamp = [&](std::optional<int64_t> value, int64_t fallback) {
    if (!value)
      return fallback;
    int64_t low = step > 0 ? 0 : -1;
    int64_t high = step > 0 ? size : size - 1;
    int64_t at = *value < 0 ? (*value < -size ? low : *value + size) : *value;
    return std::clamp(at, low, std::max(low, high));
  };
  return {clamp(start, step > 0 ? 0 : size - 1), clamp(stop, step > 0 ? size : -1), step};
}

} // namespace

Value TemplateInterpreter::evaluateSlice(const TemplateNode &node) {
  Value object = evaluate(view_.child(node, 0));
  uint32_t next = 1;
  auto part = [&](SliceFlag flag) -> std::optional<int64_t> {
    if ((node.op & flag) == 0)
      return std::nullopt;
    Value value = evaluate(view_.child(node, next++));
    if (const auto *number = std::get_if<int64_t>(&value))
      return *number;
    if (!holds<NoneValue>(value))
      budget_.fail(std::string("a slice needs integers, not '") + typeName(value) + "'");
    return std::nullopt;
  };
  std::optional<int64_t> start = part(kSliceStart);
  std::optional<int64_t> stop = part(kSliceStop);
  int64_t step = part(kSliceStep).value_or(1);
  constexpr int64_t kFar = int64_t{1} << 40; // beyond any size, far from overflow
  if (step == 0)
    return fail("a slice's step cannot be 0");
  step = std::clamp(step, -kFar, kFar);
  if (budget_.failed() || refuseUndefined(object))
    return Undefined{};
  bool isText = holds<StringRef>(object);
  if (!isText && !holds<ListRef>(object))
    return fail(std::string("'") + typeName(object) + "' cannot be sliced");
  if (isText && step == 1) { // the common case needs no list of characters
    const Marked &text = *std::get<StringRef>(object);
    auto size = static_cast<int64_t>(characterCount(text.bytes()));
    SliceBounds b = resolveSlice(start, stop, 1, size);
    size_t begin = characterOffset(text.bytes(), static_cast<size_t>(b.start));
    size_t end = characterOffset(text.bytes(), static_cast<size_t>(b.stop));
    return budget_.spendBytes(text.size()) ? makeString(text.slice(begin, std::max(begin, end)))
                                           : Value(Undefined{});
  }
  ListRef items = iterate(object, budget_);
  SliceBounds b = resolveSlice(start, stop, step, static_cast<int64_t>(items->items.size()));
  std::vector<Value> taken;
  for (int64_t i = b.start; step > 0 ? i < b.stop : i > b.stop; i += step)
    taken.push_back(items->items[static_cast<size_t>(i)]);
  if (!isText)
    return makeList(std::move(taken), budget_, std::get<ListRef>(object)->tuple);
  Marked text;
  for (const Value &character : taken)
    text += *std::get<StringRef>(character);
  return makeString(std::move(text));
}

} // namespace llama4::text
