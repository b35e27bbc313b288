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

Result<HostTensor> CheckpointParams::read(const ParamRequest &request) {
  const SourceTensor *tensor = checkpoint_.find(request.source);
  if (!tensor || tensor->shape != request.shape)
    return Status::invalidInput(checkpoint_.path() + ": parameter " + quoteName(request.name) +
                                ": found " +
                                (tensor ? shapeText(tensor->shape) : std::string("no tensor")) +
                                " under " + quoteName(request.source) + ", expected " +
                                shapeText(request.shape) + "; use the checkpoint of this module.");
  HostTensor values = HostTensor::zeros(request.element, request.shape);
  const uint64_t rows = tensor->shape.size() == 2 ? static_cast<uint64_t>(tensor->shape[0]) : 1;
  LLAMA4_RETURN_IF_ERROR(dequantizeRows(*tensor, 0, rows, values.values).in(checkpoint_.path()));
  if (const int64_t heads = request.unpermuteHeads) {
    if (heads < 0 || request.shape[0] % (2 * heads) != 0)
      return Status::invalidInput("parameter " + quoteName(request.name) + ": found " +
                                  shapeText(request.shape) + ", expected rows of " +
                                  std::to_string(heads) + " heads of an even size.");
    const int64_t width = request.shape.size() == 2 ? request.shape[1] : 1;
    unpermute(values.values, request.shape[0], width, heads);
  }
  LLAMA4_RETURN_IF_ERROR(round(*tensor, request, values));
  return values;
}

} // namespace llama4::reference
