//===- ExpandMath.cpp - the pass kernel-expand-math -----------------------===//

#include "passes/kernel/Ir.h"
#include "passes/kernel/KernelPasses.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace llama4::kernel {
#define GEN_PASS_DEF_KERNELEXPANDMATH
#include "passes/kernel/KernelPasses.h.inc"
} // namespace llama4::kernel

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

/// coefficients[0] * x^n + ... + coefficients[n].
static Value horner(Ir &ir, Value x, ArrayRef<double> coefficients) {
  Value sum = ir.floatLike(x.getType(), coefficients.front());
  for (double coefficient : coefficients.drop_front())
    sum = ir.make<math::FmaOp>(sum, x, ir.floatLike(x.getType(), coefficient));
  return sum;
}

/// The type of integers with the shape of `floats`.
static Type intsLike(Ir &ir, Type floats) {
  auto vector = dyn_cast<VectorType>(floats);
  return vector ? Type(VectorType::get(vector.getShape(), ir.b.getI32Type())) : ir.b.getI32Type();
}

/// 2^n for integers n in [-126, 127].
static Value powerOfTwo(Ir &ir, Value n, Type floats) {
  Value biased = ir.make<arith::AddIOp>(n, ir.intLike(n.getType(), 127));
  Value bits = ir.make<arith::ShLIOp>(biased, ir.intLike(n.getType(), 23));
  return ir.make<arith::BitcastOp>(floats, bits);
}

/// x inside [low, high]; NaN stays.
static Value clamp(Ir &ir, Value x, double low, double high) {
  auto bound = [&](Value value, arith::CmpFPredicate predicate, double limit) -> Value {
    Value constant = ir.floatLike(x.getType(), limit);
    return ir.make<arith::SelectOp>(ir.make<arith::CmpFOp>(predicate, value, constant), constant,
                                    value);
  };
  return bound(bound(x, arith::CmpFPredicate::OLT, low), arith::CmpFPredicate::OGT, high);
}

/// Adding 1.5 * 2^23 rounds to an integer, whose bits then are the low bits of the sum.
constexpr double roundingMagic = 12582912.0;

/// e^x / 2^n times `factor`, for the n of `shifted`, which is x / ln 2 rounded by `magic`.
static Value expOfRest(Ir &ir, Value x, Value shifted, Value magic, double factor) {
  Type floats = x.getType();
  Value n = ir.make<arith::SubFOp>(shifted, magic);
  // ln 2 in two parts; the product of n with the first one is exact.
  Value r = ir.make<math::FmaOp>(n, ir.floatLike(floats, -0.693145751953125), x);
  r = ir.make<math::FmaOp>(n, ir.floatLike(floats, -1.428606820309417e-06), r);
  return horner(ir, r,
                {factor / 720, factor / 120, factor / 24, factor / 6, factor / 2, factor, factor});
}

static Value shiftedQuotient(Ir &ir, Value x, Value magic) {
  return ir.make<math::FmaOp>(x, ir.floatLike(x.getType(), 1.44269504088896341), magic);
}

/// e^x. Beyond the bounds of `clamp` the result is 0 or infinity in float32.
static Value expandExp(Ir &ir, Value x) {
  Type floats = x.getType(), ints = intsLike(ir, floats);
  Value clamped = clamp(ir, x, -104.0, 89.0);
  Value magic = ir.floatLike(floats, roundingMagic);
  Value shifted = shiftedQuotient(ir, clamped, magic);
  Value p = expOfRest(ir, clamped, shifted, magic, 1);
  // n lies in [-151, 129]: two factors keep every power finite and give denormals.
  Value integer = ir.make<arith::SubIOp>(ir.make<arith::BitcastOp>(ints, shifted),
                                         ir.make<arith::BitcastOp>(ints, magic));
  Value half = ir.make<arith::ShRSIOp>(integer, ir.intLike(ints, 1));
  Value rest = ir.make<arith::SubIOp>(integer, half);
  Value scaled = ir.make<arith::MulFOp>(p, powerOfTwo(ir, half, floats));
  return ir.make<arith::MulFOp>(scaled, powerOfTwo(ir, rest, floats));
}

/// e^x for sums in which what is below 2^-125 counts as much as the 0 that comes out for it: one
/// power, 2^(n - 1) for n in [-126, 128], whose bits are the low ones of the quotient shifted.
static Value expandExpInSum(Ir &ir, Value x) {
  Type floats = x.getType(), ints = intsLike(ir, floats);
  Value clamped = clamp(ir, x, -87.5, 89.0);
  Value magic = ir.floatLike(floats, roundingMagic + 126);
  Value shifted = shiftedQuotient(ir, clamped, magic);
  Value p = expOfRest(ir, clamped, shifted, magic, 2);
  Value bits =
      ir.make<arith::ShLIOp>(ir.make<arith::BitcastOp>(ints, shifted), ir.intLike(ints, 23));
  return ir.make<arith::MulFOp>(p, ir.make<arith::BitcastOp>(floats, bits));
}

/// The constant that all elements of `value` are; nothing if they are not one.
static std::optional<double> findSplat(Value value) {
  Attribute constant;
  if (!matchPattern(value, m_Constant(&constant)))
    return std::nullopt;
  if (auto splat = dyn_cast<SplatElementsAttr>(constant))
    constant = splat.getSplatValue<Attribute>();
  auto number = dyn_cast<FloatAttr>(constant);
  return number ? std::optional(number.getValueAsDouble()) : std::nullopt;
}

/// True where e^x is only added to constants of at least 1, of which it changes nothing when small.
static bool isAddedToOne(math::ExpOp exp) {
  return llvm::all_of(exp->getUsers(), [](Operation *user) {
    auto sum = dyn_cast<arith::AddFOp>(user);
    return sum && llvm::any_of(sum->getOperands(),
                               [](Value operand) { return findSplat(operand).value_or(0) >= 1; });
  });
}

/// tanh x: x (1 + x^2 p(x^2)) below 0.625, 1 - 2 / (e^(2 |x|) + 1) with the sign of x beyond.
static Value expandTanh(Ir &ir, Value x) {
  Type floats = x.getType();
  Value magnitude = ir.make<math::AbsFOp>(x);
  Value square = ir.make<arith::MulFOp>(x, x);
  Value p = horner(ir, square,
                   {-0.0057049875853455, 0.0206390878011046, -0.0537397152667865,
                    0.1333144220051566, -0.3333328194210786});
  Value one = ir.floatLike(floats, 1.0);
  Value nearZero = ir.make<arith::MulFOp>(x, ir.make<math::FmaOp>(square, p, one));
  Value e = expandExpInSum(ir, ir.make<arith::AddFOp>(magnitude, magnitude));
  Value quotient =
      ir.make<arith::DivFOp>(ir.floatLike(floats, 2.0), ir.make<arith::AddFOp>(e, one));
  Value far = ir.make<math::CopySignOp>(ir.make<arith::SubFOp>(one, quotient), x);
  Value isNear =
      ir.make<arith::CmpFOp>(arith::CmpFPredicate::OLT, magnitude, ir.floatLike(floats, 0.625));
  return ir.make<arith::SelectOp>(isNear, nearZero, far);
}

namespace {

struct ExpInSumPattern : OpRewritePattern<math::ExpOp> {
  ExpInSumPattern(MLIRContext *context) : OpRewritePattern(context, /*benefit=*/2) {}
  LogicalResult matchAndRewrite(math::ExpOp op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32() || !isAddedToOne(op))
      return failure();
    Ir ir(rewriter, op.getLoc());
    rewriter.replaceOp(op, expandExpInSum(ir, op.getOperand()));
    return success();
  }
};

/// Rounding to an integer is one instruction where the integer is what is wanted.
struct RoundToIntPattern : OpRewritePattern<arith::FPToSIOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(arith::FPToSIOp op, PatternRewriter &rewriter) const override {
    auto round = op.getIn().getDefiningOp<math::RoundEvenOp>();
    if (!round || !getElementTypeOrSelf(op.getType()).isInteger(32))
      return failure();
    rewriter.replaceOpWithNewOp<LLVM::LrintOp>(op, op.getType(), round.getOperand());
    return success();
  }
};

template <typename Op, Value (*expand)(Ir &, Value)> struct ExpandPattern : OpRewritePattern<Op> {
  using OpRewritePattern<Op>::OpRewritePattern;
  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const override {
    if (!getElementTypeOrSelf(op.getType()).isF32())
      return failure();
    Ir ir(rewriter, op.getLoc());
    rewriter.replaceOp(op, expand(ir, op.getOperand()));
    return success();
  }
};

struct KernelExpandMathPass : kernel::impl::KernelExpandMathBase<KernelExpandMathPass> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    kernel::populateExpandMathPatterns(patterns);
    populateMathPolynomialApproximationPatterns(patterns, [](StringRef name) {
      return llvm::is_contained({"math.erf", "math.log", "math.sin", "math.cos"}, name);
    });
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

void kernel::populateExpandMathPatterns(RewritePatternSet &patterns) {
  patterns.add<ExpandPattern<math::ExpOp, expandExp>, ExpandPattern<math::TanhOp, expandTanh>,
               ExpInSumPattern, RoundToIntPattern>(patterns.getContext());
}
