//===- Shape.cpp - op names and shape rules of the model dialect ----------===//

#include "dialects/lm/Shape.h"

namespace llama4::lm::shape {

std::string_view opName(OpKind kind) {
  switch (kind) {
  case OpKind::Embed:
    return "embed";
  case OpKind::Linear:
    return "linear";
  case OpKind::RmsNorm:
    return "rms_norm";
  case OpKind::Rope:
    return "rope";
  case OpKind::KvLayer:
    return "kv_layer";
  case OpKind::KvWrite:
    return "kv_write";
  case OpKind::Attention:
    return "attention";
  case OpKind::Add:
    return "add";
  case OpKind::Mul:
    return "mul";
  case OpKind::Silu:
    return "silu";
  case OpKind::Bias:
    return "bias";
  case OpKind::Gather:
    return "gather";
  case OpKind::QuantizeRows:
    return "quantize_rows";
  case OpKind::QkNorm:
    return "qk_norm";
  case OpKind::Temperature:
    return "temperature";
  case OpKind::Route:
    return "route";
  case OpKind::Experts:
    return "experts";
  }
  return "unknown";
}

std::string_view elementName(Element element) {
  switch (element) {
  case Element::F32:
    return "f32";
  case Element::BF16:
    return "bf16";
  case Element::I32:
    return "i32";
  case Element::Q8_0:
    return "q8_0";
  case Element::Q4_1:
    return "q4_1";
  case Element::Q8_32:
    return "q8_32";
  }
  return "unknown";
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

static Status broken(std::string sentence) { return Status::invalidInput(std::move(sentence)); }

/// "query is f32[?, 8]".
static std::string found(Operand operand) {
  return std::string(operand.name) + " is " + typeText(operand.type);
}

static std::string columnsText(Operand operand) {
  return std::string(operand.name) + " has " + std::to_string(operand.type.columns()) + " columns";
}

static bool isRows(const TensorType &type) {
  return type.dims.size() == 2 && type.dims[0] == kSymbol && type.dims[1] > 0;
}

/// The operand is f32[symbol, N].
static Status checkRows(Operand operand) {
  if (operand.type.element != Element::F32 || !isRows(operand.type))
    return broken(found(operand) + ", expected f32[?, N]");
  return {};
}

static Status checkIndices(Operand operand) {
  if (operand.type != TensorType{Element::I32, {kSymbol}})
    return broken(found(operand) + ", expected i32[?]");
  return {};
}

static bool isStatic(const TensorType &type, size_t rank) {
  for (int64_t extent : type.dims)
    if (extent <= 0)
      return false;
  return type.dims.size() == rank && type.element != Element::I32 && type.element != Element::Q8_32;
}

/// A row vector of plain numbers with one element per column of `input`.
static Status checkRowVector(Operand input, Operand vector) {
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
  if (!isRows(input.type) ||
      (element != Element::F32 && element != Element::BF16 && element != Element::Q8_32))
    return broken(found(input) + ", expected f32, bf16 or q8_32 [?, K]");
  if (!isStatic(weight.type, 2))
    return broken(found(weight) + ", expected [N, K]");
  if (weight.type.dims[1] != input.type.columns())
    return broken(columnsText(input) + ", " + std::string(weight.name) + " expects " +
                  std::to_string(weight.type.dims[1]));
  return TensorType{Element::F32, {kSymbol, weight.type.dims[0]}};
}

Result<TensorType> rmsNorm(Operand input, Operand weight, double eps) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, weight));
  if (!(eps >= 0))
    return broken("eps is " + std::to_string(eps) + ", expected at least 0");
  return input.type;
}

Result<TensorType> bias(Operand input, Operand vector) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, vector));
  return input.type;
}

Result<TensorType> rope(Operand input, Operand cos, Operand sin) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRows(cos));
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
  LLAMA4_RETURN_IF_ERROR(checkRows(lhs));
  if (lhs.type != rhs.type)
    return broken(found(lhs) + ", " + found(rhs) + ", expected one type");
  return lhs.type;
}

Result<TensorType> unary(Operand input) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
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
  if (to != Element::BF16 && to != Element::Q8_32)
    return broken("result elements are " + std::string(elementName(to)) +
                  ", expected bf16 or q8_32");
  return TensorType{to, input.type.dims};
}

} // namespace llama4::lm::shape
