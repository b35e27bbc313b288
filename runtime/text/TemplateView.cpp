//===- TemplateView.cpp - a chat-template section, checked and in place *- C++ -*-===//

#include "runtime/text/TemplateView.h"

#include "runtime/base/Checked.h"

#include <iterator>
#include <string>

namespace llama4::text {

namespace {

Status broken(const std::string &what) {
  return Status::invalidInput("chat template section: " + what + "; compile the model again");
}

/// What children of a kind must be.
enum class Role : uint8_t { Statement, Expression, Inner };

/// What a node of a kind may look like.
struct KindRule {
  Role role;
  uint16_t minChildren;
  uint16_t maxChildren;
  enum { Nothing, AString, ANumber } field;
  uint8_t opLimit; ///< op is below this
};

constexpr uint16_t kAny = 0xffff;

template <typename Enum> constexpr uint8_t countOf() { return static_cast<uint8_t>(Enum::Count); }

/// By kind, in the order of NodeKind.
constexpr KindRule kRules[] = {
    {Role::Statement, 0, kAny, KindRule::Nothing, 1},                            // Body
    {Role::Statement, 0, 0, KindRule::AString, 1},                               // Text
    {Role::Statement, 1, 1, KindRule::Nothing, 1},                               // Output
    {Role::Statement, 2, kAny, KindRule::Nothing, 1},                            // If
    {Role::Statement, 3, 5, KindRule::Nothing, 4},                               // For
    {Role::Statement, 2, 2, KindRule::Nothing, 1},                               // Set
    {Role::Statement, 2, 2, KindRule::Nothing, 1},                               // SetBlock
    {Role::Statement, 0, 0, KindRule::Nothing, 1},                               // Break
    {Role::Statement, 0, 0, KindRule::Nothing, 1},                               // Continue
    {Role::Statement, 1, kAny, KindRule::AString, 1},                            // Macro
    {Role::Expression, 0, 0, KindRule::AString, 1},                              // String
    {Role::Expression, 0, 0, KindRule::ANumber, 1},                              // Integer
    {Role::Expression, 0, 0, KindRule::ANumber, 1},                              // Float
    {Role::Expression, 0, 0, KindRule::Nothing, 1},                              // True
    {Role::Expression, 0, 0, KindRule::Nothing, 1},                              // False
    {Role::Expression, 0, 0, KindRule::Nothing, 1},                              // None
    {Role::Expression, 0, 0, KindRule::AString, 1},                              // Name
    {Role::Expression, 1, 1, KindRule::AString, 1},                              // Attribute
    {Role::Expression, 2, 2, KindRule::Nothing, 1},                              // Item
    {Role::Expression, 1, 4, KindRule::Nothing, 8},                              // Slice
    {Role::Expression, 0, kAny, KindRule::Nothing, countOf<TemplateFunction>()}, // Function
    {Role::Expression, 1, kAny, KindRule::Nothing, countOf<TemplateMethod>()},   // Method
    {Role::Expression, 0, kAny, KindRule::AString, 1},                           // CallMacro
    {Role::Expression, 1, kAny, KindRule::Nothing, countOf<TemplateFilter>()},   // Filter
    {Role::Expression, 1, kAny, KindRule::Nothing, countOf<TemplateTest>()},     // Test
    {Role::Inner, 1, 1, KindRule::AString, 1},                                   // Keyword
    {Role::Expression, 1, 1, KindRule::Nothing, 1},                              // Not
    {Role::Expression, 1, 1, KindRule::Nothing, 1},                              // Negate
    {Role::Expression, 1, 1, KindRule::Nothing, 1},                              // Plus
    {Role::Expression, 1, kAny, KindRule::Nothing, 1},                           // Sum
    {Role::Inner, 1, 1, KindRule::Nothing, countOf<BinaryOp>()},                 // Term
    {Role::Expression, 1, kAny, KindRule::Nothing, 1},                           // Concat
    {Role::Expression, 1, kAny, KindRule::Nothing, 1},                           // And
    {Role::Expression, 1, kAny, KindRule::Nothing, 1},                           // Or
    {Role::Expression, 1, kAny, KindRule::Nothing, 1},                           // Compare
    {Role::Inner, 1, 1, KindRule::Nothing, countOf<CompareOp>()},                // Comparison
    {Role::Expression, 2, 3, KindRule::Nothing, 1},                              // Choose
    {Role::Expression, 0, kAny, KindRule::Nothing, 1},                           // List
    {Role::Expression, 0, kAny, KindRule::Nothing, 1},                           // Tuple
    {Role::Expression, 0, kAny, KindRule::Nothing, 1},                           // Dict
    {Role::Inner, 0, 1, KindRule::AString, 1},                                   // Parameter
};
static_assert(std::size(kRules) == static_cast<size_t>(NodeKind::Count));

/// The rule of a kind below Count.
const KindRule &ruleOf(NodeKind kind) { return kRules[static_cast<size_t>(kind)]; }

/// True when child `i` of `count` of a node may be of kind `child`.
bool childFits(NodeKind kind, uint8_t op, uint32_t i, uint32_t count, NodeKind child) {
  bool statement = ruleOf(child).role == Role::Statement;
  bool expression = ruleOf(child).role == Role::Expression;
  bool target = child == NodeKind::Name || child == NodeKind::Attribute || child == NodeKind::Tuple;
  switch (kind) {
  case NodeKind::Body:
    return statement;
  case NodeKind::If:
    return i % 2 == 1 || i + 1 == count ? child == NodeKind::Body : expression;
  case NodeKind::For:
    if (i == 0)
      return target;
    if (i == 2 || (i + 1 == count && (op & kForElse) != 0))
      return child == NodeKind::Body;
    return expression;
  case NodeKind::Set:
    return i == 0 ? target : expression;
  case NodeKind::SetBlock:
    return i == 0 ? target : child == NodeKind::Body;
  case NodeKind::Macro:
    return i + 1 == count ? child == NodeKind::Body : child == NodeKind::Parameter;
  case NodeKind::Sum:
    return i == 0 ? expression : child == NodeKind::Term;
  case NodeKind::Compare:
    return i == 0 ? expression : child == NodeKind::Comparison;
  case NodeKind::Function:
  case NodeKind::CallMacro:
    return expression || child == NodeKind::Keyword;
  case NodeKind::Method:
  case NodeKind::Filter:
  case NodeKind::Test:
    return expression || (i > 0 && child == NodeKind::Keyword);
  default:
    return expression;
  }
}

/// Child counts that depend on op.
bool countFits(const TemplateNode &node) {
  auto bits = [&](uint8_t flags) {
    return static_cast<uint32_t>(__builtin_popcount(node.op & flags));
  };
  switch (static_cast<NodeKind>(node.kind)) {
  case NodeKind::For:
    return node.childCount == 3 + bits(kForFilter | kForElse);
  case NodeKind::Slice:
    return node.childCount == 1 + bits(kSliceStart | kSliceStop | kSliceStep);
  case NodeKind::Dict:
    return node.childCount % 2 == 0;
  default:
    return true;
  }
}

} // namespace

std::string_view TemplateView::string(uint32_t index) const {
  uint32_t begin = index == 0 ? 0 : load<uint32_t>(stringEnds_, index - 1);
  uint32_t end = load<uint32_t>(stringEnds_, index);
  return {reinterpret_cast<const char *>(strings_.data()) + begin, end - begin};
}

Status TemplateView::readTables(std::span<const std::byte> section) {
  if (section.size() < sizeof(TemplateHeader))
    return broken("it has " + std::to_string(section.size()) + " bytes, the header alone needs " +
                  std::to_string(sizeof(TemplateHeader)));
  std::memcpy(&header_, section.data(), sizeof(header_));
  if (std::memcmp(header_.magic, kTemplateMagic, sizeof(header_.magic)) != 0)
    return broken("the magic bytes are wrong");
  if (header_.major != kTemplateMajor)
    return broken("format version " + std::to_string(header_.major) + ", this program reads " +
                  std::to_string(kTemplateMajor));
  if (header_.headerBytes < sizeof(header_) || header_.totalBytes != section.size())
    return broken("its size is not what it says");
  uint64_t at = header_.headerBytes;
  bool inside = true;
  auto take = [&](uint64_t count, uint64_t size) -> std::span<const std::byte> {
    if (!inside || !rangeInside(at, count * size, section.size())) { // both below 2^36
      inside = false;
      return {};
    }
    auto table = section.subspan(at, count * size);
    at += count * size;
    return table;
  };
  nodes_ = take(header_.nodeCount, sizeof(TemplateNode));
  children_ = take(header_.childCount, sizeof(uint32_t));
  numbers_ = take(header_.numberCount, sizeof(uint64_t));
  stringEnds_ = take(header_.stringCount, sizeof(uint32_t));
  strings_ = take(header_.stringBytes, 1);
  return inside && header_.nodeCount > 0 ? Status() : broken("a table ends outside the section");
}

Status TemplateView::checkStrings() const {
  uint32_t last = 0;
  for (uint32_t i = 0; i < header_.stringCount; ++i) {
    uint32_t end = load<uint32_t>(stringEnds_, i);
    if (end < last || end > strings_.size())
      return broken("the strings are out of order");
    last = end;
  }
  return Status();
}

Status TemplateView::checkNode(uint32_t index) const {
  TemplateNode n = node(index);
  std::string where = "node " + std::to_string(index);
  if (n.kind >= static_cast<uint8_t>(NodeKind::Count))
    return broken(where + " is of unknown kind " + std::to_string(n.kind));
  auto kind = static_cast<NodeKind>(n.kind);
  KindRule rule = ruleOf(kind);
  bool fieldOk =
      rule.field == KindRule::Nothing ||
      n.a < (rule.field == KindRule::AString ? header_.stringCount : header_.numberCount);
  if (!fieldOk || n.op >= rule.opLimit || n.childCount < rule.minChildren ||
      n.childCount > rule.maxChildren || !countFits(n) ||
      !rangeInside(n.firstChild, n.childCount, header_.childCount))
    return broken(where + " is damaged");
  for (uint32_t i = 0; i < n.childCount; ++i) {
    uint32_t c = child(n, i);
    if (c >= index || !childFits(kind, n.op, i, n.childCount, static_cast<NodeKind>(node(c).kind)))
      return broken(where + " has a child that does not fit");
  }
  return Status();
}

Result<TemplateView> TemplateView::open(std::span<const std::byte> section) {
  TemplateView view;
  LLAMA4_RETURN_IF_ERROR(view.readTables(section));
  LLAMA4_RETURN_IF_ERROR(view.checkStrings());
  for (uint32_t i = 0; i < view.header_.nodeCount; ++i)
    LLAMA4_RETURN_IF_ERROR(view.checkNode(i));
  if (static_cast<NodeKind>(view.node(view.root()).kind) != NodeKind::Body)
    return broken("its root is not a body");
  return view;
}

} // namespace llama4::text
