//===- Specialise.cpp - an entry for steps of one token per sequence ------===//

#include "passes/Formats.h"
#include "passes/Passes.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_LMSPECIALISE
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct LmSpecialisePass : llama4::impl::LmSpecialiseBase<LmSpecialisePass> {
  void runOnOperation() override {
    auto step = getOperation().lookupSymbol<func::FuncOp>("step");
    auto options = getOperation()->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
    auto batch = options ? options.getAs<IntegerAttr>("max_batch_size") : IntegerAttr();
    if (!step || !lm::getEntry(step) || !batch || getOperation().lookupSymbol("step_decode"))
      return;
    lm::EntryAttr entry = lm::getEntry(step);
    func::FuncOp decode = step.clone();
    decode.setName("step_decode");
    int64_t bound = std::min<int64_t>(batch.getInt(), entry.getBound());
    decode->setAttr(lm::entryAttrName,
                    lm::EntryAttr::get(&getContext(), entry.getSymbol(), bound, /*decode=*/true));
    auto setCore = [&](auto attention, StringRef symbol) {
      attention.setCoreAttr(target::CoreAttr::get(&getContext(), symbol, /*tokens=*/1));
    };
    decode.walk([&](lm::AttentionOp attention) {
      Type element = attention.getKv().getType().getElementType();
      if (std::optional<microkernels::KvType> type = getKvType(element);
          type && attention.getCoreAttr()) {
        setCore(attention, microkernels::findSplitAttention(*type)->symbol);
        ++numSplit;
      }
    });
    decode.walk([&](lm::CrossAttentionOp attention) {
      if (target::CoreAttr core = attention.getCoreAttr())
        setCore(attention, core.getSymbol());
    });
    OpBuilder builder(step->getContext());
    builder.setInsertionPointAfter(step);
    builder.insert(decode);
    ++numEntries;
  }
};

} // namespace
