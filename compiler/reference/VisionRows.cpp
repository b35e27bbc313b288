//===- VisionRows.cpp - row work and order of rows in image towers --------===//
//
// The definitions follow the descriptions in LmVisionOps.td and share nothing with buildRowBody.
//
//===----------------------------------------------------------------------===//

#include "compiler/reference/Frame.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace llama4::reference {

//===----------------------------------------------------------------------===//
// Row work
//===----------------------------------------------------------------------===//

Status Frame::evaluate(lm::LayerNormOp op) {
  const HostTensor &input = get(op.getInput()), &weight = get(op.getWeight());
  const HostTensor &bias = get(op.getBias());
  const float eps = op.getEps().convertToFloat();
  HostTensor result = HostTensor::zeros(Element::F32, input.shape);
  const int64_t columns = input.columns();
  for (int64_t t = 0; t < input.rows(); ++t) {
    std::span<const float> row = input.row(t);
    double sum = 0, squares = 0;
    for (float x : row)
      sum += x;
    const double mean = sum / static_cast<double>(columns);
    for (float x : row)
      squares += (x - mean) * (x - mean);
    const double variance = squares / static_cast<double>(columns);
    const double scale = 1.0 / std::sqrt(variance + static_cast<double>(eps));
    for (int64_t j = 0; j < columns; ++j)
      result.values[t * columns + j] =
          static_cast<float>((row[j] - mean) * scale) * weight.values[j] + bias.values[j];
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::GeluOp op) {
  HostTensor result = get(op.getInput());
  for (float &value : result.values) {
    const double x = value;
    value = static_cast<float>(0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))));
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::HeadNormOp op) {
  HostTensor result = get(op.getInput());
  const HostTensor &weight = get(op.getWeight());
  const float eps = op.getEps().convertToFloat();
  const size_t dim = weight.values.size();
  for (size_t head = 0; head < result.values.size(); head += dim) {
    double squares = 0;
    for (size_t i = 0; i < dim; ++i)
      squares += static_cast<double>(result.values[head + i]) * result.values[head + i];
    const auto mean = static_cast<float>(squares / static_cast<double>(dim));
    const float scale = 1.0f / std::sqrt(mean + eps);
    for (size_t i = 0; i < dim; ++i)
      result.values[head + i] = result.values[head + i] * scale * weight.values[i];
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::TanhGateOp op) {
  HostTensor result = get(op.getInput());
  const float open = std::tanh(get(op.getGate()).values[0]);
  for (float &value : result.values)
    value *= open;
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::GatedBiasOp op) {
  HostTensor result = get(op.getInput());
  const HostTensor &bias = get(op.getBias());
  const float rest = 1.0f - std::tanh(get(op.getGate()).values[0]);
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] += rest * bias.values[i % bias.values.size()];
  return bindResults(op, {std::move(result)});
}

//===----------------------------------------------------------------------===//
// Order of rows
//===----------------------------------------------------------------------===//

/// A result [units, K, N] as its type says, with as many units as `input` has.
static HostTensor unitsLike(Value result, const HostTensor &input) {
  auto type = cast<RankedTensorType>(result.getType());
  std::vector<int64_t> shape = type.getShape().vec();
  shape[0] = input.shape[0];
  return HostTensor::zeros(Element::F32, std::move(shape));
}

Status Frame::evaluate(lm::PatchesOp op) {
  const HostTensor &pixels = get(op.getPixels());
  HostTensor result = unitsLike(op.getResult(), pixels);
  const auto channels = static_cast<int64_t>(op.getChannels());
  const auto patch = static_cast<int64_t>(op.getPatch());
  const int64_t side = pixels.columns(), grid = side / patch;
  auto out = result.values.begin();
  for (int64_t picture = 0; picture < pixels.rows() / (channels * side); ++picture)
    for (int64_t place = 0; place < grid * grid; ++place)
      for (int64_t channel = 0; channel < channels; ++channel)
        for (int64_t line = 0; line < patch; ++line) {
          const int64_t y = place / grid * patch + line, x = place % grid * patch;
          std::span<const float> row = pixels.row((picture * channels + channel) * side + y);
          out = std::copy_n(row.begin() + x, patch, out);
        }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::InsertRowOp op) {
  const HostTensor &input = get(op.getInput()), &vector = get(op.getVector());
  HostTensor result = unitsLike(op.getResult(), input);
  const auto groups = static_cast<int64_t>(op.getGroups()), at = static_cast<int64_t>(op.getAt());
  const int64_t rows = input.shape[1] / groups;
  auto out = result.values.begin();
  auto copy = [&](std::span<const float> row) { out = std::copy(row.begin(), row.end(), out); };
  for (int64_t group = 0; group < input.shape[0] * groups; ++group)
    for (int64_t row = 0; row <= rows; ++row) {
      if (row == at)
        copy(vector.values);
      if (row < rows)
        copy(input.row(group * rows + row));
    }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::FitRowsOp op) {
  const HostTensor &input = get(op.getInput());
  HostTensor result = unitsLike(op.getResult(), input);
  const auto groups = static_cast<int64_t>(op.getGroups());
  const int64_t from = input.shape[1] / groups, to = result.shape[1] / groups;
  for (int64_t group = 0; group < input.shape[0] * groups; ++group)
    for (int64_t row = 0; row < std::min(from, to); ++row)
      result.store(group * to + row, input.row(group * from + row));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::SpreadRowsOp op) {
  const HostTensor &input = get(op.getInput());
  HostTensor result = unitsLike(op.getResult(), input);
  const int64_t times = result.shape[1] / input.shape[1];
  for (int64_t row = 0; row < result.rows(); ++row)
    result.store(row, input.row(row / times));
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::ReshapeOp op) {
  HostTensor result = unitsLike(op.getResult(), get(op.getInput()));
  result.values = get(op.getInput()).values;
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::ConcatOp op) {
  HostTensor result = unitsLike(op.getResult(), get(op.getInputs().front()));
  const auto count = static_cast<int64_t>(op.getInputs().size());
  int64_t behind = 0;
  for (auto [index, value] : llvm::enumerate(op.getInputs())) {
    const HostTensor &input = get(value);
    if (input.shape[0] != result.shape[0])
      return Status::invalidInput("has inputs of " + std::to_string(result.shape[0]) + " and " +
                                  std::to_string(input.shape[0]) + " units");
    for (int64_t row = 0; row < input.rows(); ++row)
      for (int64_t c = 0; c < input.columns(); ++c) {
        const int64_t to =
            op.getInterleaved() ? c * count + static_cast<int64_t>(index) : behind + c;
        result.values[row * result.columns() + to] = input.row(row)[c];
      }
    behind += input.columns();
  }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::PixelShuffleOp op) {
  const HostTensor &input = get(op.getInput());
  HostTensor result = unitsLike(op.getResult(), input);
  const auto columns = static_cast<int64_t>(op.getColumns());
  const auto side = static_cast<int64_t>(op.getSide());
  auto out = result.values.begin();
  for (int64_t unit = 0; unit < input.shape[0]; ++unit)
    for (int64_t r = 0; r < columns; r += side)
      for (int64_t c = 0; c < columns; c += side)
        for (int64_t i = 0; i < side; ++i)
          for (int64_t j = 0; j < side; ++j) {
            std::span<const float> row =
                input.row(unit * input.shape[1] + (r + i) * columns + c + j);
            out = std::copy(row.begin(), row.end(), out);
          }
  return bindResults(op, {std::move(result)});
}

Status Frame::evaluate(lm::MergeRowsOp op) {
  HostTensor result = get(op.getInput());
  const HostTensor &rows = get(op.getRows()), &source = get(op.getSource());
  if (rows.rows() != result.rows())
    return Status::invalidInput("has " + std::to_string(result.rows()) + " rows of input and " +
                                std::to_string(rows.rows()) + " indices");
  for (int64_t t = 0; t < result.rows(); ++t) {
    const int32_t row = rows.ints[t];
    if (row < -1 || row >= source.rows())
      return Status::invalidInput("row " + std::to_string(t) + " names row " + std::to_string(row) +
                                  " of " + std::to_string(source.rows()));
    if (row >= 0)
      result.store(t, source.row(row));
  }
  return bindResults(op, {std::move(result)});
}

} // namespace llama4::reference
