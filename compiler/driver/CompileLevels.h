//===- CompileLevels.h - machine code of all CPU levels ----------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_COMPILELEVELS_H
#define LLAMA4_COMPILER_DRIVER_COMPILELEVELS_H

#include "compiler/target/cpu/CpuTarget.h"
#include "runtime/base/Status.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace llama4 {

/// The shared object of every level, in the order of `levels`. Levels are compiled side by side on
/// at most `threads` threads (0: one for each processor), each but the first thread's with a
/// context and a copy of the kernels of its own; the bytes are the same for any number. `onLevel`
/// is called from any of them when a level is done. Errors: of the first level that fails, as
/// cpu::compileKernels(); InvalidInput (a level this compiler does not have).
Result<std::vector<std::vector<std::byte>>>
compileLevels(mlir::ModuleOp module, const std::vector<std::string> &levels, unsigned threads,
              const cpu::CompileOptions &options, const std::function<void()> &onLevel);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_COMPILELEVELS_H
