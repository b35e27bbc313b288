//===- Driver.h - the library call behind llama4-compile --------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_DRIVER_H
#define LLAMA4_COMPILER_DRIVER_DRIVER_H

#include "compiler/driver/Options.h"
#include "runtime/base/Status.h"

namespace llama4 {

/// Compiles a checkpoint, or what `options` asks of that way. Dumps go to stdout; warnings and,
/// with `verbose`, times to stderr. Errors are one sentence; the file is complete or not there.
Status runCompiler(const DriverOptions &options);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_DRIVER_H
