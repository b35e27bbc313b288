//===- RowRegion.cpp - row and epilogue regions, one row at a time --------===//

#include "compiler/reference/RowRegion.h"

#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;

namespace llama4::reference {

static Status broken(std::string sentence) { return Status::invalidInput(std::move(sentence)); }

const Lanes &RowRegion::lanes(Value value) {
  auto known = lanes_.find(value);
  if (known != lanes_.end())
    return known->second;
  return lanes_[value] = Lanes(width_, frame_.scalars_.lookup(value));
}

const Lanes &RowRegion::yield(unsigned index) {
  return lanes(cast<lm::YieldOp>(block_.getTerminator()).getValues()[index]);
}

/// Applies `function` to the elements of all operands, column by column.
template <typename Function> Lanes RowRegion::map(Operation &op, Function function) {
  // References into the map would move when an operand is materialised.
  std::vector<Lanes> operands;
  for (Value operand : op.getOperands())
    operands.push_back(lanes(operand));
  Lanes result(width_);
  for (int64_t j = 0; j < width_; ++j) {
    float at[3] = {};
    for (size_t i = 0; i < std::min<size_t>(operands.size(), 3); ++i)
      at[i] = operands[i][j];
    result[j] = function(at);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Ops of the dialect
//===----------------------------------------------------------------------===//

Status RowRegion::load(lm::ElementOp op) {
  const HostTensor &source = frame_.get(op.getSource());
  int64_t row = source.shape.size() == 1 ? 0 : row_;
  if (op.readsBySlot())
    row %= source.rows();
  if (Value rows = op.getRows()) {
    const HostTensor &indices = frame_.get(rows);
    const std::optional<uint64_t> slot = op.getSlot();
    const int64_t at = slot ? row_ * indices.shape[1] + static_cast<int64_t>(*slot) : row_;
    if (at >= indices.rows())
      return broken("reads row index " + std::to_string(at) + " of " +
                    std::to_string(indices.rows()));
    row = indices.ints[at];
  }
  if (row < 0 || row >= source.rows())
    return broken("reads row " + std::to_string(row) + " of " + std::to_string(source.rows()));
  Lanes result(width_);
  std::span<const float> from = source.row(row);
  for (int64_t j = 0; j < width_; ++j) {
    int64_t column = j;
    if (std::optional<AffineMap> map = op.getColumn())
      column = map->compose(ArrayRef<int64_t>(j)).front();
    if (column < 0 || column >= source.columns())
      return broken("reads column " + std::to_string(column) + " of " +
                    std::to_string(source.columns()));
    result[j] = from[column];
  }
  lanes_[op.getResult()] = std::move(result);
  return {};
}

Status RowRegion::rotate(lm::RotateOp op) {
  const auto dim = static_cast<int64_t>(op.getDim());
  if (dim < 2 || dim % 2 != 0 || width_ % dim != 0)
    return broken("rotates heads of " + std::to_string(dim) + " in " + std::to_string(width_) +
                  " columns");
  const Lanes input = lanes(op.getInput());
  Lanes result(width_);
  for (int64_t j = 0; j < width_; ++j) {
    const int64_t inside = j % dim;
    if (op.getStyle() == lm::RotateStyle::Half)
      result[j] = inside < dim / 2 ? -input[j + dim / 2] : input[j - dim / 2];
    else
      result[j] = inside % 2 == 0 ? -input[j + 1] : input[j - 1];
  }
  lanes_[op.getResult()] = std::move(result);
  return {};
}

Status RowRegion::reduce(lm::ReduceOp op) {
  const auto dim = static_cast<int64_t>(op.getDim().value_or(width_));
  if (dim < 1 || width_ % dim != 0)
    return broken("reduces heads of " + std::to_string(dim) + " in " + std::to_string(width_) +
                  " columns");
  const Lanes input = lanes(op.getInput());
  Lanes result;
  for (auto head = input.begin(); head != input.end(); head += dim) {
    const float value = op.getKind() == lm::ReduceKind::Max
                            ? *std::max_element(head, head + dim)
                            : static_cast<float>(std::accumulate(head, head + dim, 0.0));
    result.insert(result.end(), dim, value);
  }
  lanes_[op.getResult()] = std::move(result);
  return {};
}

Status RowRegion::put(lm::KvPutOp op) {
  const Plane plane = op.getPlane() == lm::KvPlane::Key ? Plane::Key : Plane::Value;
  return frame_.storeKv(op.getKv().getType(), frame_.layerOf(op.getKv()), plane, row_,
                        lanes(op.getInput()));
}

//===----------------------------------------------------------------------===//
// Scalar ops
//===----------------------------------------------------------------------===//

/// Truth is 1.0, as the condition of arith.select.
Lanes RowRegion::compare(arith::CmpFOp op) {
  using P = arith::CmpFPredicate;
  const P predicate = op.getPredicate();
  return map(*op, [predicate](const float *at) -> float {
    const float a = at[0], b = at[1];
    const bool unordered = std::isnan(a) || std::isnan(b);
    switch (predicate) {
    case P::AlwaysFalse:
      return false;
    case P::OEQ:
      return a == b;
    case P::OGT:
      return a > b;
    case P::OGE:
      return a >= b;
    case P::OLT:
      return a < b;
    case P::OLE:
      return a <= b;
    case P::ONE:
      return !unordered && a != b;
    case P::ORD:
      return !unordered;
    case P::UEQ:
      return unordered || a == b;
    case P::UGT:
      return unordered || a > b;
    case P::UGE:
      return unordered || a >= b;
    case P::ULT:
      return unordered || a < b;
    case P::ULE:
      return unordered || a <= b;
    case P::UNE:
      return a != b;
    case P::UNO:
      return unordered;
    case P::AlwaysTrue:
      return true;
    }
    return false;
  });
}

static float maximum(float a, float b) {
  return std::isnan(a) || std::isnan(b) ? std::nanf("") : std::max(a, b);
}
static float minimum(float a, float b) {
  return std::isnan(a) || std::isnan(b) ? std::nanf("") : std::min(a, b);
}

Status RowRegion::evaluate(Operation &op) {
  using At = const float *;
  Lanes result;
  Status status;
  bool done = false; // the op stored its own result, or has none
  llvm::TypeSwitch<Operation *>(&op)
      .Case([&](lm::ElementOp load) { status = this->load(load), done = true; })
      .Case([&](lm::RotateOp rotate) { status = this->rotate(rotate), done = true; })
      .Case([&](lm::KvPutOp put) { status = this->put(put), done = true; })
      .Case([&](lm::YieldOp) { done = true; })
      .Case([&](lm::ReduceOp reduce) { status = this->reduce(reduce), done = true; })
      .Case([&](arith::CmpFOp compare) { result = this->compare(compare); })
      .Case([&](arith::ConstantOp constant) {
        frame_.evaluateConstant(constant);
        result = Lanes(width_, frame_.scalars_.lookup(constant.getResult()));
      })
      .Case([&](arith::AddFOp) { result = map(op, [](At x) { return x[0] + x[1]; }); })
      .Case([&](arith::SubFOp) { result = map(op, [](At x) { return x[0] - x[1]; }); })
      .Case([&](arith::MulFOp) { result = map(op, [](At x) { return x[0] * x[1]; }); })
      .Case([&](arith::DivFOp) { result = map(op, [](At x) { return x[0] / x[1]; }); })
      .Case([&](arith::NegFOp) { result = map(op, [](At x) { return -x[0]; }); })
      .Case([&](arith::MaximumFOp) { result = map(op, [](At x) { return maximum(x[0], x[1]); }); })
      .Case([&](arith::MinimumFOp) { result = map(op, [](At x) { return minimum(x[0], x[1]); }); })
      .Case([&](arith::MaxNumFOp) { result = map(op, [](At x) { return std::fmax(x[0], x[1]); }); })
      .Case([&](arith::MinNumFOp) { result = map(op, [](At x) { return std::fmin(x[0], x[1]); }); })
      .Case([&](arith::SelectOp) {
        result = map(op, [](At x) { return x[0] != 0.0f ? x[1] : x[2]; });
      })
      .Case([&](math::ExpOp) { result = map(op, [](At x) { return std::exp(x[0]); }); })
      .Case([&](math::RsqrtOp) { result = map(op, [](At x) { return 1.0f / std::sqrt(x[0]); }); })
      .Case([&](math::SqrtOp) { result = map(op, [](At x) { return std::sqrt(x[0]); }); })
      .Case([&](math::TanhOp) { result = map(op, [](At x) { return std::tanh(x[0]); }); })
      .Case([&](math::ErfOp) { result = map(op, [](At x) { return std::erf(x[0]); }); })
      .Case([&](math::AbsFOp) { result = map(op, [](At x) { return std::fabs(x[0]); }); })
      .Default([&](Operation *) {
        status = broken("the interpreter doesn't know it inside of a row region");
      });
  if (!status.ok())
    return status.in(op.getName().getStringRef().str());
  if (!done)
    lanes_[op.getResult(0)] = std::move(result);
  return {};
}

Status RowRegion::run(int64_t row) {
  row_ = row;
  for (Operation &op : block_)
    LLAMA4_RETURN_IF_ERROR(evaluate(op));
  return {};
}

} // namespace llama4::reference
