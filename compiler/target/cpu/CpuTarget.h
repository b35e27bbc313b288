//===- CpuTarget.h - kernels to a shared object for one CPU level -*- C++ -*-===//
//
// The back of the compiler for x86-64: cmd.kernel bodies to vectors, to LLVM, linked with the
// level's micro-kernels, optimised, and linked into one ELF shared object that exports the kernels
// by their names and needs no other library. The bytes depend on the kernels and the level alone.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_TARGET_CPU_CPUTARGET_H
#define LLAMA4_COMPILER_TARGET_CPU_CPUTARGET_H

#include "compiler/microkernels/Microkernels.h"
#include "runtime/base/Status.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstddef>
#include <string>
#include <vector>

namespace llama4::cpu {

struct CompileOptions {
  /// A folder that exists: receives kernels.<level>.mlir (after emission), .ll (optimised), .s and
  /// .so. Empty for none.
  std::string dumpDir;
};

/// Compiles all cmd.kernels of `module` for `level` and returns the shared object. The module is
/// not changed; what is no kernel is ignored. Errors: InvalidInput with the compiler's first
/// diagnostic where a kernel cannot be emitted, Internal where LLVM or the linker refuses (a kernel
/// that needs a library function is refused by the linker), Io.
Result<std::vector<std::byte>> compileKernels(mlir::ModuleOp module,
                                              const microkernels::Level &level,
                                              const CompileOptions &options = {});

} // namespace llama4::cpu

#endif // LLAMA4_COMPILER_TARGET_CPU_CPUTARGET_H
