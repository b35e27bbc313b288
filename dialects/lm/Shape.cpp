//===- Shape.cpp - op names and shape rules of the model dialect ----------===//

#include "dialects/lm/Shape.h"

#include "dialects/lm/ShapeChecks.h"

#include <iterator>

namespace llama4::lm::shape {

/// In the order of OpKind.
static constexpr std::string_view opNames[] = {
    "embed",          "linear",         "rms_norm",      "rope",          "kv_layer",
    "kv_write",       "attention",      "add",           "mul",           "silu",
    "bias",           "gather",         "quantize_rows", "qk_norm",       "temperature",
    "route",          "experts",        "layer_norm",    "gelu",          "head_norm",
    "tanh_gate",      "gated_bias",     "patches",       "insert_row",    "fit_rows",
    "spread_rows",    "reshape",        "concat",        "pixel_shuffle", "merge_rows",
    "unit_attention", "cross_attention"};
static_assert(std::size(opNames) == static_cast<size_t>(OpKind::CrossAttention) + 1);

std::string_view opName(OpKind kind) { return opNames[static_cast<size_t>(kind)]; }

static constexpr std::string_view elementNames[] = {"f32",  "bf16",  "i32",       "q8_0",
                                                    "q4_1", "q8_32", "q4_0",      "q5_0",
                                                    "q4_k", "q6_k",  "int4_g128", "q8_128"};
static_assert(std::size(elementNames) == static_cast<size_t>(Element::Q8_128) + 1);

std::string_view elementName(Element element) { return elementNames[static_cast<size_t>(element)]; }

std::optional<Element> parseElement(std::string_view name) {
  for (size_t i = 0; i < std::size(elementNames); ++i)
    if (elementNames[i] == name)
      return static_cast<Element>(i);
  return std::nullopt;
}

std::string typeText(const TensorType &type, std::string_view symbol) {
  std::string text(elementName(type.element));
  text += '[';
  for (size_t i = 0; i < type.dims.size(); ++i) {
    text += i ? ", " : "";
    text += type.dims[i] == kSymbol ? std::string(symbol) : std::to_string(type.dims[i]);
  }
  return text + "]";
}

Status broken(std::string sentence) { return Status::invalidInput(std::move(sentence)); }

std::string found(Operand operand) {
  return std::string(operand.name) + " is " + typeText(operand.type);
}

std::string columnsText(Operand operand) {
  return std::string(operand.name) + " has " + std::to_string(operand.type.columns()) + " columns";
}

bool isRows(const TensorType &type) {
  return type.dims.size() == 2 && type.dims[0] == kSymbol && type.dims[1] > 0;
}

bool isUnits(const TensorType &type) {
  return type.dims.size() == 3 && type.dims[0] == kSymbol && type.dims[1] > 0 && type.dims[2] > 0;
}

Status checkUnitRows(Operand operand) {
  if (operand.type.element != Element::F32 || !isUnits(operand.type))
    return checkRows(operand);
  return {};
}

Status checkRows(Operand operand) {
  if (operand.type.element != Element::F32 || !isRows(operand.type))
    return broken(found(operand) + ", expected f32[?, N]");
  return {};
}

Status checkIndices(Operand operand) {
  if (operand.type != TensorType{Element::I32, {kSymbol}})
    return broken(found(operand) + ", expected i32[?]");
  return {};
}

bool isStatic(const TensorType &type, size_t rank) {
  for (int64_t extent : type.dims)
    if (extent <= 0)
      return false;
  return type.dims.size() == rank && type.element != Element::I32 && !isActivation(type.element);
}

Status checkRowVectors(Operand input, Operand vectors) {
  if (!isUnits(input.type) || vectors.type.dims.size() != 2)
    return checkRowVector(input, vectors);
  const int64_t rows = input.type.dims[1], columns = input.type.columns();
  if (!isStatic(vectors.type, 2) || isBlock(vectors.type.element) ||
      vectors.type.columns() != columns || rows % vectors.type.dims[0] != 0)
    return broken(found(vectors) + ", expected [R, " + std::to_string(columns) +
                  "] where R divides the " + std::to_string(rows) + " rows of a unit");
  return {};
}

Status checkRowVector(Operand input, Operand vector) {
  if (!isStatic(vector.type, 1) || isBlock(vector.type.element))
    return broken(found(vector) + ", expected f32[N] or bf16[N]");
  if (vector.type.dims[0] != input.type.columns())
    return broken(columnsText(input) + ", " + std::string(vector.name) + " expects " +
                  std::to_string(vector.type.dims[0]));
  return {};
}

Result<TensorType> embed(Operand ids, Operand table) {
  LLAMA4_RETURN_IF_ERROR(checkIndices(ids));
  if (!isStatic(table.type, 2))
    return broken(found(table) + ", expected [V, H]");
  return TensorType{Element::F32, {kSymbol, table.type.dims[1]}};
}

Result<TensorType> linear(Operand input, Operand weight) {
  const Element element = input.type.element;
  if ((!isRows(input.type) && !isUnits(input.type)) ||
      (element != Element::F32 && element != Element::BF16 && !isActivation(element)))
    return broken(found(input) + ", expected f32, bf16, q8_32 or q8_128 [?, K]");
  if (!isStatic(weight.type, 2))
    return broken(found(weight) + ", expected [N, K]");
  if (weight.type.dims[1] != input.type.columns())
    return broken(columnsText(input) + ", " + std::string(weight.name) + " expects " +
                  std::to_string(weight.type.dims[1]));
  TensorType result{Element::F32, input.type.dims};
  result.dims.back() = weight.type.dims[0];
  return result;
}

Result<TensorType> rmsNorm(Operand input, Operand weight, double eps) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, weight));
  if (!(eps >= 0))
    return broken("eps is " + std::to_string(eps) + ", expected at least 0");
  return input.type;
}

Result<TensorType> bias(Operand input, Operand vector) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVectors(input, vector));
  return input.type;
}

Result<TensorType> rope(Operand input, Operand cos, Operand sin) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  if (!isUnits(input.type))
    LLAMA4_RETURN_IF_ERROR(checkRows(cos));
  else if (cos.type.element != Element::F32 || !isStatic(cos.type, 2) ||
           cos.type.dims[0] != input.type.dims[1])
    return broken(found(cos) + ", expected f32[" + std::to_string(input.type.dims[1]) +
                  ", P]: a row for each row of a unit");
  if (cos.type != sin.type)
    return broken(found(cos) + " and " + found(sin) + ", expected one type");
  const int64_t head = 2 * cos.type.columns();
  if (input.type.columns() % head != 0)
    return broken(columnsText(input) + ", expected heads of " + std::to_string(head));
  return input.type;
}

Status kvLayer(const KvType &kv, int64_t layer) {
  if (layer < 0 || layer >= kv.layers)
    return broken("layer is " + std::to_string(layer) + ", state " + kv.name + " has " +
                  std::to_string(kv.layers));
  return {};
}

Status kvWrite(Operand key, Operand value, const KvType &kv) {
  LLAMA4_RETURN_IF_ERROR(checkRows(key));
  if (key.type != value.type)
    return broken(found(key) + " and " + found(value) + ", expected one type");
  if (key.type.columns() != kv.heads * kv.dim)
    return broken(columnsText(key) + ", the state expects " + std::to_string(kv.heads) +
                  " heads of " + std::to_string(kv.dim));
  return {};
}

Result<TensorType> attention(Operand query, const KvType &kv) {
  LLAMA4_RETURN_IF_ERROR(checkRows(query));
  const int64_t columns = kv.heads * kv.dim;
  if (columns <= 0 || query.type.columns() % columns != 0)
    return broken(columnsText(query) + ", expected a multiple of the " + std::to_string(columns) +
                  " columns of the state's heads");
  return query.type;
}

Result<TensorType> elementwise(Operand lhs, Operand rhs) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(lhs));
  if (lhs.type != rhs.type)
    return broken(found(lhs) + ", " + found(rhs) + ", expected one type");
  return lhs.type;
}

Result<TensorType> unary(Operand input) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  return input.type;
}

Result<TensorType> gather(Operand source, Operand rows) {
  if (source.type.element != Element::F32 || source.type.dims.size() != 2 ||
      source.type.dims[1] == kSymbol)
    return broken(found(source) + ", expected f32[M, N]");
  LLAMA4_RETURN_IF_ERROR(checkIndices(rows));
  return TensorType{Element::F32, {kSymbol, source.type.dims[1]}};
}

Result<TensorType> qkNorm(Operand input, int64_t dim, double eps) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  if (dim < 1 || input.type.columns() % dim != 0)
    return broken(columnsText(input) + ", expected heads of " + std::to_string(dim));
  if (!(eps >= 0))
    return broken("eps is " + std::to_string(eps) + ", expected at least 0");
  return input.type;
}

Result<TensorType> temperature(Operand input, Operand temperature) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  if (temperature.type != TensorType{Element::F32, {kSymbol, 1}})
    return broken(found(temperature) + ", expected f32[?, 1]");
  return input.type;
}

Result<RouteTypes> route(Operand logits, int64_t top) {
  LLAMA4_RETURN_IF_ERROR(checkRows(logits));
  if (top < 1 || top > logits.type.columns())
    return broken("top is " + std::to_string(top) + ", expected 1 to the " +
                  std::to_string(logits.type.columns()) + " experts of the logits");
  return RouteTypes{{Element::I32, {kSymbol, top}}, {Element::F32, {kSymbol, top}}};
}

Result<TensorType> experts(Operand input, Operand ids, Operand scores, Operand gate, Operand up,
                           Operand down) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  if (ids.type.element != Element::I32 || !isRows(ids.type))
    return broken(found(ids) + ", expected i32[?, K]");
  if (scores.type != TensorType{Element::F32, ids.type.dims})
    return broken(found(scores) + ", expected f32[?, " + std::to_string(ids.type.columns()) + "]");
  const int64_t hidden = input.type.columns();
  if (!isStatic(gate.type, 3) || gate.type.columns() != hidden)
    return broken(found(gate) + ", expected [E, F, " + std::to_string(hidden) + "]");
  if (up.type != gate.type)
    return broken(found(gate) + " and " + found(up) + ", expected one type");
  const int64_t count = gate.type.dims[0], inner = gate.type.dims[1];
  if (!isStatic(down.type, 3) || down.type.dims != std::vector<int64_t>{count, hidden, inner})
    return broken(found(down) + ", expected [" + std::to_string(count) + ", " +
                  std::to_string(hidden) + ", " + std::to_string(inner) + "]");
  if (ids.type.columns() > count)
    return broken(found(ids) + ", but there are " + std::to_string(count) + " experts");
  return input.type;
}

Result<TensorType> quantizeRows(Operand input, Element to) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  if (to != Element::BF16 && !isActivation(to))
    return broken("result elements are " + std::string(elementName(to)) +
                  ", expected bf16, q8_32 or q8_128");
  return TensorType{to, input.type.dims};
}

} // namespace llama4::lm::shape
