//===- SelectLayout.cpp - micro-kernels and the layouts they read ---------===//

#include "passes/Formats.h"
#include "passes/Passes.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_LMSELECTLAYOUT
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// Tokens in one tile of a linear: the activation block (64 rows) stays in the second-level cache
/// while the panels of the tile's weights stream through it.
constexpr int64_t linearTokens = 64;
struct LmSelectLayoutPass : llama4::impl::LmSelectLayoutBase<LmSelectLayoutPass> {
  void runOnOperation() override {
    WalkResult result = getOperation()->walk([&](Operation *op) -> WalkResult {
      if (auto linear = dyn_cast<lm::LinearOp>(op))
        return selectLinear(linear);
      if (auto attention = dyn_cast<lm::AttentionOp>(op))
        return selectAttention(attention);
      if (auto load = dyn_cast<lm::LoadParamOp>(op))
        return selectParam(load);
      return success();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  LogicalResult selectLinear(lm::LinearOp linear) {
    Type input = cast<RankedTensorType>(linear.getInput().getType()).getElementType();
    StringRef symbol;
    for (Value value : linear.getWeights()) {
      auto weight = cast<RankedTensorType>(value.getType());
      const microkernels::LinearCore *core = findLinearCore(input, weight.getElementType());
      if (!core || lm::getColumns(weight) % core->kMultiple != 0)
        return linear.emitOpError("no micro-kernel multiplies rows of ")
               << input << " with " << weight << "; choose another encoding or compute";
      if (symbol.empty())
        symbol = core->symbol;
    }
    linear.setCoreAttr(target::CoreAttr::get(&getContext(), symbol, linearTokens));
    ++numCores;
    return success();
  }

  LogicalResult selectAttention(lm::AttentionOp attention) {
    Type element = attention.getKv().getType().getElementType();
    std::optional<microkernels::KvType> kv = getKvType(element);
    const microkernels::AttentionCore *core = kv ? microkernels::findAttention(*kv) : nullptr;
    if (!core)
      return attention.emitOpError("no micro-kernel reads keys of ")
             << element << "; choose float32 or bfloat16 as the KV type";
    attention.setCoreAttr(
        target::CoreAttr::get(&getContext(), core->symbol, microkernels::kAttentionTokens));
    ++numCores;
    return success();
  }

  /// The layout that every reader of a parameter agrees on, set on the parameter and its loads.
  LogicalResult selectParam(lm::LoadParamOp load) {
    auto type = cast<RankedTensorType>(load.getType());
    bool matrix = type.getRank() > 1;
    for (Operation *user : load->getUsers())
      if (matrix != isa<lm::LinearOp, lm::EmbedOp>(user))
        return user->emitOpError("reads parameter ")
               << load.getParamAttr() << " of type " << type
               << ", but matrices are read by linears and look-ups, vectors by row work";
    auto layout = matrix ? target::LayoutAttr::get(&getContext(), "panels", 16)
                         : target::LayoutAttr::get(&getContext(), "row", 1);
    auto laidOut = RankedTensorType::get(type.getShape(), type.getElementType(), layout);
    load.getResult().setType(laidOut);
    auto param = SymbolTable::lookupNearestSymbolFrom<lm::ParamOp>(load, load.getParamAttr());
    param.setType(laidOut);
    return success();
  }
};

} // namespace
