//===- HostLevel.h - the CPU level of this machine --------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_HOSTLEVEL_H
#define LLAMA4_COMPILER_DRIVER_HOSTLEVEL_H

#include "runtime/base/Status.h"

#include <string>

namespace llama4 {

/// The best level of Levels.def whose instructions the machine that runs the compiler has: what
/// `--target cpu:native` stands for. Errors: Unavailable, when it has none of them.
Result<std::string> findHostLevel();

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_HOSTLEVEL_H
