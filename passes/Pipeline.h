//===- Pipeline.h - which passes run, in which order ------------*- C++ -*-===//
#ifndef LLAMA4_PASSES_PIPELINE_H
#define LLAMA4_PASSES_PIPELINE_H

#include "mlir/Pass/PassManager.h"

#include <string>

namespace llama4 {

/// Appends lm -> lm-opt. `disabled` names passes to leave out (only fusions and lm-specialise can
/// be; see isOptionalPass).
void buildLmPipeline(mlir::OpPassManager &passes, llvm::ArrayRef<std::string> disabled);

/// Appends lm-opt -> cmd.
void buildLowerPipeline(mlir::OpPassManager &passes, llvm::ArrayRef<std::string> disabled);

/// Appends cmd -> plan.
void buildPlanPipeline(mlir::OpPassManager &passes, llvm::ArrayRef<std::string> disabled);

/// True for a pass that may be left out: the program stays the same, only slower.
bool isOptionalPass(llvm::StringRef name);

/// Registers all passes and the three pipelines `lm-pipeline`, `lower-pipeline`, `plan-pipeline`.
void registerPassesAndPipelines();

} // namespace llama4

#endif // LLAMA4_PASSES_PIPELINE_H
