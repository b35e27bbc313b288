//===- TemplateInterpreter.h - runs a compiled chat template ----*- C++ -*-===//
//
// Walks the nodes of a TemplateView. One interpreter renders once. Errors stick in the budget:
// after the first one everything evaluates to undefined and every loop ends.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATEINTERPRETER_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATEINTERPRETER_H

#include "runtime/text/TemplateValue.h"
#include "runtime/text/TemplateView.h"

#include <ctime>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace llama4::text {

/// The evaluated arguments of a call.
struct TemplateArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;

  /// The argument at `index` or called `name`; null when it is not given.
  const Value *find(size_t index, std::string_view name) const;
};

class TemplateInterpreter {
public:
  /// `now` is what strftime_now shows.
  TemplateInterpreter(const TemplateView &view, TemplateBudget &budget, std::time_t now)
      : view_(view), budget_(budget), now_(now), scopes_(1) {}

  /// Defines a variable. The name must outlive the interpreter.
  void define(std::string_view name, Value value) { assignName(name, std::move(value)); }
  /// Renders everything; the budget holds the error, if there is one.
  Marked run();

private:
  using Scope = std::vector<std::pair<std::string_view, Value>>;
  enum class Flow { Next, Break, Continue };

  // TemplateStatements.cpp
  Flow execute(uint32_t index);
  Flow executeBody(const TemplateNode &node);
  Flow executeIf(const TemplateNode &node);
  Flow executeFor(const TemplateNode &node);
  ListRef filterItems(const TemplateNode &node, const ListRef &items);
  void executeSetBlock(const TemplateNode &node);
  void assign(uint32_t target, Value value);
  void assignName(std::string_view name, Value value);
  void assignTuple(const TemplateNode &target, const Value &value);
  void print(const Marked &text);
  Value callMacro(const TemplateNode &call);
  void bindParameters(const TemplateNode &macro, const TemplateArguments &arguments);
  Value lookup(std::string_view name);

  // TemplateExpressions.cpp
  Value evaluate(uint32_t index);
  Value evaluateNode(const TemplateNode &node);
  Value evaluateAccess(const TemplateNode &node);
  Value evaluateSum(const TemplateNode &node);
  Value evaluateConcat(const TemplateNode &node);
  Value evaluateLogic(const TemplateNode &node, bool stopAt);
  Value evaluateCompare(const TemplateNode &node);
  Value evaluateSlice(const TemplateNode &node);
  Value evaluateDict(const TemplateNode &node);
  Value evaluateSign(const TemplateNode &node, int64_t sign);
  std::vector<Value> evaluateAll(const TemplateNode &node);
  TemplateArguments evaluateArguments(const TemplateNode &node, uint32_t first);
  bool compare(CompareOp op, const Value &a, const Value &b);
  bool contains(const Value &container, const Value &item);
  Value attributeOf(const Value &object, std::string_view name);
  Value itemOf(const Value &object, const Value &key);
  Value loopAttribute(const TemplateLoop &loop, std::string_view name);

  // TemplateArithmetic.cpp
  Value binary(BinaryOp op, const Value &a, const Value &b);
  Value addSequences(const Value &a, const Value &b);
  Value repeatText(const Marked &text, int64_t count);
  Value integerArithmetic(BinaryOp op, int64_t a, int64_t b);
  Value floatArithmetic(BinaryOp op, double a, double b);

  // TemplateFilters.cpp
  Value applyFilter(TemplateFilter filter, const Value &input, const TemplateArguments &arguments);
  Value filterText(TemplateFilter filter, const Value &input, const TemplateArguments &arguments);
  Value formatText(const Value &input, const TemplateArguments &arguments);
  Value filterNumber(TemplateFilter filter, const Value &input, const TemplateArguments &arguments);
  Value filterSequence(TemplateFilter filter, const Value &input,
                       const TemplateArguments &arguments);
  Value filterMap(const Value &input, const TemplateArguments &arguments);
  Value filterSelect(TemplateFilter filter, const Value &input, const TemplateArguments &arguments);
  Value filterSort(TemplateFilter filter, const Value &input, const TemplateArguments &arguments);
  Value filterUnique(const Value &input, const TemplateArguments &arguments);
  Value filterJson(const Value &input, const TemplateArguments &arguments);
  Value filterJoin(const Value &input, const TemplateArguments &arguments);
  Value indentText(const Value &input, const TemplateArguments &arguments);
  Value itemPairs(const Value &dict);
  Value path(const Value &object, std::string_view dotted);
  bool applyTest(TemplateTest test, const Value &input, const TemplateArguments &arguments);
  bool testNumber(TemplateTest test, const Value &input, const TemplateArguments &arguments);

  // TemplateMethods.cpp
  Value callMethod(TemplateMethod method, const Value &object, const TemplateArguments &arguments);
  Value callTextMethod(TemplateMethod method, const Marked &text,
                       const TemplateArguments &arguments);
  Value callDictMethod(TemplateMethod method, const DictRef &dict,
                       const TemplateArguments &arguments);
  Value splitMethod(TemplateMethod method, const Marked &text, const TemplateArguments &arguments);
  Value searchMethod(TemplateMethod method, const Marked &text, const TemplateArguments &arguments);
  Value affixMethod(TemplateMethod method, const Marked &text, const TemplateArguments &arguments);
  Value callFunction(TemplateFunction function, const TemplateArguments &arguments);
  Value makeRange(const TemplateArguments &arguments);
  Value formatTime(const TemplateArguments &arguments);
  Value makeNamespace(const TemplateArguments &arguments);
  Value replaceIn(const Marked &text, const TemplateArguments &arguments);
  Value listOfTexts(std::vector<Marked> texts);

  // Shared.
  Value fail(std::string message);
  /// An error naming an undefined value that was used as `purpose`; true when it was undefined.
  bool refuseUndefined(const Value &value);
  Marked textOf(const Value &value) { return toText(value, budget_); }
  /// The string argument, or nothing (with an error when it is given and no string).
  const Marked *textArgument(const TemplateArguments &arguments, size_t index,
                             std::string_view name);
  std::optional<int64_t> integerArgument(const TemplateArguments &arguments, size_t index,
                                         std::string_view name);
  bool flagArgument(const TemplateArguments &arguments, size_t index, std::string_view name);

  const TemplateView &view_;
  TemplateBudget &budget_;
  std::time_t now_;
  std::vector<Scope> scopes_;
  size_t scopeFloor_ = 0; ///< a macro sees its own scopes from here, and scope 0
  std::vector<std::vector<std::pair<std::string_view, Value>>> namespaces_;
  Marked *output_ = nullptr;
  uint32_t depth_ = 0;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATEINTERPRETER_H
