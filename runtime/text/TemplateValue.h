//===- TemplateValue.h - the values of the chat-template language *- C++ -*-===//
//
// Strings carry the provenance of every byte: what came with a request stays marked through every
// operation. Values are immutable except for namespaces, which the interpreter owns, so that there
// are no reference cycles; how deep values nest is bounded, so that no walk overflows the stack.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATEVALUE_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATEVALUE_H

#include "runtime/base/Status.h"
#include "runtime/text/TemplateFormat.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace llama4::text {

/// Valid UTF-8 and, for every byte, whether it came with the request.
class Marked {
public:
  Marked() = default;
  Marked(std::string_view bytes, bool content) : bytes_(bytes), marks_(bytes.size(), content) {}

  const std::string &bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool isContent(size_t at) const { return marks_[at] != 0; }
  /// True when any byte came with the request.
  bool hasContent() const { return marks_.find('\1') != std::string::npos; }

  Marked &operator+=(const Marked &other) {
    bytes_ += other.bytes_;
    marks_ += other.marks_;
    return *this;
  }
  void append(std::string_view bytes, bool content) {
    bytes_ += bytes;
    marks_.append(bytes.size(), content ? '\1' : '\0');
  }
  /// Bytes [begin, end), which must be inside.
  Marked slice(size_t begin, size_t end) const {
    Marked part;
    part.bytes_ = bytes_.substr(begin, end - begin);
    part.marks_ = marks_.substr(begin, end - begin);
    return part;
  }

private:
  std::string bytes_;
  std::string marks_; ///< 1: came with the request
};

struct TemplateList;
struct TemplateDict;
struct TemplateLoop;

struct Undefined {
  std::string name; ///< for the error that using it is
};
struct NoneValue {};
/// The interpreter's namespace or macro of that number.
struct NamespaceRef {
  size_t index;
};
struct MacroRef {
  uint32_t node;
};
struct FunctionRef {
  TemplateFunction function;
};

using StringRef = std::shared_ptr<const Marked>;
using ListRef = std::shared_ptr<const TemplateList>;
using DictRef = std::shared_ptr<const TemplateDict>;
using LoopRef = std::shared_ptr<const TemplateLoop>;

/// One value. Copying is cheap.
using Value = std::variant<Undefined, NoneValue, bool, int64_t, double, StringRef, ListRef, DictRef,
                           LoopRef, NamespaceRef, MacroRef, FunctionRef>;

struct TemplateList {
  std::vector<Value> items;
  bool tuple = false;
  uint32_t depth = 1;
};
struct TemplateDict {
  std::vector<std::pair<Value, Value>> entries; ///< in order of insertion
  uint32_t depth = 1;
};
/// The `loop` variable of one iteration.
struct TemplateLoop {
  ListRef items;
  size_t index = 0;
};

template <typename T> bool holds(const Value &value) { return std::holds_alternative<T>(value); }

/// What a rendering may still spend, and its first error. Operations that fail leave their error
/// here and return an undefined value; whoever loops asks `failed`.
class TemplateBudget {
public:
  /// Takes `steps`; false, with an error, when there are not so many left.
  bool spend(uint64_t steps);
  /// Takes the steps for making `bytes` bytes, and refuses strings above the output limit.
  bool spendBytes(size_t bytes);
  void fail(const std::string &message);
  void failStatus(Status status);
  bool failed() const { return !status_.ok(); }
  const Status &status() const { return status_; }
  /// Where errors are said to be.
  void setLine(uint32_t line) { line_ = line; }

private:
  uint64_t left_ = kMaxTemplateSteps;
  uint32_t line_ = 0;
  Status status_;
};

Value makeString(Marked text);
Value makeString(std::string_view text, bool content);
/// A list or tuple; an error when it nests too deep.
Value makeList(std::vector<Value> items, TemplateBudget &budget, bool tuple = false);
/// A dict; later entries replace earlier ones with an equal key.
Value makeDict(std::vector<std::pair<Value, Value>> entries, TemplateBudget &budget);
/// A JSON value; all its strings count as content.
Value fromJson(const nlohmann::ordered_json &json, TemplateBudget &budget);

/// Nesting of a value: 0 for scalars.
uint32_t depthOf(const Value &value);
bool isTrue(const Value &value);
/// Python's ==.
bool areEqual(const Value &a, const Value &b, TemplateBudget &budget);
/// Python's <; an error for values that have no order.
bool isLess(const Value &a, const Value &b, TemplateBudget &budget);
/// The type's name, as Python calls it.
const char *typeName(const Value &value);

/// A stable sort that stays inside the vector even when `less` contradicts itself, as it does once
/// the budget has failed.
template <typename T, typename Less> void stableSort(std::vector<T> &values, Less less) {
  std::vector<T> merged(values.size());
  for (size_t width = 1; width < values.size(); width *= 2) {
    for (size_t begin = 0; begin < values.size(); begin += 2 * width) {
      auto at = [&](size_t i) {
        return std::make_move_iterator(values.begin() +
                                       static_cast<std::ptrdiff_t>(std::min(i, values.size())));
      };
      std::merge(at(begin), at(begin + width), at(begin + width), at(begin + 2 * width),
                 merged.begin() + static_cast<std::ptrdiff_t>(begin), less);
    }
    values.swap(merged);
  }
}

/// The entry with this key, or null.
const Value *findEntry(const TemplateDict &dict, const Value &key, TemplateBudget &budget);
const Value *findEntry(const TemplateDict &dict, std::string_view key, TemplateBudget &budget);

/// What a `for` walks over: list items, dict keys, characters. An error for other values.
ListRef iterate(const Value &value, TemplateBudget &budget);

/// What printing shows: Python's str().
Marked toText(const Value &value, TemplateBudget &budget);
/// Python's repr().
Marked toRepr(const Value &value, TemplateBudget &budget);

struct JsonStyle {
  int indent = -1; ///< spaces a level; below 0: all on one line
  bool ensureAscii = false;
  bool sortKeys = false;
  std::string itemSeparator; ///< empty: Python's own
  std::string keySeparator;
};
/// json.dumps(value).
Marked toJsonText(const Value &value, const JsonStyle &style, TemplateBudget &budget);
/// A float as Python writes it ("1.0", "1e-07").
std::string floatText(double value);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATEVALUE_H
