//===- FuseLinear.cpp - linears on the same input become one --------------===//

#include "passes/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

namespace llama4 {
#define GEN_PASS_DEF_LMFUSELINEAR
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

/// True when the linear does nothing but multiply, and nothing rounds its results.
bool isPlain(lm::LinearOp linear) {
  for (unsigned group = 0; group < linear.getGroups().size(); ++group)
    if (!linear.isIdentity(group))
      return false;
  return llvm::all_of(linear.getOutputs(), [](Value output) {
    return cast<RankedTensorType>(output.getType()).getElementType().isF32();
  });
}

/// Replaces `linears` (same input and tiles, no epilogues) by one at the place of the first.
void fuse(ArrayRef<lm::LinearOp> linears) {
  lm::LinearOp first = linears.front();
  SmallVector<Value> weights;
  SmallVector<Location> locations;
  for (lm::LinearOp linear : linears) {
    llvm::append_range(weights, linear.getWeights());
    locations.push_back(linear.getLoc());
  }
  OpBuilder builder(first);
  auto fused = lm::LinearOp::create(builder, builder.getFusedLoc(locations), first.getInput(),
                                    weights, first.getTiles());
  unsigned next = 0;
  for (lm::LinearOp linear : linears) {
    for (Value output : linear.getOutputs())
      output.replaceAllUsesWith(fused.getOutputs()[next++]);
    linear.erase();
  }
}

struct LmFuseLinearPass : llama4::impl::LmFuseLinearBase<LmFuseLinearPass> {
  void runOnOperation() override {
    if (!getOperation().getBody().hasOneBlock())
      return; // no entry
    // Weights are constants of the function: at its start, they dominate every linear.
    Block &body = getOperation().getBody().front();
    Operation *place = &body.front();
    for (lm::LoadParamOp load : llvm::make_early_inc_range(body.getOps<lm::LoadParamOp>()))
      if (load != place)
        load->moveBefore(place);
      else
        place = place->getNextNode();
    llvm::MapVector<std::pair<Value, Value>, SmallVector<lm::LinearOp>> byInput;
    for (lm::LinearOp linear : body.getOps<lm::LinearOp>())
      if (isPlain(linear))
        byInput[{linear.getInput(), linear.getTiles()}].push_back(linear);
    for (auto &[input, linears] : byInput) {
      if (linears.size() < 2)
        continue;
      fuse(linears);
      numFused += linears.size() - 1;
    }
  }
};

} // namespace
