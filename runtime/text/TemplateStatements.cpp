//===- TemplateStatements.cpp - the statements of a chat template *- C++ -*-===//

#include "runtime/text/TemplateInterpreter.h"

namespace llama4::text {

Marked TemplateInterpreter::run() {
  Marked out;
  output_ = &out;
  execute(view_.root());
  return out;
}

void TemplateInterpreter::print(const Marked &text) {
  if (!budget_.spendBytes(text.size()))
    return;
  if (output_->size() + text.size() > kMaxTemplateOutput)
    budget_.fail("the output is larger than " + std::to_string(kMaxTemplateOutput) + " bytes");
  else
    *output_ += text;
}

TemplateInterpreter::Flow TemplateInterpreter::execute(uint32_t index) {
  TemplateNode node = view_.node(index);
  budget_.setLine(node.line);
  if (!budget_.spend(1))
    return Flow::Break;
  if (depth_ >= kMaxTemplateDepth) {
    budget_.fail("nesting is deeper than " + std::to_string(kMaxTemplateDepth) + " levels");
    return Flow::Break;
  }
  ++depth_;
  Flow flow = Flow::Next;
  switch (static_cast<NodeKind>(node.kind)) {
  case NodeKind::Body:
    flow = executeBody(node);
    break;
  case NodeKind::Text:
    print(Marked(view_.string(node.a), /*content=*/false));
    break;
  case NodeKind::Output:
    print(textOf(evaluate(view_.child(node, 0))));
    break;
  case NodeKind::If:
    flow = executeIf(node);
    break;
  case NodeKind::For:
    flow = executeFor(node);
    break;
  case NodeKind::Set:
    assign(view_.child(node, 0), evaluate(view_.child(node, 1)));
    break;
  case NodeKind::SetBlock:
    executeSetBlock(node);
    break;
  case NodeKind::Macro:
    assignName(view_.string(node.a), MacroRef{index});
    break;
  case NodeKind::Break:
    flow = Flow::Break;
    break;
  case NodeKind::Continue:
    flow = Flow::Continue;
    break;
  default:
    budget_.fail("an expression stands where a statement must be");
  }
  --depth_;
  return budget_.failed() ? Flow::Break : flow;
}

TemplateInterpreter::Flow TemplateInterpreter::executeBody(const TemplateNode &node) {
  Flow flow = Flow::Next;
  for (uint32_t i = 0; i < node.childCount && flow == Flow::Next; ++i)
    flow = execute(view_.child(node, i));
  return flow;
}

TemplateInterpreter::Flow TemplateInterpreter::executeIf(const TemplateNode &node) {
  for (uint32_t i = 0; i + 1 < node.childCount; i += 2)
    if (isTrue(evaluate(view_.child(node, i))))
      return execute(view_.child(node, i + 1));
  if (node.childCount % 2 != 0)
    return execute(view_.child(node, node.childCount - 1u));
  return Flow::Next;
}

/// The items that the loop's own `if` lets through.
ListRef TemplateInterpreter::filterItems(const TemplateNode &node, const ListRef &items) {
  std::vector<Value> kept;
  for (const Value &item : items->items) {
    scopes_.emplace_back();
    assign(view_.child(node, 0), item);
    bool keep = isTrue(evaluate(view_.child(node, 3)));
    scopes_.pop_back();
    if (budget_.failed())
      break;
    if (keep)
      kept.push_back(item);
  }
  Value list = makeList(std::move(kept), budget_);
  return budget_.failed() ? ListRef() : std::get<ListRef>(list);
}

TemplateInterpreter::Flow TemplateInterpreter::executeFor(const TemplateNode &node) {
  Value sequence = evaluate(view_.child(node, 1));
  ListRef items = iterate(sequence, budget_);
  if (!budget_.failed() && (node.op & kForFilter) != 0)
    items = filterItems(node, items);
  if (budget_.failed())
    return Flow::Break;
  if (items->items.empty())
    return (node.op & kForElse) != 0 ? execute(view_.child(node, node.childCount - 1u))
                                     : Flow::Next;
  for (size_t i = 0; i < items->items.size() && !budget_.failed(); ++i) {
    scopes_.emplace_back();
    assign(view_.child(node, 0), items->items[i]);
    assignName("loop", std::make_shared<const TemplateLoop>(TemplateLoop{items, i}));
    Flow flow = execute(view_.child(node, 2));
    scopes_.pop_back();
    if (flow == Flow::Break)
      break;
  }
  return budget_.failed() ? Flow::Break : Flow::Next;
}

void TemplateInterpreter::executeSetBlock(const TemplateNode &node) {
  Marked text;
  Marked *outer = std::exchange(output_, &text);
  scopes_.emplace_back();
  execute(view_.child(node, 1));
  scopes_.pop_back();
  output_ = outer;
  assign(view_.child(node, 0), makeString(std::move(text)));
}

void TemplateInterpreter::assignName(std::string_view name, Value value) {
  for (auto &[known, slot] : scopes_.back())
    if (known == name) {
      slot = std::move(value);
      return;
    }
  scopes_.back().emplace_back(name, std::move(value));
}

void TemplateInterpreter::assign(uint32_t index, Value value) {
  if (budget_.failed())
    return;
  TemplateNode target = view_.node(index);
  switch (static_cast<NodeKind>(target.kind)) {
  case NodeKind::Name:
    assignName(view_.string(target.a), std::move(value));
    return;
  case NodeKind::Tuple:
    assignTuple(target, value);
    return;
  case NodeKind::Attribute: {
    Value object = evaluate(view_.child(target, 0));
    const auto *ns = std::get_if<NamespaceRef>(&object);
    if (ns == nullptr) {
      budget_.fail("only attributes of a namespace can be assigned");
      return;
    }
    std::string_view name = view_.string(target.a);
    for (auto &[known, slot] : namespaces_[ns->index])
      if (known == name) {
        slot = std::move(value);
        return;
      }
    namespaces_[ns->index].emplace_back(name, std::move(value));
    return;
  }
  default:
    budget_.fail("the target of an assignment must be a name");
  }
}

void TemplateInterpreter::assignTuple(const TemplateNode &target, const Value &value) {
  ListRef items = iterate(value, budget_);
  if (budget_.failed())
    return;
  if (items->items.size() != target.childCount) {
    budget_.fail("cannot unpack " + std::to_string(items->items.size()) + " values into " +
                 std::to_string(target.childCount) + " names");
    return;
  }
  if (depth_ >= kMaxTemplateDepth) {
    budget_.fail("nesting is deeper than " + std::to_string(kMaxTemplateDepth) + " levels");
    return;
  }
  ++depth_;
  for (uint32_t i = 0; i < target.childCount; ++i)
    assign(view_.child(target, i), items->items[i]);
  --depth_;
}

Value TemplateInterpreter::lookup(std::string_view name) {
  auto findIn = [&](const Scope &scope) -> const Value * {
    for (const auto &[known, value] : scope)
      if (known == name)
        return &value;
    return nullptr;
  };
  for (size_t i = scopes_.size(); i > scopeFloor_; --i)
    if (const Value *value = findIn(scopes_[i - 1]))
      return *value;
  if (const Value *value = findIn(scopes_[0]))
    return *value;
  return Undefined{std::string(name)};
}

void TemplateInterpreter::bindParameters(const TemplateNode &macro,
                                         const TemplateArguments &arguments) {
  uint32_t count = macro.childCount - 1u;
  if (arguments.positional.size() > count) {
    budget_.fail("macro '" + std::string(view_.string(macro.a)) + "' takes " +
                 std::to_string(count) + " arguments, got " +
                 std::to_string(arguments.positional.size()));
    return;
  }
  for (uint32_t i = 0; i < count; ++i) {
    TemplateNode parameter = view_.node(view_.child(macro, i));
    std::string_view name = view_.string(parameter.a);
    if (const Value *given = arguments.find(i, name))
      assignName(name, *given);
    else if (parameter.childCount != 0)
      assignName(name, evaluate(view_.child(parameter, 0)));
    else
      assignName(name, Undefined{std::string(name)});
  }
}

Value TemplateInterpreter::callMacro(const TemplateNode &call) {
  std::string name(view_.string(call.a));
  Value callee = lookup(name);
  const auto *macro = std::get_if<MacroRef>(&callee);
  if (macro == nullptr)
    return fail("'" + name + "' is not a macro");
  TemplateArguments arguments = evaluateArguments(call, 0);
  TemplateNode node = view_.node(macro->node);
  Marked text;
  Marked *outer = std::exchange(output_, &text);
  size_t floor = std::exchange(scopeFloor_, scopes_.size());
  scopes_.emplace_back();
  bindParameters(node, arguments);
  if (!budget_.failed())
    execute(view_.child(node, node.childCount - 1u));
  scopes_.pop_back();
  scopeFloor_ = floor;
  output_ = outer;
  return makeString(std::move(text));
}

} // namespace llama4::text
