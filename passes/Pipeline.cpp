//===- Pipeline.cpp - which passes run, in which order --------------------===//

#include "passes/Pipeline.h"
#include "passes/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace llama4;

static constexpr llvm::StringLiteral optionalPasses[] = {
    "lm-fuse-linear", "lm-fuse-rows", "lm-fuse-epilogue", "lm-specialise", "cmd-dedup-kernels"};

bool llama4::isOptionalPass(StringRef name) { return llvm::is_contained(optionalPasses, name); }

/// Adds passes unless they are switched off by name.
namespace {
class Pipeline {
public:
  Pipeline(OpPassManager &passes, ArrayRef<std::string> disabled)
      : passes_(passes), disabled_(disabled) {}

  void add(std::unique_ptr<Pass> pass) {
    if (!llvm::is_contained(disabled_, pass->getArgument()))
      passes_.addPass(std::move(pass));
  }
  void addToEntries(std::unique_ptr<Pass> pass) {
    if (!llvm::is_contained(disabled_, pass->getArgument()))
      passes_.addNestedPass<func::FuncOp>(std::move(pass));
  }
  /// A fusion that is switched off runs all the same: it leaves that as the reason in the IR.
  template <typename Options>
  void addFusion(StringRef name, std::unique_ptr<Pass> (*create)(Options)) {
    Options options;
    options.off = llvm::is_contained(disabled_, name);
    passes_.addNestedPass<func::FuncOp>(create(options));
  }

private:
  OpPassManager &passes_;
  ArrayRef<std::string> disabled_;
};
} // namespace

void llama4::buildLmPipeline(OpPassManager &passes, ArrayRef<std::string> disabled) {
  Pipeline pipeline(passes, disabled);
  pipeline.addToEntries(createCanonicalizerPass());
  pipeline.addToEntries(createCSEPass());
  // Experts become linears and row work before the other passes: they quantize and fuse both.
  pipeline.addToEntries(createLmPlanMoe());
  // Formats of weights and activations.
  pipeline.add(createLmQuantize());
  pipeline.addToEntries(createCSEPass());
  // Fusion: segments, rows, epilogues.
  pipeline.addFusion<LmFuseLinearOptions>("lm-fuse-linear", createLmFuseLinear);
  pipeline.addToEntries(createLmFormRows());
  pipeline.addFusion<LmFuseRowsOptions>("lm-fuse-rows", createLmFuseRows);
  pipeline.add(createLmSelectLibrary());
  pipeline.addFusion<LmFuseEpilogueOptions>("lm-fuse-epilogue", createLmFuseEpilogue);
  pipeline.addToEntries(createCanonicalizerPass());
  pipeline.addToEntries(createCSEPass());
  // Micro-kernels and layouts.
  pipeline.add(createLmSelectLayout());
  pipeline.add(createLmSpecialise());
  pipeline.add(createLmVerify());
}

void llama4::buildLowerPipeline(OpPassManager &passes, ArrayRef<std::string> disabled) {
  Pipeline pipeline(passes, disabled);
  pipeline.add(createLowerOutlineKernels());
  pipeline.add(createLowerToCmd());
}

void llama4::buildPlanPipeline(OpPassManager &passes, ArrayRef<std::string> disabled) {
  Pipeline pipeline(passes, disabled);
  pipeline.add(createCmdDedupKernels());
  pipeline.add(createCmdPlanMemory());
  pipeline.add(createCmdSchedule());
  pipeline.add(createCmdVerify());
}

void llama4::registerPassesAndPipelines() {
  registerLlama4Passes();
  PassPipelineRegistration<>("lm-pipeline", "lm to lm-opt",
                             [](OpPassManager &passes) { buildLmPipeline(passes, {}); });
  PassPipelineRegistration<>("lower-pipeline", "lm-opt to cmd",
                             [](OpPassManager &passes) { buildLowerPipeline(passes, {}); });
  PassPipelineRegistration<>("plan-pipeline", "cmd to plan",
                             [](OpPassManager &passes) { buildPlanPipeline(passes, {}); });
}
