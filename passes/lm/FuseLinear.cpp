//===- FuseLinear.cpp - linears on the same input become one --------------===//

#include "passes/Passes.h"
#include "passes/lm/Fusion.h"

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
  using LmFuseLinearBase::LmFuseLinearBase;

  void runOnOperation() override {
    if (!getOperation().getBody().hasOneBlock())
      return; // no entry
    Block &body = getOperation().getBody().front();
    llvm::MapVector<std::pair<Value, Value>, SmallVector<lm::LinearOp>> byInput;
    for (lm::LinearOp linear : body.getOps<lm::LinearOp>())
      byInput[{linear.getInput(), linear.getTiles()}].push_back(linear);
    if (!off)
      moveWeightsUp(body);
    for (auto &[input, linears] : byInput) {
      if (linears.size() < 2)
        continue;
      SmallVector<lm::LinearOp> plain = takePlain(linears);
      if (off || plain.size() < 2) {
        for (lm::LinearOp linear : plain)
          lm::noteUnfused(linear, getArgument(),
                          off ? lm::switchedOff
                              : StringRef("the others that read its input do more than multiply"));
        continue;
      }
      fuse(plain);
      numFused += plain.size() - 1;
    }
  }

private:
  /// Weights are constants of the function: at its start, they dominate every linear.
  static void moveWeightsUp(Block &body) {
    Operation *place = &body.front();
    for (lm::LoadParamOp load : llvm::make_early_inc_range(body.getOps<lm::LoadParamOp>()))
      if (load != place)
        load->moveBefore(place);
      else
        place = place->getNextNode();
  }

  /// Those of `linears` that nothing keeps apart.
  SmallVector<lm::LinearOp> takePlain(ArrayRef<lm::LinearOp> linears) {
    SmallVector<lm::LinearOp> plain;
    for (lm::LinearOp linear : linears)
      if (isPlain(linear))
        plain.push_back(linear);
      else
        lm::noteUnfused(linear, getArgument(), "it does more than multiply, or rounds its results");
    return plain;
  }
};

} // namespace
