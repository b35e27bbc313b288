//===- ProgramBuilder.h - a planned cmd module as a program -----*- C++ -*-===//
//
// Writes down what the module says; decides nothing. Everything that the runtime needs and that is
// not code, tokenizer or weight bytes comes from here.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_EMIT_PROGRAMBUILDER_H
#define LLAMA4_COMPILER_EMIT_PROGRAMBUILDER_H

#include "compiler/pack/ParamPacker.h"
#include "dialects/cmd/Cmd.h"
#include "runtime/format/ProgramDesc.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>
#include <vector>

namespace llama4 {

/// Entry of lm.options: weights are made up at load, "random:SEED" or "splat:VALUE". Absent: they
/// come from the checkpoint.
inline constexpr llvm::StringLiteral syntheticWeightsName = "synthetic_weights";

/// A weight of the program and how to make it: where its values are in the checkpoint, and how the
/// artifact stores them.
struct WeightPlan {
  SourceSpec source;
  pack::ParamSpec spec;
};

/// Fills the program (without code objects and generation defaults) and one plan per weight, in the
/// order of program.weights: the parameters that a command reads, in the module's order. Errors are
/// emitted at the op that is not what the plan phase promises.
mlir::LogicalResult buildProgram(mlir::ModuleOp module, ProgramDesc &program,
                                 std::vector<WeightPlan> &weights);

} // namespace llama4

#endif // LLAMA4_COMPILER_EMIT_PROGRAMBUILDER_H
