//===- NamedOps.cpp - look-up and row work, op by op ----------------------===//
//
// The definitions follow the descriptions in LmOps.td and share nothing with buildRowBody.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/Frame.h"

#include <cmath>

using namespace mlir;

namespace llama4::reference {

Status Frame::evaluate(lm::LoadParamOp op) {
  LLAMA4_ASSIGN_OR_RETURN(TensorRef values, interpreter_.parameter(op.getParam()));
  bind(op.getResult(), std::move(values));
  return {};
}

Status Frame::evaluate(lm::EmbedOp op) {
  const HostTensor &ids = get(op.getIds()), &table = get(op.getTable());
  HostTensor result = HostTensor::zeros(Element::F32, {ids.rows(), table.columns()});
  for (int64_t t = 0; t < ids.rows(); ++t) {
    const int32_t id = ids.ints[t];
    if (id < 0 || id >= table.rows())
      return Status::invalidInput("token " + std::to_string(t) + " has id " + std::to_string(id) +
                                  ", the table has " + std::to_string(table.rows()) + " rows");
    result.store(t, table.row(id));
  }
  return bindResults(op, {std::move(result)});
}

/// Elementwise result of two tensors of one shape.
template <typename Function>
static Result<HostTensor> zip(const HostTensor &lhs, const HostTensor &rhs, Function function) {
  if (lhs.shape != rhs.shape)
    return Status::invalidInput("operands have " + std::to_string(lhs.rows()) + " and " +
                                std::to_string(rhs.rows()) + " rows");
  HostTensor result = HostTensor::zeros(Element::F32, lhs.shape);
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] = function(lhs.values[i], rhs.values[i]);
  return result;
}

Status Frame::evaluate(lm::AddOp op) {
  LLAMA4_ASSIGN_OR_RETURN(HostTensor result, zip(get(op.getLhs()), get(op.getRhs()),
                                                 [](float a, float b) { return a + b; }));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::MulOp op) {
  LLAMA4_ASSIGN_OR_RETURN(HostTensor result, zip(get(op.getLhs()), get(op.getRhs()),
                                                 [](float a, float b) { return a * b; }));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::BiasOp op) {
  HostTensor result = get(op.getInput());
  const HostTensor &bias = get(op.getBias());
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] += bias.values[i % bias.values.size()];
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::SiluOp op) {
  HostTensor result = get(op.getInput());
  for (float &value : result.values)
    value = value / (1.0f + std::exp(-value));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::RmsNormOp op) {
  const HostTensor &input = get(op.getInput()), &weight = get(op.getWeight());
  const float eps = op.getEps().convertToFloat();
  HostTensor result = HostTensor::zeros(Element::F32, input.shape);
  const int64_t columns = input.columns();
  for (int64_t t = 0; t < input.rows(); ++t) {
    double squares = 0;
    for (float x : input.row(t))
      squares += static_cast<double>(x) * x;
    const float mean = static_cast<float>(squares / static_cast<double>(columns));
    const float scale = 1.0f / std::sqrt(mean + eps);
    for (int64_t j = 0; j < columns; ++j)
      result.values[t * columns + j] = input.row(t)[j] * scale * weight.values[j];
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::QkNormOp op) {
  const HostTensor &input = get(op.getInput());
  const float eps = op.getEps().convertToFloat();
  const auto dim = static_cast<size_t>(op.getDim());
  HostTensor result = HostTensor::zeros(Element::F32, input.shape);
  for (size_t head = 0; head < input.values.size(); head += dim) {
    double squares = 0;
    for (size_t i = head; i < head + dim; ++i)
      squares += static_cast<double>(input.values[i]) * input.values[i];
    const float scale =
        1.0f / std::sqrt(static_cast<float>(squares / static_cast<double>(dim)) + eps);
    for (size_t i = head; i < head + dim; ++i)
      result.values[i] = input.values[i] * scale;
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::TemperatureOp op) {
  const HostTensor &factors = get(op.getTemperature());
  HostTensor result = get(op.getInput());
  if (factors.rows() != result.rows())
    return Status::invalidInput("has " + std::to_string(result.rows()) + " rows of input and " +
                                std::to_string(factors.rows()) + " temperatures");
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] *= factors.values[i / static_cast<size_t>(result.columns())];
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::RopeOp op) {
  const HostTensor &input = get(op.getInput()), &cos = get(op.getCos()), &sin = get(op.getSin());
  // Of units, every one has the same angles.
  const int64_t angles = input.shape.size() == 3 ? input.shape[1] : input.rows();
  if (cos.rows() != angles || sin.rows() != angles)
    return Status::invalidInput("has " + std::to_string(input.rows()) + " rows of input and " +
                                std::to_string(cos.rows()) + " of cos");
  HostTensor result = HostTensor::zeros(Element::F32, input.shape);
  const int64_t half = cos.columns(), dim = 2 * half, columns = input.columns();
  const bool pairs = op.getStyle() == lm::RotateStyle::Pairs;
  for (int64_t t = 0; t < input.rows(); ++t)
    for (int64_t head = 0; head < columns; head += dim)
      for (int64_t i = 0; i < half; ++i) {
        // A complex number times e^(i angle).
        const int64_t re = head + (pairs ? 2 * i : i), im = head + (pairs ? 2 * i + 1 : i + half);
        const float c = cos.row(t % angles)[i], s = sin.row(t % angles)[i];
        const float x = input.row(t)[re], y = input.row(t)[im];
        result.values[t * columns + re] = x * c - y * s;
        result.values[t * columns + im] = y * c + x * s;
      }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::KvWriteOp op) {
  const HostTensor &key = get(op.getKey()), &value = get(op.getValue());
  LLAMA4_RETURN_IF_ERROR(needTokens(key.rows()));
  LLAMA4_RETURN_IF_ERROR(needTokens(value.rows()));
  const KvLayerRef layer = layerOf(op.getKv());
  for (int64_t t = 0; t < key.rows(); ++t) {
    lm::KvLayerType type = op.getKv().getType();
    LLAMA4_RETURN_IF_ERROR(storeKv(type, layer, Plane::Key, t, key.row(t)));
    LLAMA4_RETURN_IF_ERROR(storeKv(type, layer, Plane::Value, t, value.row(t)));
  }
  return {};
}

Status Frame::evaluate(lm::QuantizeRowsOp op) {
  const HostTensor &input = get(op.getInput());
  Type element = cast<RankedTensorType>(op.getResult().getType()).getElementType();
  HostTensor result = HostTensor::zeros(elementOf(element), input.shape);
  for (int64_t t = 0; t < input.rows(); ++t)
    result.store(t, input.row(t));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::GatherOp op) {
  const HostTensor &source = get(op.getSource()), &rows = get(op.getRows());
  HostTensor result = HostTensor::zeros(Element::F32, {rows.rows(), source.columns()});
  for (int64_t r = 0; r < rows.rows(); ++r) {
    const int32_t row = rows.ints[r];
    if (row < 0 || row >= source.rows())
      return Status::invalidInput("names row " + std::to_string(row) + " of " +
                                  std::to_string(source.rows()));
    result.store(r, source.row(row));
  }
  return bindResults(op, {std::move(result)});
}

} // namespace llama4::reference
