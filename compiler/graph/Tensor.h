//===- Tensor.h - handles on the values of a graph --------------*- C++ -*-===//
//
// What a model's declaration passes around: small copyable names of values that belong to an entry.
// A handle without a value ("poisoned") is what an op in error returns; ops on it do nothing, so
// that one mistake is reported once, at the line that made it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_TENSOR_H
#define LLAMA4_COMPILER_GRAPH_TENSOR_H

#include "dialects/lm/Shape.h"

#include <cstdint>
#include <source_location>

namespace llama4::graph {

using lm::shape::Element;
using lm::shape::kSymbol;
using lm::shape::KvType;
using lm::shape::OpKind;
using lm::shape::RotateStyle;
using lm::shape::TensorType;

/// Where the model's source declares something.
using Location = std::source_location;

class Entry;

/// Index of a value inside its entry.
using ValueId = uint32_t;

/// A value of an entry. Valid as long as the graph; the graph owns the entry.
class Handle {
public:
  Handle() = default;
  Handle(Entry *entry, ValueId id) : entry_(entry), id_(id) {}

  bool valid() const { return entry_ != nullptr; }
  /// The entry the value belongs to; null when poisoned.
  Entry *entry() const { return entry_; }
  ValueId id() const { return id_; }

private:
  Entry *entry_ = nullptr;
  ValueId id_ = 0;
};

/// A ragged tensor: [symbol, columns], or a vector over the symbol.
class Tensor : public Handle {
public:
  using Handle::Handle;
  /// The type; f32[] when poisoned.
  const TensorType &type() const;
  int64_t columns() const { return type().columns(); }
};

/// The metadata of a step: positions, sequences, page tables.
class Batch : public Handle {
public:
  using Handle::Handle;
};

/// Paged keys and values of one layer.
class KvLayer : public Handle {
public:
  using Handle::Handle;
};

/// Paged keys and values of all layers of one kind.
class KvState : public Handle {
public:
  using Handle::Handle;
  /// The state of layer `index`, an error where there is none.
  KvLayer layer(int64_t index, Location where = Location::current()) const;
};

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_TENSOR_H
