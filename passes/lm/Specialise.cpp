//===- Specialise.cpp - an entry for steps of one token per sequence ------===//

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
    auto takeOne = [&](auto attention) {
      if (target::CoreAttr core = attention.getCoreAttr())
        attention.setCoreAttr(target::CoreAttr::get(&getContext(), core.getSymbol(), /*tokens=*/1));
    };
    decode.walk([&](lm::AttentionOp attention) { takeOne(attention); });
    decode.walk([&](lm::CrossAttentionOp attention) { takeOne(attention); });
    OpBuilder builder(step->getContext());
    builder.setInsertionPointAfter(step);
    builder.insert(decode);
    ++numEntries;
  }
};

} // namespace
