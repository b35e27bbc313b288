//===- VisionShape.cpp - shape rules of image towers ----------------------===//

#include "dialects/lm/VisionShape.h"

#include "dialects/lm/ShapeChecks.h"

namespace llama4::lm::shape {

static Status checkUnits(Operand operand) {
  if (operand.type.element != Element::F32 || !isUnits(operand.type))
    return broken(found(operand) + ", expected f32[?, K, N]");
  return {};
}

static Status checkEps(double eps) {
  if (!(eps >= 0))
    return broken("eps is " + std::to_string(eps) + ", expected at least 0");
  return {};
}

static Status checkGate(Operand gate) {
  if (!isStatic(gate.type, 1) || isBlock(gate.type.element) || gate.type.dims[0] != 1)
    return broken(found(gate) + ", expected f32[1] or bf16[1]");
  return {};
}

static Status checkDivides(std::string_view what, int64_t divisor, int64_t number,
                           std::string_view of) {
  if (divisor >= 1 && number % divisor == 0)
    return {};
  return broken(std::string(what) + " is " + std::to_string(divisor) + ", expected a divisor of " +
                std::to_string(number) + ", the " + std::string(of));
}

static TensorType units(int64_t rows, int64_t columns) {
  return {Element::F32, {kSymbol, rows, columns}};
}

//===----------------------------------------------------------------------===//
// Row work
//===----------------------------------------------------------------------===//

Result<TensorType> layerNorm(Operand input, Operand weight, Operand bias, double eps) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, weight));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, bias));
  LLAMA4_RETURN_IF_ERROR(checkEps(eps));
  return input.type;
}

Result<TensorType> headNorm(Operand input, Operand weight, double eps) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  if (!isStatic(weight.type, 1) || isBlock(weight.type.element))
    return broken(found(weight) + ", expected f32[D] or bf16[D]");
  LLAMA4_RETURN_IF_ERROR(
      checkDivides("a head", weight.type.dims[0], input.type.columns(), "columns of the input"));
  LLAMA4_RETURN_IF_ERROR(checkEps(eps));
  return input.type;
}

Result<TensorType> tanhGate(Operand input, Operand gate) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  LLAMA4_RETURN_IF_ERROR(checkGate(gate));
  return input.type;
}

Result<TensorType> gatedBias(Operand input, Operand vectors, Operand gate) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVectors(input, vectors));
  LLAMA4_RETURN_IF_ERROR(checkGate(gate));
  return input.type;
}

//===----------------------------------------------------------------------===//
// Order of rows
//===----------------------------------------------------------------------===//

Result<TensorType> patches(Operand pixels, int64_t channels, int64_t patch) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(pixels));
  const int64_t lines = pixels.type.dims[1], side = pixels.type.columns();
  if (channels < 1 || channels > lines || lines % (channels * side) != 0)
    return broken(found(pixels) + ", expected square pictures of " + std::to_string(channels) +
                  " channels");
  LLAMA4_RETURN_IF_ERROR(checkDivides("patch", patch, side, "side of a picture"));
  const int64_t grid = side / patch, pictures = lines / (channels * side);
  return units(pictures * grid * grid, channels * patch * patch);
}

Result<TensorType> insertRow(Operand input, Operand vector, int64_t at, int64_t groups) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(input));
  LLAMA4_RETURN_IF_ERROR(checkRowVector(input, vector));
  LLAMA4_RETURN_IF_ERROR(checkDivides("groups", groups, input.type.dims[1], "rows of a unit"));
  const int64_t rows = input.type.dims[1] / groups;
  if (at < 0 || at > rows)
    return broken("the place is " + std::to_string(at) + ", expected 0 to " + std::to_string(rows));
  return units(groups * (rows + 1), input.type.columns());
}

Result<TensorType> fitRows(Operand input, int64_t groups, int64_t rows) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(input));
  LLAMA4_RETURN_IF_ERROR(checkDivides("groups", groups, input.type.dims[1], "rows of a unit"));
  if (rows < 1)
    return broken("a group has " + std::to_string(rows) + " rows, expected at least 1");
  return units(groups * rows, input.type.columns());
}

Result<TensorType> spreadRows(Operand input, int64_t times) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(input));
  if (times < 1)
    return broken("repeats rows " + std::to_string(times) + " times, expected at least 1");
  return units(input.type.dims[1] * times, input.type.columns());
}

Result<TensorType> reshape(Operand input, int64_t rows, int64_t columns) {
  LLAMA4_RETURN_IF_ERROR(checkUnitRows(input));
  const int64_t elements = (isUnits(input.type) ? input.type.dims[1] : 1) * input.type.columns();
  if (rows < 1 || columns < 1 || rows > elements || rows * columns != elements)
    return broken(found(input) + ", expected " + std::to_string(rows) + " rows of " +
                  std::to_string(columns) + " columns in a unit");
  return units(rows, columns);
}

Result<TensorType> concat(std::span<const Operand> inputs, bool interleaved) {
  if (inputs.empty())
    return broken("there are no inputs");
  int64_t columns = 0;
  for (Operand input : inputs) {
    LLAMA4_RETURN_IF_ERROR(checkUnits(input));
    if (input.type.dims[1] != inputs[0].type.dims[1] ||
        (interleaved && input.type != inputs[0].type))
      return broken(found(inputs[0]) + ", " + found(input) + ", expected " +
                    (interleaved ? "one type" : "as many rows in a unit"));
    columns += input.type.columns();
  }
  return units(inputs[0].type.dims[1], columns);
}

Result<TensorType> pixelShuffle(Operand input, int64_t columns, int64_t side) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(input));
  const int64_t rows = input.type.dims[1];
  if (columns < 1 || columns > rows || columns * columns > rows)
    return broken(found(input) + ", expected a grid of " + std::to_string(columns) + " by " +
                  std::to_string(columns) + " rows in a unit");
  LLAMA4_RETURN_IF_ERROR(checkDivides("side", side, columns, "columns of the grid"));
  const int64_t out = columns / side;
  return units(out * out, side * side * input.type.columns());
}

Result<TensorType> mergeRows(Operand input, Operand rows, Operand source) {
  LLAMA4_RETURN_IF_ERROR(checkRows(input));
  LLAMA4_RETURN_IF_ERROR(checkIndices(rows));
  if (source.type.element != Element::F32 || !isStatic(source.type, 2) ||
      source.type.columns() != input.type.columns())
    return broken(found(source) + ", expected f32[M, " + std::to_string(input.type.columns()) +
                  "]");
  return input.type;
}

//===----------------------------------------------------------------------===//
// Attention without state
//===----------------------------------------------------------------------===//

Result<TensorType> unitAttention(Operand query, Operand key, Operand value, int64_t heads) {
  LLAMA4_RETURN_IF_ERROR(checkUnits(query));
  for (Operand other : {key, value})
    if (other.type != query.type)
      return broken(found(query) + ", " + found(other) + ", expected one type");
  LLAMA4_RETURN_IF_ERROR(
      checkDivides("heads", heads, query.type.columns(), "columns of the query"));
  return query.type;
}

Result<TensorType> unitAttention(Operand query, Operand key, Operand value, int64_t heads,
                                 Operand pictures, Padding padding) {
  LLAMA4_ASSIGN_OR_RETURN(TensorType type, unitAttention(query, key, value, heads));
  LLAMA4_RETURN_IF_ERROR(checkIndices(pictures));
  LLAMA4_RETURN_IF_ERROR(checkDivides("groups", padding.groups, type.dims[1], "rows of a unit"));
  if (padding.real < 1 || padding.real > type.dims[1] / padding.groups)
    return broken("real rows are " + std::to_string(padding.real) + ", expected 1 to the " +
                  std::to_string(type.dims[1] / padding.groups) + " of a group");
  return type;
}

Result<TensorType> crossAttention(Operand query, Operand key, Operand value, Operand first,
                                  Operand count, Operand tiles, int64_t heads, int64_t groups) {
  LLAMA4_RETURN_IF_ERROR(checkRows(query));
  LLAMA4_RETURN_IF_ERROR(
      checkDivides("heads", heads, query.type.columns(), "columns of the query"));
  const int64_t dim = query.type.columns() / heads;
  if (key.type.element != Element::F32 || !isStatic(key.type, 3) || key.type != value.type)
    return broken(found(key) + " and " + found(value) + ", expected f32[I, K, N]");
  if (key.type.columns() % dim != 0 || heads % (key.type.columns() / dim) != 0)
    return broken(columnsText(key) + ", expected KV heads of " + std::to_string(dim) +
                  ", a divisor of " + std::to_string(heads));
  LLAMA4_RETURN_IF_ERROR(checkDivides("groups", groups, key.type.dims[1], "rows of an image"));
  LLAMA4_RETURN_IF_ERROR(checkIndices(first));
  LLAMA4_RETURN_IF_ERROR(checkIndices(count));
  if (tiles.type != TensorType{Element::I32, {key.type.dims[0]}})
    return broken(found(tiles) + ", expected i32[" + std::to_string(key.type.dims[0]) + "]");
  return query.type;
}

} // namespace llama4::lm::shape
