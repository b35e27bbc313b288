//===- TemplateWriter.h - collects the nodes of a chat-template section *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEWRITER_H
#define LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEWRITER_H

#include "runtime/base/Status.h"
#include "runtime/text/TemplateFormat.h"

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llama4::text {

/// Nodes are added children first; the last one added is the root.
class TemplateWriter {
public:
  /// What a node holds besides its children.
  struct Fields {
    uint8_t op = 0;
    uint32_t a = 0;
  };

  /// The index of a new node.
  uint32_t add(NodeKind kind, uint32_t line, std::span<const uint32_t> children,
               Fields fields = {0, 0});
  uint32_t add(NodeKind kind, uint32_t line, std::initializer_list<uint32_t> children = {},
               Fields fields = {0, 0}) {
    return add(kind, line, std::span<const uint32_t>(children.begin(), children.size()), fields);
  }
  /// The index of a string; equal strings share one.
  uint32_t string(std::string_view text);
  uint32_t number(uint64_t bits);
  NodeKind kindOf(uint32_t node) const { return static_cast<NodeKind>(nodes_[node].kind); }
  /// The string of a node whose field `a` is one.
  std::string_view stringOf(uint32_t node) const { return *strings_[nodes_[node].a]; }
  uint32_t childOf(uint32_t node, uint32_t i) const {
    return children_[nodes_[node].firstChild + i];
  }
  /// The section. Error: a node with more than 65535 children.
  Result<std::vector<std::byte>> finish() const;

private:
  std::vector<TemplateNode> nodes_;
  std::vector<uint32_t> children_;
  std::vector<uint64_t> numbers_;
  std::map<std::string, uint32_t, std::less<>> stringIds_;
  std::vector<const std::string *> strings_; ///< keys of stringIds_, by id
  bool tooManyChildren_ = false;
};

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_TEMPLATEWRITER_H
