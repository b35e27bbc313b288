//===- Contractions.cpp - linear and attention ----------------------------===//

#include "compiler/reference/Frame.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace llama4::reference {

/// Sum of products in double; eight partial sums, so that it takes seconds and not minutes.
static double dot(const double *a, const float *b, int64_t count) {
  double partial[8] = {};
  int64_t k = 0;
  for (; k + 8 <= count; k += 8)
    for (int64_t lane = 0; lane < 8; ++lane)
      partial[lane] += a[k + lane] * static_cast<double>(b[k + lane]);
  double sum = 0;
  for (; k < count; ++k)
    sum += a[k] * static_cast<double>(b[k]);
  for (double part : partial)
    sum += part;
  return sum;
}

/// x times the transpose of `weight`, or of the matrix of each row's expert.
static HostTensor multiply(const HostTensor &x, const HostTensor &weight,
                           ArrayRef<int32_t> experts) {
  const int64_t outputs = weight.shape[weight.shape.size() - 2];
  HostTensor result = HostTensor::zeros(Element::F32, {x.rows(), outputs});
  for (int64_t t = 0; t < x.rows(); ++t) {
    const std::vector<double> input = x.exactRow(t);
    const int64_t first = experts.empty() ? 0 : experts[t] * outputs;
    for (int64_t n = 0; n < outputs; ++n)
      result.values[t * outputs + n] =
          static_cast<float>(dot(input.data(), weight.row(first + n).data(), weight.columns()));
  }
  return result;
}

/// The expert of every row, from tiles that must cover the rows in order.
static Result<std::vector<int32_t>> readTiles(const HostTensor &tiles, int64_t rows,
                                              int64_t experts) {
  std::vector<int32_t> result;
  for (int64_t i = 0; i < tiles.rows(); ++i) {
    const int32_t *tile = tiles.ints.data() + i * 4;
    if (tile[2] != 0 && (tile[1] != static_cast<int32_t>(result.size()) || tile[2] < 0 ||
                         tile[0] < 0 || tile[0] >= experts))
      return Status::invalidInput("tile " + std::to_string(i) + " has " + std::to_string(tile[2]) +
                                  " rows from " + std::to_string(tile[1]) + " of expert " +
                                  std::to_string(tile[0]));
    result.insert(result.end(), tile[2], tile[0]);
  }
  if (static_cast<int64_t>(result.size()) != rows)
    return Status::invalidInput("tiles hold " + std::to_string(result.size()) + " rows, expected " +
                                std::to_string(rows));
  return result;
}

Status Frame::evaluate(lm::LinearOp op) {
  const HostTensor &x = get(op.getInput());
  std::vector<int32_t> experts;
  if (Value tiles = op.getTiles()) {
    LLAMA4_ASSIGN_OR_RETURN(
        experts, readTiles(get(tiles), x.rows(), get(op.getWeights().front()).shape.front()));
  }
  std::vector<HostTensor> results;
  for (unsigned group = 0; group < op.getGroups().size(); ++group) {
    std::vector<HostTensor> products;
    const unsigned first = op.getFirstSegment(group);
    for (unsigned i = 0; i < op.getGroups()[group]; ++i)
      products.push_back(multiply(x, get(op.getWeights()[first + i]), experts));
    ValueRange outputs = op.getOutputs().slice(op.getFirstResult(group), op.getNumResults(group));
    LLAMA4_RETURN_IF_ERROR(runRegion(op.getEpilogues()[group], outputs, x.rows(),
                                     op.getGroupWidth(group), products, results));
  }
  return bindResults(op, std::move(results));
}

/// softmax(scale q k^T) v for all heads of one token, over the positions of its chunk (of all,
/// where the mask has none) up to its own.
Status Frame::attendToken(lm::AttentionOp op, int64_t token, std::span<float> out) {
  lm::KvLayerType type = op.getKv().getType();
  const KvLayerRef layer = layerOf(op.getKv());
  const std::vector<double> query = get(op.getQuery()).exactRow(token);
  const int64_t dim = type.getDim(), position = batch_.positions[token];
  const auto heads = static_cast<int64_t>(out.size()) / dim, shared = heads / type.getHeads();
  const double scale = op.getScale().convertToFloat();
  const int32_t sequence = batch_.sequences[token];
  std::vector<std::span<const float>> keys, values;
  const int64_t chunk = op.getChunk().value_or(0);
  for (int64_t p = chunk == 0 ? 0 : position - position % chunk; p <= position; ++p) {
    keys.push_back(interpreter_.kv_.read(layer, Plane::Key, sequence, p));
    values.push_back(interpreter_.kv_.read(layer, Plane::Value, sequence, p));
    if (keys.back().empty() || values.back().empty())
      return Status::invalidInput("position " + std::to_string(position) + " of sequence " +
                                  std::to_string(sequence) + " reads position " +
                                  std::to_string(p) + ", which no step has written");
  }
  for (int64_t head = 0; head < heads; ++head) {
    const int64_t from = head / shared * dim;
    std::vector<double> weights(keys.size());
    for (size_t p = 0; p < keys.size(); ++p)
      weights[p] = scale * dot(query.data() + head * dim, keys[p].data() + from, dim);
    const double largest = *std::max_element(weights.begin(), weights.end());
    double total = 0;
    for (double &weight : weights)
      total += weight = std::exp(weight - largest);
    for (int64_t d = 0; d < dim; ++d) {
      double sum = 0;
      for (size_t p = 0; p < values.size(); ++p)
        sum += weights[p] * static_cast<double>(values[p][from + d]);
      out[head * dim + d] = static_cast<float>(sum / total);
    }
  }
  return {};
}

Status Frame::evaluate(lm::AttentionOp op) {
  const HostTensor &query = get(op.getQuery());
  LLAMA4_RETURN_IF_ERROR(needTokens(query.rows()));
  std::vector<HostTensor> attended = {HostTensor::zeros(Element::F32, query.shape)};
  const int64_t columns = query.columns();
  for (int64_t t = 0; t < query.rows(); ++t)
    LLAMA4_RETURN_IF_ERROR(attendToken(
        op, t, {attended[0].values.data() + t * columns, static_cast<size_t>(columns)}));
  std::vector<HostTensor> results;
  LLAMA4_RETURN_IF_ERROR(
      runRegion(op.getEpilogue(), op.getOutputs(), query.rows(), columns, attended, results));
  return bindResults(op, std::move(results));
}

} // namespace llama4::reference
