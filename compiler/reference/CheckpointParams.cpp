//===- CheckpointParams.cpp - parameters of a checkpoint ------------------===//

#include "compiler/reference/ParamSource.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4::reference {

/// GGUF stores the rows of a head as pairs (i, i + half) side by side; puts them back as [first
/// halves, second halves]. `columns` elements a row.
static void unpermute(std::vector<float> &values, int64_t rows, int64_t columns, int64_t heads) {
  const int64_t dim = rows / heads, half = dim / 2;
  const std::vector<float> stored = values;
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t i = 0; i < dim; ++i) {
      const int64_t from = head * dim + 2 * (i % half) + i / half;
      std::copy_n(stored.begin() + from * columns, columns,
                  values.begin() + (head * dim + i) * columns);
    }
}

/// The stored type that an element format is, so that nothing is rounded twice.
static DType dtypeOf(Element element) {
  switch (element) {
  case Element::BF16:
    return DType::BF16;
  case Element::Q8_0:
    return DType::Q8_0;
  case Element::Q4_1:
    return DType::Q4_1;
  default:
    return DType::F32;
  }
}

Status CheckpointParams::round(const SourceTensor &tensor, const ParamRequest &request,
                               HostTensor &values) const {
  if (request.element == Element::F32 || tensor.dtype == dtypeOf(request.element))
    return {};
  if (request.element == Element::BF16) {
    for (float &value : values.values)
      value = roundToBFloat16(value);
    return {};
  }
  if (!rounding_)
    return Status::internal("parameter " + quoteName(request.name) + ": no quantizer for " +
                            std::string(elementName(request.element)) + " was given.");
  for (int64_t row = 0; row < values.rows(); ++row)
    rounding_(request.element, {values.values.data() + row * values.columns(),
                                static_cast<size_t>(values.columns())});
  return {};
}

/// The name with the number of the expert in the place of `*`.
static std::string nameOf(const ParamRequest &request, const std::string &name, int64_t expert) {
  const size_t at = name.find('*');
  if (!request.perExpert || at == std::string::npos)
    return name;
  return name.substr(0, at) + std::to_string(expert) + name.substr(at + 1);
}

static int64_t rowsOf(const ParamRequest &request) {
  return request.shape.size() == 1 ? 1 : request.shape[request.shape.size() - 2];
}

/// The tensor `name`, which must have the extents `shape`; a fused one may have more rows.
Result<const SourceTensor *> CheckpointParams::find(const ParamRequest &request,
                                                    const std::string &name,
                                                    const std::vector<int64_t> &shape) const {
  const SourceTensor *tensor = checkpoint_.find(name);
  const size_t rank = shape.size();
  const bool isFused = rank == 3 || request.firstRow > 0;
  const size_t rows = request.transpose ? rank - 1 : rank - 2;
  bool fits = tensor && tensor->shape.size() == rank;
  for (size_t i = 0; fits && i < rank; ++i)
    fits = isFused && i == rows ? tensor->shape[i] - request.firstRow >= shape[i]
                                : tensor->shape[i] == shape[i];
  if (fits)
    return tensor;
  return Status::invalidInput(
      checkpoint_.path() + ": parameter " + quoteName(request.name) + ": found " +
      (tensor ? shapeText(tensor->shape) : std::string("no tensor")) + " under " + quoteName(name) +
      ", expected " + shapeText(shape) + "; use the checkpoint of this module.");
}

/// The matrix (or vector) of one expert, in the order of the parameter; expert 0 is all there is in
/// rank 1 and 2.
Status CheckpointParams::readMatrix(const ParamRequest &request, int64_t expert,
                                    std::span<float> out) const {
  std::vector<int64_t> shape = request.shape;
  if (request.transpose)
    std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
  if (request.perExpert)
    shape.erase(shape.begin());
  LLAMA4_ASSIGN_OR_RETURN(const SourceTensor *tensor,
                          find(request, nameOf(request, request.source, expert), shape));
  const int64_t rows = rowsOf(request), columns = request.shape.back();
  const int64_t index = request.perExpert ? 0 : expert;
  if (!request.transpose) {
    const int64_t stored = shape.size() == 1 ? 1 : tensor->shape[tensor->shape.size() - 2];
    return dequantizeRows(*tensor, static_cast<uint64_t>(index * stored + request.firstRow),
                          static_cast<uint64_t>(rows), out)
        .in(checkpoint_.path());
  }
  // Stored [columns, stored rows]: one stored row holds a column of the parameter.
  std::vector<float> column(static_cast<size_t>(tensor->shape.back()));
  for (int64_t j = 0; j < columns; ++j) {
    LLAMA4_RETURN_IF_ERROR(
        dequantizeRows(*tensor, static_cast<uint64_t>(index * columns + j), 1, column)
            .in(checkpoint_.path()));
    for (int64_t i = 0; i < rows; ++i)
      out[i * columns + j] = column[request.firstRow + i];
  }
  return {};
}

/// Multiplies the rows by their factors.
Status CheckpointParams::scaleRows(const ParamRequest &request, int64_t expert,
                                   std::span<float> out) const {
  const std::string name = nameOf(request, request.scale, expert);
  const SourceTensor *tensor = checkpoint_.find(name);
  const auto rows = static_cast<uint64_t>(rowsOf(request));
  if (!tensor || (tensor->elements() != rows && tensor->elements() != 1))
    return Status::invalidInput(checkpoint_.path() + ": parameter " + quoteName(request.name) +
                                ": found " +
                                (tensor ? shapeText(tensor->shape) : std::string("no tensor")) +
                                " under " + quoteName(name) + ", expected a scale for each of " +
                                std::to_string(rows) + " rows, or one in all.");
  std::vector<float> scales(tensor->elements());
  LLAMA4_RETURN_IF_ERROR(
      dequantizeRows(*tensor, 0, tensor->elements() / tensor->rowElements(), scales)
          .in(checkpoint_.path()));
  const size_t columns = out.size() / rows;
  for (size_t i = 0; i < out.size(); ++i)
    out[i] *= scales[scales.size() == 1 ? 0 : i / columns];
  return {};
}

Result<HostTensor> CheckpointParams::read(const ParamRequest &request) {
  HostTensor values = HostTensor::zeros(request.element, request.shape);
  const int64_t experts = request.shape.size() == 3 ? request.shape[0] : 1;
  const size_t size = values.values.size() / static_cast<size_t>(experts);
  for (int64_t expert = 0; expert < experts; ++expert) {
    std::span<float> out = std::span(values.values).subspan(expert * size, size);
    LLAMA4_RETURN_IF_ERROR(readMatrix(request, expert, out));
    if (!request.scale.empty())
      LLAMA4_RETURN_IF_ERROR(scaleRows(request, expert, out));
  }
  if (const int64_t heads = request.unpermuteHeads) {
    if (heads < 0 || request.shape[0] % (2 * heads) != 0)
      return Status::invalidInput("parameter " + quoteName(request.name) + ": found " +
                                  shapeText(request.shape) + ", expected rows of " +
                                  std::to_string(heads) + " heads of an even size.");
    const int64_t width = request.shape.size() == 2 ? request.shape[1] : 1;
    unpermute(values.values, request.shape[0], width, heads);
  }
  LLAMA4_RETURN_IF_ERROR(
      round(*checkpoint_.find(nameOf(request, request.source, 0)), request, values));
  return values;
}

} // namespace llama4::reference
