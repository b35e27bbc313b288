//===- PlanMoe.cpp - experts become grouped linears and row work ----------===//

#include "passes/Passes.h"
#include "passes/lm/Fusion.h"

namespace llama4 {
#define GEN_PASS_DEF_LMPLANMOE
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// Rows of one expert that a tile of a grouped linear multiplies at once.
constexpr int64_t tileRows = 64;

/// Column 0 of every row.
AffineMapAttr firstColumn(MLIRContext *context) {
  return AffineMapAttr::get(AffineMap::get(1, 0, getAffineConstantExpr(0, context)));
}

/// Builds the ops that stand for one lm.experts.
class ExpertsLowering {
public:
  ExpertsLowering(lm::ExpertsOp op, lm::GroupByExpertOp groups)
      : op_(op), groups_(groups), builder_(op), loc_(op.getLoc()) {}

  Value run() {
    Value rows = gather();
    auto multiply = [&](Value input, Value weight) -> Value {
      return lm::LinearOp::create(builder_, loc_, input, ValueRange(weight), groups_.getTiles())
          .getResult(0);
    };
    Value inner = gate(multiply(rows, op_.getGate()), multiply(rows, op_.getUp()));
    return combine(multiply(inner, op_.getDown()));
  }

private:
  /// A row op on rows of `type`; `body` returns the element of its result.
  Value row(StringRef name, RankedTensorType type, function_ref<Value()> body) {
    Location outer = loc_;
    loc_ = lm::nameSources(loc_, name);
    auto op = lm::RowOp::create(builder_, loc_, type, lm::getColumns(type));
    OpBuilder::InsertionGuard guard(builder_);
    builder_.createBlock(&op.getBody());
    lm::YieldOp::create(builder_, loc_, body());
    loc_ = outer;
    return op.getResult(0);
  }

  Value element(Value source, Value rows = {}, IntegerAttr slot = {}, AffineMapAttr column = {}) {
    return lm::ElementOp::create(builder_, loc_, builder_.getF32Type(), source, rows, slot, column);
  }

  /// The tokens' rows in group order, times their scores.
  Value gather() {
    auto type = cast<RankedTensorType>(op_.getInput().getType());
    auto slots = RankedTensorType::get({ShapedType::kDynamic, top(), type.getDimSize(1)},
                                       builder_.getF32Type());
    return row("gather", slots, [&]() -> Value {
      Value score = element(groups_.getScores(), {}, {}, firstColumn(builder_.getContext()));
      return arith::MulFOp::create(builder_, loc_, element(op_.getInput(), groups_.getRows()),
                                   score);
    });
  }

  /// silu(gate) * up
  Value gate(Value gate, Value up) {
    Value silu = lm::SiluOp::create(builder_, loc_, gate.getType(), gate);
    return lm::MulOp::create(builder_, loc_, gate.getType(), silu, up);
  }

  /// The sum of every token's slots, in the order of its choices.
  Value combine(Value slots) {
    return row("combine", cast<RankedTensorType>(op_.getType()), [&]() -> Value {
      Value sum;
      for (int64_t k = 0; k < top(); ++k) {
        Value next = element(slots, groups_.getPlaces(), builder_.getI64IntegerAttr(k));
        sum = sum ? arith::AddFOp::create(builder_, loc_, sum, next).getResult() : next;
      }
      return sum;
    });
  }

  int64_t top() { return static_cast<int64_t>(groups_.getTop()); }

  lm::ExpertsOp op_;
  lm::GroupByExpertOp groups_;
  OpBuilder builder_;
  Location loc_;
};

struct LmPlanMoePass : llama4::impl::LmPlanMoeBase<LmPlanMoePass> {
  void runOnOperation() override {
    SmallVector<lm::ExpertsOp> experts(getOperation().getOps<lm::ExpertsOp>());
    llvm::DenseMap<Operation *, lm::GroupByExpertOp> groups;
    for (lm::ExpertsOp op : experts) {
      auto route = op.getIds().getDefiningOp<lm::RouteOp>();
      if (!route || op.getScores() != route.getScores()) {
        op.emitOpError("takes ids and scores that are not those of one lm.route, which no kernel "
                       "groups by expert");
        return signalPassFailure();
      }
      lm::GroupByExpertOp &group = groups[route];
      if (!group) {
        OpBuilder builder(route);
        group = lm::GroupByExpertOp::create(builder, lm::nameSources(route.getLoc(), "route"),
                                            route.getLogits(), static_cast<int64_t>(route.getTop()),
                                            tileRows);
      }
      op.getResult().replaceAllUsesWith(ExpertsLowering(op, group).run());
      op.erase();
      if (route.use_empty())
        route.erase();
      ++numPlanned;
    }
  }
};

} // namespace
