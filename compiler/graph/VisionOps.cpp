//===- VisionOps.cpp - the ops image towers are declared with -------------===//

#include "compiler/graph/VisionOps.h"

#include "compiler/graph/OpNodes.h"
#include "dialects/lm/VisionShape.h"

namespace llama4::graph {

namespace shape = lm::shape;

//===----------------------------------------------------------------------===//
// Row work
//===----------------------------------------------------------------------===//

Tensor layerNorm(Tensor x, const Parameter *weight, const Parameter *bias, double eps,
                 Location where) {
  Entry *entry = commonEntry(OpKind::LayerNorm, {x}, where);
  if (!entry || !weight || !bias)
    return {};
  Node node = makeNode(OpKind::LayerNorm, {x}, where);
  node.parameter = weight;
  node.second = bias;
  node.number = eps;
  return append(*entry, std::move(node),
                shape::layerNorm({x.type(), "input"}, {weight->type, weight->name},
                                 {bias->type, bias->name}, eps));
}

Tensor gelu(Tensor x, Location where) {
  Entry *entry = commonEntry(OpKind::Gelu, {x}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::Gelu, {x}, where), shape::unary({x.type(), "input"}));
}

Tensor headNorm(Tensor x, const Parameter *weight, double eps, Location where) {
  Entry *entry = commonEntry(OpKind::HeadNorm, {x}, where);
  if (!entry || !weight)
    return {};
  Node node = makeNode(OpKind::HeadNorm, {x}, where);
  node.parameter = weight;
  node.number = eps;
  return append(*entry, std::move(node),
                shape::headNorm({x.type(), "input"}, {weight->type, weight->name}, eps));
}

Tensor tanhGate(Tensor x, const Parameter *gate, Location where) {
  Entry *entry = commonEntry(OpKind::TanhGate, {x}, where);
  if (!entry || !gate)
    return {};
  Node node = makeNode(OpKind::TanhGate, {x}, where);
  node.parameter = gate;
  return append(*entry, std::move(node),
                shape::tanhGate({x.type(), "input"}, {gate->type, gate->name}));
}

Tensor gatedBias(Tensor x, const Parameter *vectors, const Parameter *gate, Location where) {
  Entry *entry = commonEntry(OpKind::GatedBias, {x}, where);
  if (!entry || !vectors || !gate)
    return {};
  Node node = makeNode(OpKind::GatedBias, {x}, where);
  node.parameter = vectors;
  node.second = gate;
  return append(*entry, std::move(node),
                shape::gatedBias({x.type(), "input"}, {vectors->type, vectors->name},
                                 {gate->type, gate->name}));
}

//===----------------------------------------------------------------------===//
// Order of rows
//===----------------------------------------------------------------------===//

Tensor patches(Tensor pixels, int64_t channels, int64_t patch, Location where) {
  Entry *entry = commonEntry(OpKind::Patches, {pixels}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::Patches, {pixels}, where);
  node.counts = {{"channels", channels}, {"patch", patch}};
  return append(*entry, std::move(node),
                shape::patches({pixels.type(), "pixels"}, channels, patch));
}

Tensor insertRow(Tensor x, const Parameter *vector, int64_t at, int64_t groups, Location where) {
  Entry *entry = commonEntry(OpKind::InsertRow, {x}, where);
  if (!entry || !vector)
    return {};
  Node node = makeNode(OpKind::InsertRow, {x}, where);
  node.parameter = vector;
  node.counts = {{"at", at}, {"groups", groups}};
  return append(*entry, std::move(node),
                shape::insertRow({x.type(), "input"}, {vector->type, vector->name}, at, groups));
}

Tensor fitRows(Tensor x, int64_t groups, int64_t rows, Location where) {
  Entry *entry = commonEntry(OpKind::FitRows, {x}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::FitRows, {x}, where);
  node.counts = {{"groups", groups}};
  return append(*entry, std::move(node), shape::fitRows({x.type(), "input"}, groups, rows));
}

Tensor spreadRows(Tensor x, int64_t times, Location where) {
  Entry *entry = commonEntry(OpKind::SpreadRows, {x}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::SpreadRows, {x}, where),
                shape::spreadRows({x.type(), "input"}, times));
}

Tensor reshape(Tensor x, int64_t rows, int64_t columns, Location where) {
  Entry *entry = commonEntry(OpKind::Reshape, {x}, where);
  if (!entry)
    return {};
  return append(*entry, makeNode(OpKind::Reshape, {x}, where),
                shape::reshape({x.type(), "input"}, rows, columns));
}

Tensor concat(std::span<const Tensor> tensors, bool interleaved, Location where) {
  const std::vector<Handle> operands(tensors.begin(), tensors.end());
  Entry *entry = commonEntry(OpKind::Concat, operands, where);
  if (!entry)
    return {};
  std::vector<shape::Operand> inputs;
  for (const Tensor &tensor : tensors)
    inputs.push_back({tensor.type(), "input"});
  Node node = makeNode(OpKind::Concat, operands, where);
  node.counts = {{"interleaved", interleaved}};
  return append(*entry, std::move(node), shape::concat(inputs, interleaved));
}

Tensor pixelShuffle(Tensor x, int64_t columns, int64_t side, Location where) {
  Entry *entry = commonEntry(OpKind::PixelShuffle, {x}, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::PixelShuffle, {x}, where);
  node.counts = {{"columns", columns}, {"side", side}};
  return append(*entry, std::move(node), shape::pixelShuffle({x.type(), "input"}, columns, side));
}

Tensor mergeRows(Tensor x, Tensor rows, Tensor source, Location where) {
  Entry *entry = commonEntry(OpKind::MergeRows, {x, rows, source}, where);
  if (!entry)
    return {};
  return append(
      *entry, makeNode(OpKind::MergeRows, {x, rows, source}, where),
      shape::mergeRows({x.type(), "input"}, {rows.type(), "rows"}, {source.type(), "source"}));
}

//===----------------------------------------------------------------------===//
// Attention without state
//===----------------------------------------------------------------------===//

Tensor unitAttention(Tensor query, Tensor key, Tensor value, int64_t heads, double scale,
                     const Padding &padding, Location where) {
  std::vector<Handle> operands = {query, key, value};
  if (padding.groups)
    operands.push_back(padding.pictures);
  Entry *entry = commonEntry(OpKind::UnitAttention, operands, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::UnitAttention, operands, where);
  node.number = scale;
  node.counts = {{"heads", heads}};
  const shape::Operand q{query.type(), "query"}, k{key.type(), "key"}, v{value.type(), "value"};
  if (!padding.groups)
    return append(*entry, std::move(node), shape::unitAttention(q, k, v, heads));
  node.counts.push_back({"groups", padding.groups});
  node.counts.push_back({"real", padding.real});
  return append(*entry, std::move(node),
                shape::unitAttention(q, k, v, heads, {padding.pictures.type(), "pictures"},
                                     {padding.groups, padding.real}));
}

Tensor crossAttention(Tensor query, Tensor key, Tensor value, const ImageStates &images,
                      int64_t heads, double scale, Location where) {
  const std::vector<Handle> operands = {query,        key,          value,
                                        images.first, images.count, images.tiles};
  Entry *entry = commonEntry(OpKind::CrossAttention, operands, where);
  if (!entry)
    return {};
  Node node = makeNode(OpKind::CrossAttention, operands, where);
  node.number = scale;
  node.counts = {{"heads", heads}, {"groups", images.groups}};
  return append(*entry, std::move(node),
                shape::crossAttention({query.type(), "query"}, {key.type(), "key"},
                                      {value.type(), "value"}, {images.first.type(), "first"},
                                      {images.count.type(), "count"},
                                      {images.tiles.type(), "tiles"}, heads, images.groups));
}

} // namespace llama4::graph
