//===- Phases.h - modules between the phases --------------------*- C++ -*-===//
//
// Making, reading, checking and printing the module of a compile. All that shapes the artifact is
// on the module (lm.options, target.devices); nothing here remembers anything beside it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_DRIVER_PHASES_H
#define LLAMA4_COMPILER_DRIVER_PHASES_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/driver/Options.h"
#include "compiler/emit/ProgramBuilder.h"
#include "runtime/base/Status.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace llama4 {

using ModuleRef = mlir::OwningOpRef<mlir::ModuleOp>;

/// Loads all dialects of the compiler into `context`.
void loadDialects(mlir::MLIRContext &context);

/// The module of the lm phase: the checkpoint's model, declared and imported, with the options on
/// it. With dumpPhase graph the graph is printed instead and the module is null.
Result<ModuleRef> declareModule(mlir::MLIRContext &context, const Checkpoint &checkpoint,
                                const DriverOptions &options);

/// The module in `options.fromFile`. Errors: InvalidInput when it does not parse or verify; Usage
/// when an option contradicts what the module says.
Result<ModuleRef> readModule(mlir::MLIRContext &context, const DriverOptions &options);

/// Runs the passes between two phases.
Status advanceModule(mlir::ModuleOp module, Phase from, Phase to);

/// True when the module's weights are made up at load.
bool hasSyntheticWeights(mlir::ModuleOp module);

/// buildProgram with its first error as a status: InvalidInput, at the op that is no plan.
Status describeProgram(mlir::ModuleOp module, ProgramDesc &program,
                       std::vector<WeightPlan> &weights);

/// The names in target.devices.
std::vector<std::string> getLevels(mlir::ModuleOp module);

/// The dump of a phase: with locations, so that it can be read back without loss.
std::string printModule(mlir::ModuleOp module, bool withLocations);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_PHASES_H
