//===- LmVisionRows.cpp - row work of image towers ------------------------===//

#include "dialects/lm/RowWork.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

//===----------------------------------------------------------------------===//
// layer_norm
//===----------------------------------------------------------------------===//

LogicalResult LayerNormOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())) || failed(verifyEps(*this, getEps())))
    return failure();
  const int64_t width = columnsOf(getInput());
  if (failed(verifyRowVector(*this, getWeight(), width, "weight")))
    return failure();
  return verifyRowVector(*this, getBias(), width, "bias");
}
int64_t LayerNormOp::getRowWidth() { return columnsOf(getInput()); }
void LayerNormOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  auto mean = [&](Value x) -> Value {
    Value sum = ReduceOp::create(b, loc, ReduceKind::Sum, x);
    return arith::MulFOp::create(b, loc, sum, constant(b, loc, 1.0f / getRowWidth()));
  };
  Value x = element(b, loc, getInput());
  Value centered = arith::SubFOp::create(b, loc, x, mean(x));
  Value variance = mean(arith::MulFOp::create(b, loc, centered, centered));
  Value eps = constant(b, loc, getEps().convertToFloat());
  Value scale = math::RsqrtOp::create(b, loc, arith::AddFOp::create(b, loc, variance, eps));
  Value normed = arith::MulFOp::create(b, loc, centered, scale);
  Value weighted = arith::MulFOp::create(b, loc, normed, element(b, loc, getWeight()));
  yields.push_back(arith::AddFOp::create(b, loc, weighted, element(b, loc, getBias())));
}

//===----------------------------------------------------------------------===//
// gelu
//===----------------------------------------------------------------------===//

LogicalResult GeluOp::verify() { return verifyUnitRows(*this, getInput()); }
int64_t GeluOp::getRowWidth() { return columnsOf(getInput()); }
void GeluOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  Value x = element(b, loc, getInput());
  Value scaled = arith::MulFOp::create(b, loc, x, constant(b, loc, 0.707106781f));
  Value erf = math::ErfOp::create(b, loc, scaled);
  Value shifted = arith::AddFOp::create(b, loc, erf, constant(b, loc, 1.0f));
  Value half = arith::MulFOp::create(b, loc, x, constant(b, loc, 0.5f));
  yields.push_back(arith::MulFOp::create(b, loc, half, shifted));
}

//===----------------------------------------------------------------------===//
// head_norm
//===----------------------------------------------------------------------===//

LogicalResult HeadNormOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())) || failed(verifyEps(*this, getEps())))
    return failure();
  auto weight = cast<RankedTensorType>(getWeight().getType());
  const int64_t dim = weight.getRank() == 1 ? weight.getDimSize(0) : 0;
  if (dim < 1 || columnsOf(getInput()) % dim != 0 || isa<BlockType>(weight.getElementType()))
    return emitOpError("weight is ") << weight << ", expected a vector for heads that divide the "
                                     << columnsOf(getInput()) << " columns";
  return success();
}
int64_t HeadNormOp::getRowWidth() { return columnsOf(getInput()); }
void HeadNormOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  const int64_t dim = columnsOf(getWeight());
  AffineMap inside = AffineMap::get(1, 0, getAffineDimExpr(0, getContext()) % dim);
  Value x = element(b, loc, getInput());
  Value square = arith::MulFOp::create(b, loc, x, x);
  Value sum =
      ReduceOp::create(b, loc, b.getF32Type(), ReduceKind::Sum, square, b.getI64IntegerAttr(dim));
  Value mean = arith::MulFOp::create(b, loc, sum, constant(b, loc, 1.0f / dim));
  Value eps = constant(b, loc, getEps().convertToFloat());
  Value scale = math::RsqrtOp::create(b, loc, arith::AddFOp::create(b, loc, mean, eps));
  Value normed = arith::MulFOp::create(b, loc, x, scale);
  yields.push_back(arith::MulFOp::create(b, loc, normed, element(b, loc, getWeight(), {}, inside)));
}

//===----------------------------------------------------------------------===//
// tanh_gate, gated_bias
//===----------------------------------------------------------------------===//

/// tanh of the one element of a gate.
static Value tanhOf(OpBuilder &b, Location loc, Value gate) {
  AffineMap first = AffineMap::get(1, 0, getAffineConstantExpr(0, b.getContext()));
  return math::TanhOp::create(b, loc, element(b, loc, gate, {}, first));
}

LogicalResult TanhGateOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())))
    return failure();
  return verifyRowVector(*this, getGate(), 1, "gate");
}
int64_t TanhGateOp::getRowWidth() { return columnsOf(getInput()); }
void TanhGateOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Value gate = tanhOf(b, getLoc(), getGate());
  yields.push_back(arith::MulFOp::create(b, getLoc(), element(b, getLoc(), getInput()), gate));
}

LogicalResult GatedBiasOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())) ||
      failed(verifyRowVectors(*this, getBias(), getInput(), "bias")))
    return failure();
  return verifyRowVector(*this, getGate(), 1, "gate");
}
int64_t GatedBiasOp::getRowWidth() { return columnsOf(getInput()); }
void GatedBiasOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  Value open = tanhOf(b, loc, getGate());
  Value rest = arith::SubFOp::create(b, loc, constant(b, loc, 1.0f), open);
  Value part = arith::MulFOp::create(b, loc, rest, element(b, loc, getBias()));
  yields.push_back(arith::AddFOp::create(b, loc, element(b, loc, getInput()), part));
}
