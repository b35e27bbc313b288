//===- ColumnAccess.cpp - how a column map reads a chunk of columns -------===//

#include "passes/kernel/ColumnAccess.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"

#include <cstdlib>
#include <numeric>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

/// gcd that keeps "multiple of everything" (0) neutral.
static int64_t commonDivisor(int64_t a, int64_t b) { return std::gcd(a, b); }

static ColumnAccess analyseSum(ColumnAccess lhs, ColumnAccess rhs) {
  int64_t divisor = commonDivisor(lhs.divisor, rhs.divisor);
  if (rhs.stride == ColumnStride::Uniform)
    return {lhs.stride, divisor};
  if (lhs.stride == ColumnStride::Uniform)
    return {rhs.stride, divisor};
  return {ColumnStride::Any, 1};
}

/// `lhs` divided by, or its remainder of, the constant `by`.
static ColumnAccess analyseDivision(AffineExprKind kind, ColumnAccess lhs, int64_t by,
                                    int64_t lanes) {
  bool isMod = kind == AffineExprKind::Mod;
  int64_t divisor =
      isMod ? commonDivisor(lhs.divisor, by) : (lhs.divisor % by == 0 ? lhs.divisor / by : 1);
  if (lhs.stride == ColumnStride::Uniform)
    return {ColumnStride::Uniform, divisor};
  // A chunk that starts at a multiple of its length stays inside one period of such a length.
  bool insidePeriod =
      lhs.stride == ColumnStride::Unit && lhs.divisor % lanes == 0 && by % lanes == 0;
  if (insidePeriod)
    return {isMod ? ColumnStride::Unit : ColumnStride::Uniform, isMod ? divisor : 1};
  if (!isMod && by == 2 && lhs.stride == ColumnStride::Unit && lhs.divisor % 2 == 0)
    return {ColumnStride::Half, divisor};
  return {ColumnStride::Any, 1};
}

ColumnAccess kernel::analyseColumns(AffineExpr expr, int64_t lanes, int64_t divisor) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return {ColumnStride::Uniform, std::abs(constant.getValue())};
  if (isa<AffineDimExpr>(expr))
    return {ColumnStride::Unit, divisor};
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return {ColumnStride::Any, 1};
  ColumnAccess lhs = analyseColumns(binary.getLHS(), lanes, divisor);
  ColumnAccess rhs = analyseColumns(binary.getRHS(), lanes, divisor);
  if (expr.getKind() == AffineExprKind::Add)
    return analyseSum(lhs, rhs);
  auto constant = dyn_cast<AffineConstantExpr>(binary.getRHS());
  if (!constant || constant.getValue() == 0)
    return {ColumnStride::Any, 1};
  int64_t by = constant.getValue();
  if (expr.getKind() == AffineExprKind::Mul) {
    ColumnStride stride =
        lhs.stride == ColumnStride::Uniform || by == 1 ? lhs.stride : ColumnStride::Any;
    return {stride, std::abs(lhs.divisor * by)};
  }
  if (by < 0 || expr.getKind() == AffineExprKind::CeilDiv)
    return {lhs.stride == ColumnStride::Uniform ? ColumnStride::Uniform : ColumnStride::Any, 1};
  return analyseDivision(expr.getKind(), lhs, by, lanes);
}

/// An integer constant of `type`, an integer or a vector of integers.
static Value constantLike(OpBuilder &builder, Location loc, Type type, int64_t value) {
  Attribute scalar = builder.getIntegerAttr(getElementTypeOrSelf(type), value);
  if (auto vector = dyn_cast<VectorType>(type))
    scalar = DenseElementsAttr::get(vector, scalar);
  return arith::ConstantOp::create(builder, loc, cast<TypedAttr>(scalar));
}

/// True when `expr` is at least 0 for every column, as far as its form shows. Divisors are positive
/// constants, as affine maps demand.
static bool isNonNegative(AffineExpr expr) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constant.getValue() >= 0;
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary || expr.getKind() == AffineExprKind::Mod)
    return true;
  return isNonNegative(binary.getLHS()) && isNonNegative(binary.getRHS());
}

Value kernel::emitColumns(OpBuilder &builder, Location loc, AffineExpr expr, Value column) {
  if (auto constant = dyn_cast<AffineConstantExpr>(expr))
    return constantLike(builder, loc, column.getType(), constant.getValue());
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (!binary)
    return column;
  Value lhs = emitColumns(builder, loc, binary.getLHS(), column);
  Value rhs = emitColumns(builder, loc, binary.getRHS(), column);
  bool unsignedOk = isNonNegative(binary.getLHS());
  switch (expr.getKind()) {
  case AffineExprKind::Add:
    return builder.createOrFold<arith::AddIOp>(loc, lhs, rhs);
  case AffineExprKind::Mul:
    return builder.createOrFold<arith::MulIOp>(loc, lhs, rhs);
  case AffineExprKind::FloorDiv:
    return unsignedOk ? builder.createOrFold<arith::DivUIOp>(loc, lhs, rhs)
                      : builder.createOrFold<arith::FloorDivSIOp>(loc, lhs, rhs);
  case AffineExprKind::CeilDiv:
    return builder.createOrFold<arith::CeilDivSIOp>(loc, lhs, rhs);
  default:
    break;
  }
  if (unsignedOk)
    return builder.createOrFold<arith::RemUIOp>(loc, lhs, rhs);
  Value quotient = builder.createOrFold<arith::FloorDivSIOp>(loc, lhs, rhs);
  Value product = builder.createOrFold<arith::MulIOp>(loc, quotient, rhs);
  return builder.createOrFold<arith::SubIOp>(loc, lhs, product);
}
