//===- Codegen.h - LLVM IR and micro-kernels to an object file ---*- C++ -*-===//
#ifndef LLAMA4_COMPILER_TARGET_CPU_CODEGEN_H
#define LLAMA4_COMPILER_TARGET_CPU_CODEGEN_H

#include "compiler/microkernels/Microkernels.h"
#include "runtime/base/Status.h"

#include <string>

namespace llvm {
class Module;
}

namespace llama4::cpu {

/// An ELF object, and what `--dump-kernels` shows of the way to it (empty when not asked for).
struct CompiledCode {
  std::string object;
  std::string optimised; ///< LLVM IR after optimisation
  std::string assembly;
};

/// Links the level's micro-kernels into `module`, hides everything but the functions that it
/// defined before, optimises for the level and generates code. `module` is used up.
Result<CompiledCode> compileModule(llvm::Module &module, const microkernels::Level &level,
                                   bool withText);

} // namespace llama4::cpu

#endif // LLAMA4_COMPILER_TARGET_CPU_CODEGEN_H
