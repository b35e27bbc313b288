//===- TemplateFormat.h - the chat-template section of an executable *- C++ -*-===//
//
// A compiled chat template: a flat tree of fixed-size nodes in post-order (a child's index is
// smaller than its parent's), child lists, strings and numbers. Little-endian, relocatable, read in
// place. Written by build/TemplateCompiler, read by TemplateView.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_TEXT_TEMPLATEFORMAT_H
#define LLAMA4_RUNTIME_TEXT_TEMPLATEFORMAT_H

#include <cstddef>
#include <cstdint>

namespace llama4::text {

inline constexpr char kTemplateMagic[8] = {'L', '4', 'T', 'M', 'P', 'L', 'A', 'T'};
inline constexpr uint16_t kTemplateMajor = 1;
inline constexpr uint16_t kTemplateMinor = 0;

/// Nesting of blocks and of expressions in a template's source.
inline constexpr uint32_t kMaxTemplateNesting = 64;
/// Nodes on the way from the root to the one being evaluated, macro calls included.
inline constexpr uint32_t kMaxTemplateDepth = 256;
/// Nesting of the values that a template builds or is given.
inline constexpr uint32_t kMaxValueDepth = 64;
/// Evaluated nodes, touched items and every 64 bytes of text made, together.
inline constexpr uint64_t kMaxTemplateSteps = 1'000'000;
/// Bytes of a rendered chat, and of any string on the way.
inline constexpr size_t kMaxTemplateOutput = 4u << 20;

/// The kinds of nodes. c0, c1, ... are children; `a`, `op` are the node's fields.
enum class NodeKind : uint8_t {
  // Statements.
  Body,     ///< children in order
  Text,     ///< a: string
  Output,   ///< prints c0
  If,       ///< c0 condition, c1 body, c2 condition, ...; an odd last child is the else body
  For,      ///< c0 target, c1 sequence, c2 body, then [filter] [else] as op says (ForFlag)
  Set,      ///< c0 target = c1
  SetBlock, ///< c0 target = what c1 prints
  Break,
  Continue,
  Macro, ///< a: name; Parameter children, then the body
  // Expressions.
  String,  ///< a: string
  Integer, ///< a: number (int64)
  Float,   ///< a: number (bits of a double)
  True,
  False,
  None,
  Name,      ///< a: string
  Attribute, ///< c0.a
  Item,      ///< c0[c1]
  Slice,     ///< c0[...], then [start] [stop] [step] as op says (SliceFlag)
  Function,  ///< op: TemplateFunction, arguments
  Method,    ///< op: TemplateMethod, c0 the object, arguments
  CallMacro, ///< a: name, arguments
  Filter,    ///< op: TemplateFilter, c0 the input, arguments
  Test,      ///< op: TemplateTest, c0 the input, arguments
  Keyword,   ///< an argument a = c0; after all positional ones
  Not,
  Negate,
  Plus,
  Sum,    ///< c0 then Term children, left to right
  Term,   ///< op: BinaryOp, c0; only inside Sum
  Concat, ///< all children as strings
  And,
  Or,
  Compare,    ///< c0 then Comparison children: a chain
  Comparison, ///< op: CompareOp, c0; only inside Compare
  Choose,     ///< c0 if c1 else c2 (c2 may be missing)
  List,
  Tuple,     ///< also the target of an unpacking assignment
  Dict,      ///< key, value, key, value, ...
  Parameter, ///< a: name, [c0 default]; only inside Macro
  Count
};

enum ForFlag : uint8_t { kForFilter = 1, kForElse = 2 };
enum SliceFlag : uint8_t { kSliceStart = 1, kSliceStop = 2, kSliceStep = 4 };
enum class BinaryOp : uint8_t {
  Add,
  Subtract,
  Multiply,
  Divide,
  FloorDivide,
  Modulo,
  Power,
  Count
};
enum class CompareOp : uint8_t { Eq, Ne, Lt, Le, Gt, Ge, In, NotIn, Count };

enum class TemplateFilter : uint8_t {
#define TEMPLATE_FILTER(Id, Name) Id,
#include "runtime/text/TemplateOps.def"
  Count
};
enum class TemplateTest : uint8_t {
#define TEMPLATE_TEST(Id, Name) Id,
#include "runtime/text/TemplateOps.def"
  Count
};
enum class TemplateMethod : uint8_t {
#define TEMPLATE_METHOD(Id, Name) Id,
#include "runtime/text/TemplateOps.def"
  Count
};
enum class TemplateFunction : uint8_t {
#define TEMPLATE_FUNCTION(Id, Name) Id,
#include "runtime/text/TemplateOps.def"
  Count
};

struct TemplateNode {
  uint8_t kind; ///< NodeKind
  uint8_t op;
  uint16_t childCount;
  uint32_t a;
  uint32_t firstChild; ///< into the child list
  uint32_t line;       ///< of the source, from 1
};
static_assert(sizeof(TemplateNode) == 16);

/// The first bytes of a section. Tables follow in this order, without gaps: nodes, children
/// (u32 node indices), numbers (u64), string ends (u32, into the bytes), string bytes.
struct TemplateHeader {
  char magic[8];
  uint16_t major;
  uint16_t minor;
  uint32_t headerBytes;
  uint64_t totalBytes;
  uint32_t nodeCount; ///< the last node is the root, a Body
  uint32_t childCount;
  uint32_t numberCount;
  uint32_t stringCount;
  uint32_t stringBytes;
  uint32_t reserved;
};
static_assert(sizeof(TemplateHeader) == 48);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_TEMPLATEFORMAT_H
