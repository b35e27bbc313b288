//===- ModelFacts.h - what a module says of its model -----------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_EMIT_MODELFACTS_H
#define LLAMA4_COMPILER_EMIT_MODELFACTS_H

#include "runtime/format/ProgramDesc.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace llama4 {

/// A text of a dictionary attribute; where it is absent, the default.
std::string getString(mlir::DictionaryAttr dict, llvm::StringRef name,
                      llvm::StringRef otherwise = "");

/// Fills model, options and facts about pictures from the module's lm.model and lm.options.
void describeModel(mlir::ModuleOp module, ProgramDesc &program);

} // namespace llama4

#endif // LLAMA4_COMPILER_EMIT_MODELFACTS_H
