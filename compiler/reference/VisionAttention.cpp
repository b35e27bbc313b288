//===- VisionAttention.cpp - attention without state ----------------------===//

#include "compiler/reference/Frame.h"

#include <algorithm>
#include <cmath>

using namespace mlir;

namespace llama4::reference {

/// One head of a row: the columns that it reads of queries, and of keys and values.
struct HeadColumns {
  int64_t query, key, dim;
};

/// softmax(scale q k^T) v over the listed rows of keys and values, written to out[query ...]; zero
/// where there are none.
static void attend(const HostTensor &query, int64_t row, const HostTensor &key,
                   const HostTensor &value, ArrayRef<int64_t> seen, HeadColumns head, float scale,
                   std::span<float> out) {
  if (seen.empty())
    return;
  std::vector<double> weights;
  for (int64_t other : seen) {
    double sum = 0;
    for (int64_t d = 0; d < head.dim; ++d)
      sum += static_cast<double>(query.row(row)[head.query + d]) *
             static_cast<double>(key.row(other)[head.key + d]);
    weights.push_back(static_cast<double>(scale) * sum);
  }
  const double largest = *std::max_element(weights.begin(), weights.end());
  double total = 0;
  for (double &weight : weights)
    total += weight = std::exp(weight - largest);
  for (int64_t d = 0; d < head.dim; ++d) {
    double sum = 0;
    for (size_t i = 0; i < weights.size(); ++i)
      sum += weights[i] * static_cast<double>(value.row(seen[i])[head.key + d]);
    out[head.query + d] = static_cast<float>(sum / total);
  }
}

/// For each row of a unit whether it is real: of the first `pictures` groups, and of the group's
/// first rows.
static std::vector<bool> realRows(lm::UnitAttentionOp op, int64_t rows, int32_t pictures) {
  const auto groups = static_cast<int64_t>(op.getGroups().value_or(1));
  const auto real = static_cast<int64_t>(op.getReal().value_or(rows));
  std::vector<bool> result;
  for (int64_t row = 0; row < rows; ++row)
    result.push_back(row / (rows / groups) < pictures && row % (rows / groups) < real);
  return result;
}

Status Frame::evaluate(lm::UnitAttentionOp op) {
  const HostTensor &query = get(op.getQuery());
  const int64_t units = query.shape[0], rows = query.shape[1];
  const auto heads = static_cast<int64_t>(op.getHeads());
  const int64_t dim = query.columns() / heads;
  for (Value other : {op.getKey(), op.getValue()})
    if (get(other).shape != query.shape)
      return Status::invalidInput("has queries of " + std::to_string(units) +
                                  " units and keys of " + std::to_string(get(other).shape[0]));
  HostTensor result = HostTensor::zeros(Element::F32, query.shape);
  for (int64_t unit = 0; unit < units; ++unit) {
    int32_t pictures = 1;
    if (Value counts = op.getPictures()) {
      if (get(counts).rows() != units)
        return Status::invalidInput("has " + std::to_string(units) + " units and " +
                                    std::to_string(get(counts).rows()) + " counts of pictures");
      pictures = get(counts).ints[unit];
    }
    const std::vector<bool> isReal = realRows(op, rows, pictures);
    for (int64_t row = 0; row < rows; ++row) {
      std::vector<int64_t> seen;
      for (int64_t other = 0; other < rows; ++other)
        if (isReal[row] || isReal[other])
          seen.push_back(unit * rows + other);
      const int64_t at = unit * rows + row;
      std::span<float> out(result.values.data() + at * query.columns(),
                           static_cast<size_t>(query.columns()));
      for (int64_t head = 0; head < heads; ++head)
        attend(query, at, get(op.getKey()), get(op.getValue()), seen, {head * dim, head * dim, dim},
               op.getScale().convertToFloat(), out);
    }
  }
  return bindResults(op, {std::move(result)});
}

/// The rows of keys that a query sees: of each of its images the groups that there are.
static Result<std::vector<int64_t>> imageRows(const HostTensor &key, const HostTensor &tiles,
                                              int64_t groups, int32_t first, int32_t count) {
  std::vector<int64_t> seen;
  if (count < 0 || (count > 0 && (first < 0 || first > key.shape[0] - count)))
    return Status::invalidInput("sees " + std::to_string(count) + " images from " +
                                std::to_string(first) + " of " + std::to_string(key.shape[0]));
  const int64_t rows = key.shape[1], perGroup = rows / groups;
  for (int64_t image = first; image < int64_t{first} + count; ++image) {
    if (tiles.ints[image] < 1 || tiles.ints[image] > groups)
      return Status::invalidInput("image " + std::to_string(image) + " has " +
                                  std::to_string(tiles.ints[image]) + " tiles, expected 1 to " +
                                  std::to_string(groups));
    for (int64_t row = 0; row < tiles.ints[image] * perGroup; ++row)
      seen.push_back(image * rows + row);
  }
  return seen;
}

Status Frame::evaluate(lm::CrossAttentionOp op) {
  const HostTensor &query = get(op.getQuery()), &key = get(op.getKey());
  const HostTensor &first = get(op.getFirst()), &count = get(op.getCount());
  const HostTensor &tiles = get(op.getTiles());
  if (first.rows() != query.rows() || count.rows() != query.rows() ||
      tiles.rows() != key.shape[0] || get(op.getValue()).shape != key.shape)
    return Status::invalidInput("has " + std::to_string(query.rows()) + " rows, " +
                                std::to_string(first.rows()) + " ranges of images, " +
                                std::to_string(key.shape[0]) + " images and " +
                                std::to_string(tiles.rows()) + " counts of tiles");
  const auto heads = static_cast<int64_t>(op.getHeads());
  const int64_t dim = query.columns() / heads, shared = heads / (key.columns() / dim);
  HostTensor result = HostTensor::zeros(Element::F32, query.shape);
  for (int64_t t = 0; t < query.rows(); ++t) {
    LLAMA4_ASSIGN_OR_RETURN(
        const std::vector<int64_t> seen,
        imageRows(key, tiles, static_cast<int64_t>(op.getGroups()), first.ints[t], count.ints[t]));
    std::span<float> out(result.values.data() + t * query.columns(),
                         static_cast<size_t>(query.columns()));
    for (int64_t head = 0; head < heads; ++head)
      attend(query, t, key, get(op.getValue()), seen, {head * dim, head / shared * dim, dim},
             op.getScale().convertToFloat(), out);
  }
  return bindResults(op, {std::move(result)});
}

} // namespace llama4::reference
