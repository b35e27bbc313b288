//===- Experts.cpp - routing and mixture of experts -----------------------===//

#include "compiler/reference/Frame.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;

namespace llama4::reference {

/// Ids i32[T, top] and scores f32[T, top] of the experts with the largest logits.
static std::pair<HostTensor, HostTensor> chooseExperts(const HostTensor &logits, int64_t top) {
  HostTensor ids = HostTensor::zeros(Element::I32, {logits.rows(), top});
  HostTensor scores = HostTensor::zeros(Element::F32, {logits.rows(), top});
  for (int64_t t = 0; t < logits.rows(); ++t) {
    std::span<const float> row = logits.row(t);
    std::vector<bool> isTaken(row.size());
    for (int64_t k = 0; k < top; ++k) {
      // The first of the largest that are left.
      size_t best = row.size();
      for (size_t e = 0; e < row.size(); ++e)
        if (!isTaken[e] && (best == row.size() || row[e] > row[best]))
          best = e;
      isTaken[best] = true;
      ids.ints[t * top + k] = static_cast<int32_t>(best);
      scores.values[t * top + k] = 1.0f / (1.0f + std::exp(-row[best]));
    }
  }
  return {std::move(ids), std::move(scores)};
}

Status Frame::evaluate(lm::RouteOp op) {
  auto [ids, scores] = chooseExperts(get(op.getLogits()), static_cast<int64_t>(op.getTop()));
  std::vector<HostTensor> results;
  results.push_back(std::move(ids));
  results.push_back(std::move(scores));
  return bindResults(op, std::move(results));
}

Status Frame::evaluate(lm::GroupByExpertOp op) {
  const HostTensor &logits = get(op.getLogits());
  const auto top = static_cast<int64_t>(op.getTop()), tile = static_cast<int64_t>(op.getTile());
  const int64_t tokens = logits.rows(), slots = tokens * top;
  const auto [ids, chosen] = chooseExperts(logits, top);
  std::vector<int64_t> order(static_cast<size_t>(slots));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&ids = ids](int64_t a, int64_t b) {
    return std::pair(ids.ints[a], a) < std::pair(ids.ints[b], b);
  });
  HostTensor rows = HostTensor::zeros(Element::I32, {tokens, top, 1}), places = rows;
  HostTensor scores = HostTensor::zeros(Element::F32, {tokens, top, 1});
  HostTensor tiles = HostTensor::zeros(Element::I32, {tokens, top, 4});
  int32_t count = 0;
  for (int64_t p = 0; p < slots; ++p) {
    const int64_t slot = order[p];
    rows.ints[p] = static_cast<int32_t>(slot / top);
    scores.values[p] = chosen.values[slot];
    places.ints[slot] = static_cast<int32_t>(p);
    const int32_t *last = count ? tiles.ints.data() + (count - 1) * 4 : nullptr;
    if (!last || last[0] != ids.ints[slot] || last[2] == tile) {
      int32_t *next = tiles.ints.data() + count++ * 4;
      next[0] = ids.ints[slot];
      next[1] = static_cast<int32_t>(p);
    }
    ++tiles.ints[(count - 1) * 4 + 2];
  }
  if (count)
    tiles.ints[3] = count;
  std::vector<HostTensor> results;
  for (HostTensor *result : {&rows, &scores, &places, &tiles})
    results.push_back(std::move(*result));
  return bindResults(op, std::move(results));
}

/// Row `row` of `weights` times `x`, in double, rounded once.
static float product(const HostTensor &weights, int64_t row, std::span<const float> x) {
  std::span<const float> weight = weights.row(row);
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j)
    sum += static_cast<double>(weight[j]) * x[j];
  return static_cast<float>(sum);
}

/// down(silu(gate(x)) * up(x)) of one expert, added to `out`.
static void addExpert(const HostTensor &gate, const HostTensor &up, const HostTensor &down,
                      int64_t expert, std::span<const float> x, std::span<float> out) {
  const int64_t width = gate.shape[1];
  std::vector<float> inner(static_cast<size_t>(width));
  for (int64_t f = 0; f < width; ++f) {
    const float g = product(gate, expert * width + f, x);
    inner[f] = g / (1.0f + std::exp(-g)) * product(up, expert * width + f, x);
  }
  const auto hidden = static_cast<int64_t>(out.size());
  for (int64_t h = 0; h < hidden; ++h)
    out[h] += product(down, expert * hidden + h, inner);
}

Status Frame::evaluate(lm::ExpertsOp op) {
  const HostTensor &input = get(op.getInput()), &ids = get(op.getIds());
  const HostTensor &scores = get(op.getScores()), &gate = get(op.getGate());
  if (ids.rows() != input.rows() || scores.rows() != input.rows())
    return Status::invalidInput("has " + std::to_string(input.rows()) + " rows of input, " +
                                std::to_string(ids.rows()) + " of ids and " +
                                std::to_string(scores.rows()) + " of scores");
  HostTensor result = HostTensor::zeros(Element::F32, input.shape);
  const int64_t top = ids.columns(), columns = input.columns();
  for (int64_t t = 0; t < input.rows(); ++t)
    for (int64_t k = 0; k < top; ++k) {
      const int32_t expert = ids.ints[t * top + k];
      if (expert < 0 || expert >= gate.shape[0])
        return Status::invalidInput("token " + std::to_string(t) + " names expert " +
                                    std::to_string(expert) + " of " +
                                    std::to_string(gate.shape[0]));
      std::vector<float> x(input.row(t).begin(), input.row(t).end());
      for (float &value : x)
        value *= scores.values[t * top + k];
      addExpert(gate, get(op.getUp()), get(op.getDown()), expert, x,
                {result.values.data() + t * columns, static_cast<size_t>(columns)});
    }
  return bindResults(op, {std::move(result)});
}

} // namespace llama4::reference
