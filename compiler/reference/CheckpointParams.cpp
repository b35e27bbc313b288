//===- CheckpointParams.cpp - parameters of a checkpoint ------------------===//

#include "compiler/reference/ParamSource.h"

#include "runtime/format/Quoted.h"

namespace llama4::reference {

/// Rounds the rows of one matrix to the asked-for format.
Status CheckpointParams::round(const SourceParam &source, const ParamRequest &request,
                               int64_t matrix, std::span<float> values) const {
  if (request.element == Element::F32 ||
      source.storedType(matrix) == dtypeFromName(elementName(request.element)))
    return {};
  if (request.element == Element::BF16) {
    for (float &value : values)
      value = roundToBFloat16(value);
    return {};
  }
  if (!rounding_)
    return Status::internal("parameter " + quoteName(request.name) + ": no quantizer for " +
                            std::string(elementName(request.element)) + " was given.");
  const auto columns = static_cast<size_t>(source.columns());
  for (size_t at = 0; at < values.size(); at += columns)
    rounding_(request.element, values.subspan(at, columns));
  return {};
}

Result<HostTensor> CheckpointParams::read(const ParamRequest &request) {
  LLAMA4_ASSIGN_OR_RETURN(SourceParam source, SourceParam::find(request, checkpoint_));
  HostTensor tensor = HostTensor::zeros(request.element, request.shape);
  const auto size = static_cast<size_t>(source.rows() * source.columns());
  for (int64_t matrix = 0; matrix < source.matrices(); ++matrix) {
    const std::span<float> values =
        std::span(tensor.values).subspan(static_cast<size_t>(matrix) * size, size);
    LLAMA4_RETURN_IF_ERROR(
        source.readRows(matrix, 0, source.rows(), values).in(checkpoint_.path()));
    LLAMA4_RETURN_IF_ERROR(round(source, request, matrix, values));
  }
  return tensor;
}

} // namespace llama4::reference
