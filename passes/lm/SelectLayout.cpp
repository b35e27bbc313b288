//===- SelectLayout.cpp - micro-kernels and the layouts they read ---------===//

#include "passes/Formats.h"
#include "passes/Passes.h"
#include "passes/kernel/Units.h"

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
      if (auto attention = dyn_cast<lm::UnitAttentionOp>(op))
        return setCore(attention, kernel::unitAttentionCore(attention).symbol,
                       kernel::unitTokens(lm::getRowsPerSymbol(attention.getType()),
                                          microkernels::kUnitAttentionRows));
      if (auto attention = dyn_cast<lm::CrossAttentionOp>(op))
        return setCore(attention, microkernels::findCrossAttention()->symbol,
                       microkernels::kAttentionTokens);
      if (auto load = dyn_cast<lm::LoadParamOp>(op))
        return selectParam(load);
      return success();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  LogicalResult selectLinear(lm::LinearOp linear) {
    if (linear->hasAttr(kernel::libraryAttrName))
      return success();
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
    // Tiles of the rows of units don't cross from one to the next.
    int64_t rows = linear.getTiles() ? 0 : lm::getRowSlots(linear);
    return setCore(linear, symbol, rows ? kernel::unitTokens(rows, linearTokens) : linearTokens);
  }

  template <typename Op> LogicalResult setCore(Op op, StringRef symbol, int64_t tokens) {
    op.setCoreAttr(target::CoreAttr::get(&getContext(), symbol, tokens));
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
    return setCore(attention, core->symbol, microkernels::kAttentionTokens);
  }

  /// The layout that every reader of a parameter agrees on, set on the parameter and its loads.
  LogicalResult selectParam(lm::LoadParamOp load) {
    auto type = cast<RankedTensorType>(load.getType());
    auto multiplied = [](Operation *user) { return isa<lm::LinearOp, lm::EmbedOp>(user); };
    bool panels = llvm::any_of(load->getUsers(), multiplied);
    for (Operation *user : load->getUsers())
      if (panels != multiplied(user) || (panels && type.getRank() < 2))
        return user->emitOpError("reads parameter ")
               << load.getParamAttr() << " of type " << type
               << ", but linears and look-ups read matrices in panels, row work reads rows";
    if (!panels && (type.getRank() > 2 || (type.getRank() == 2 && !type.getElementType().isF32())))
      return load.emitOpError("is ") << type
                                     << " read by row work, expected f32 rows; run "
                                        "lm-quantize";
    auto layout = panels ? target::LayoutAttr::get(&getContext(), "panels", 16)
                         : target::LayoutAttr::get(&getContext(), "row", 1);
    auto laidOut = RankedTensorType::get(type.getShape(), type.getElementType(), layout);
    load.getResult().setType(laidOut);
    auto param = SymbolTable::lookupNearestSymbolFrom<lm::ParamOp>(load, load.getParamAttr());
    param.setType(laidOut);
    return success();
  }
};

} // namespace
