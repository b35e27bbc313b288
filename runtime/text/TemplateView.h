//===- TemplateView.h - a chat-template section, checked and in place *- C++ -*-===//
//
// Opening reads everything (templates are small): kinds, operations, child counts of every kind,
// string and number indices; and that children come before parents, so that there is no cycle. The
// interpreter relies on all of it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATEVIEW_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATEVIEW_H

#include "runtime/base/Status.h"
#include "runtime/text/TemplateFormat.h"

#include <cstring>
#include <span>
#include <string_view>

namespace llama4::text {

/// A section opened in place. Copyable; the bytes must outlive it.
class TemplateView {
public:
  /// Checks `section`; the Status says what is wrong.
  static Result<TemplateView> open(std::span<const std::byte> section);

  uint32_t root() const { return header_.nodeCount - 1; }
  TemplateNode node(uint32_t index) const { return load<TemplateNode>(nodes_, index); }
  /// Child `i` (< childCount) of a node.
  uint32_t child(const TemplateNode &node, uint32_t i) const {
    return load<uint32_t>(children_, node.firstChild + i);
  }
  uint64_t number(uint32_t index) const { return load<uint64_t>(numbers_, index); }
  std::string_view string(uint32_t index) const;

private:
  template <typename T> static T load(std::span<const std::byte> table, size_t index) {
    T value;
    std::memcpy(&value, table.data() + index * sizeof(T), sizeof(T));
    return value;
  }
  Status readTables(std::span<const std::byte> section);
  Status checkStrings() const;
  Status checkNode(uint32_t index) const;

  TemplateHeader header_ = {};
  std::span<const std::byte> nodes_;
  std::span<const std::byte> children_;
  std::span<const std::byte> numbers_;
  std::span<const std::byte> stringEnds_;
  std::span<const std::byte> strings_;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATEVIEW_H
