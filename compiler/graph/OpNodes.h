//===- OpNodes.h - how ops are appended to an entry -------------*- C++ -*-===//
//
// Private to Ops.cpp and VisionOps.cpp.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_OPNODES_H
#define LLAMA4_COMPILER_GRAPH_OPNODES_H

#include "compiler/graph/Ops.h"

#include <initializer_list>
#include <span>

namespace llama4::graph {

/// The entry that all operands belong to; null when one is poisoned or (reported) when they are of
/// two entries.
Entry *commonEntry(OpKind kind, std::span<const Handle> operands, Location where);
inline Entry *commonEntry(OpKind kind, std::initializer_list<Handle> operands, Location where) {
  return commonEntry(kind, std::span(operands.begin(), operands.size()), where);
}

/// A node of `kind` on `operands`; its other fields are the caller's.
Node makeNode(OpKind kind, std::span<const Handle> operands, Location where);
inline Node makeNode(OpKind kind, std::initializer_list<Handle> operands, Location where) {
  return makeNode(kind, std::span(operands.begin(), operands.size()), where);
}

/// Appends `node` with a result of the inferred type, or reports why there is none.
Tensor append(Entry &entry, Node node, const Result<TensorType> &type);

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_OPNODES_H
