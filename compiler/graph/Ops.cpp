//===- Ops.cpp - the ops a model is declared with -------------------------===//

#include "compiler/graph/Ops.h"

#include "compiler/graph/OpNodes.h"

namespace llama4::graph {

namespace shape = lm::shape;

Entry *commonEntry(OpKind kind, std::span<const Handle> operands, Location where) {
  Entry *entry = nullptr;
  for (const Handle &operand : operands) {
    if (!operand.valid())
      return nullptr;
    if (entry && operand.entry() != entry) {
      entry->graph().report(where, std::string(shape::opName(kind)) +
                                       ": operands belong to entry " + entry->name() +
                                       " and to entry " + operand.entry()->name());
      return nullptr;
    }
    entry = operand.entry();
  }
  return entry;
}

static std::vector<ValueId> idsOf(std::span<const Handle> operands) {
  std::vector<ValueId> ids;
  for (const Handle &operand : operands)
    ids.push_back(operand.id());
  return ids;
}

static void report(Entry &entry, const Node &node, const Status &status) {
  entry.graph().report(node.where, std::string(shape::opName(node.kind)) + ": " + status.message());
}

Tensor append(Entry &entry, Node node, const Result<TensorType> &type) {
  if (!type.ok()) {
    report(entry, node, type.status());
    return {};
  }
  return {&entry, entry.append(std::move(node), {ValueKind::Tensor, *type, {}})};
}

Node makeNode(OpKind kind, std::span<const Handle> operands, Location where) {
  Node node;
  node.kind = kind;
  node.operands = idsOf(operands);
  node.where = where;
  return node;
}

static const KvType &stateOf(KvLayer kv) { return kv.entry()->value(kv.id()).kv; }

KvLayer KvState::layer(int64_t index, Location where) const {
  if (!valid())
    return {};
  const KvType &type = entry()->value(id()).kv;
  Node node = makeNode(OpKind::KvLayer, {*this}, where);
  node.layer = index;
  if (Status status = shape::kvLayer(type, index); !status.ok()) {
    report(*entry(), node, status);
    return {};
  }
  return {entry(), entry()->append(std::move(node), {ValueKind::KvLayer, {}, type})};
}

Tensor embed(Tensor ids, const Parameter *table, Location where) {
  Entry *entry = commonEntry(OpKind::Embed, {ids}, where);
  if (!entry || !table)
    return {};
  Node node = makeNode(OpKind::Embed, {ids}, where);
  node.parameter = table;
  const std::string name = "table " + table->name;
  return append(*entry, std::move(node), shape::embed({ids.type(), "ids"}, {table->type, name}));
}

Tensor linear(Tensor x, const Parameter *weight, Location where) {
  Entry *entry = commonEntry(OpKind::Linear, {x}, where);
  if (!entry || !weight)
    return {};
  Node node = makeNode(OpKind::Linear, {x}, where);
  node.parameter = weight;
  const std::string name = "weight " + weight->name;
  return append(*entry, std::move(node), shape::linear({x.type(), "input"}, {weight->type, name}));
}

Tensor bias(Tensor x, const Parameter *vector, Location where) {
  Entry *entry = commonEntry(OpKind::Bias, {x}, where);
  if (!entry || !vector)
    return {};
  Node node = makeNode(OpKind::Bias, {x}, where);
  node.parameter = vector;
  const std::string name = "bias " + vector->name;
  return append(*entry, std::move(node), shape::bias({x.type(), "input"}, {vector->type, name}));
}

Tensor rmsNorm(Tensor x, const Parameter *weight, double eps, Location where) {
  Entry *entry = commonEntry(OpKind::RmsNorm, {x}, where);
  if (!entry || !weight)
    return {};
  Node node = makeNode(OpKind::RmsNorm, {x}, where);
  node.parameter = weight;
  node.number = eps;
  const std::string name = "weight " + weight->name;
  return append(*entry, std::move(node),
                shape::rmsNorm({x.type(), "input"}, {weight->type, name}, eps));
}

Tensor silu(Tensor x, Location where) {
  Entry *entry = commonEntry(OpKind::Silu, {x}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::Silu, {x}, where), shape::unary({x.type(), "input"}));
}

Tensor rope(Tensor x, Tensor cos, Tensor sin, RotateStyle style, Location where) {
  Entry *entry = commonEntry(OpKind::Rope, {x, cos, sin}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::Rope, {x, cos, sin}, where);
  node.style = style;
  return append(*entry, std::move(node),
                shape::rope({x.type(), "input"}, {cos.type(), "cos"}, {sin.type(), "sin"}));
}

void kvWrite(Tensor key, Tensor value, KvLayer kv, Batch batch, Location where) {
  Entry *entry = commonEntry(OpKind::KvWrite, {key, value, kv, batch}, where);
  if (!entry)
    return;
  Node node = makeNode(OpKind::KvWrite, {key, value, kv, batch}, where);
  Status status = shape::kvWrite({key.type(), "key"}, {value.type(), "value"}, stateOf(kv));
  if (!status.ok())
    report(*entry, node, status);
  else
    entry->appendWithoutResult(std::move(node));
}

Tensor attention(Tensor query, KvLayer kv, Batch batch, double scale, Location where) {
  Entry *entry = commonEntry(OpKind::Attention, {query, kv, batch}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::Attention, {query, kv, batch}, where);
  node.number = scale;
  node.chunk = stateOf(kv).chunk;
  return append(*entry, std::move(node), shape::attention({query.type(), "query"}, stateOf(kv)));
}

Tensor qkNorm(Tensor x, int64_t dim, double eps, Location where) {
  Entry *entry = commonEntry(OpKind::QkNorm, {x}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::QkNorm, {x}, where);
  node.dim = dim;
  node.number = eps;
  return append(*entry, std::move(node), shape::qkNorm({x.type(), "input"}, dim, eps));
}

Tensor temperature(Tensor x, Tensor factors, Location where) {
  Entry *entry = commonEntry(OpKind::Temperature, {x, factors}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::Temperature, {x, factors}, where),
                shape::temperature({x.type(), "input"}, {factors.type(), "temperature"}));
}

Routing route(Tensor logits, int64_t top, Location where) {
  Entry *entry = commonEntry(OpKind::Route, {logits}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::Route, {logits}, where);
  node.top = top;
  Result<shape::RouteTypes> types = shape::route({logits.type(), "logits"}, top);
  if (!types.ok()) {
    report(*entry, node, types.status());
    return {};
  }
  std::vector<ValueId> ids =
      entry->append(std::move(node), {Value{ValueKind::Tensor, types->ids, {}},
                                      Value{ValueKind::Tensor, types->scores, {}}});
  return {{entry, ids[0]}, {entry, ids[1]}};
}

Tensor experts(Tensor x, const Routing &routing, const Parameter *gate, const Parameter *up,
               const Parameter *down, Location where) {
  Entry *entry = commonEntry(OpKind::Experts, {x, routing.ids, routing.scores}, where);
  if (!entry || !gate || !up || !down)
    return {};
  Node node = makeNode(OpKind::Experts, {x, routing.ids, routing.scores}, where);
  node.gate = gate;
  node.up = up;
  node.down = down;
  return append(*entry, std::move(node),
                shape::experts({x.type(), "input"}, {routing.ids.type(), "ids"},
                               {routing.scores.type(), "scores"}, {gate->type, gate->name},
                               {up->type, up->name}, {down->type, down->name}));
}

Tensor gather(Tensor source, Tensor rows, Location where) {
  Entry *entry = commonEntry(OpKind::Gather, {source, rows}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::Gather, {source, rows}, where),
                shape::gather({source.type(), "source"}, {rows.type(), "rows"}));
}

static Tensor elementwise(OpKind kind, Located lhs, Tensor rhs) {
  Entry *entry = commonEntry(kind, {lhs.tensor, rhs}, lhs.where);
  if (!entry)
    return {};
  return append(*entry, makeNode(kind, {lhs.tensor, rhs}, lhs.where),
                shape::elementwise({lhs.tensor.type(), "left"}, {rhs.type(), "right"}));
}

Tensor operator+(Located lhs, Tensor rhs) { return elementwise(OpKind::Add, lhs, rhs); }
Tensor operator*(Located lhs, Tensor rhs) { return elementwise(OpKind::Mul, lhs, rhs); }

} // namespace llama4::graph
