//===- CpuCode.h - machine code loaded from memory ---------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_DEVICE_CPU_CPUCODE_H
#define LLAMA4_RUNTIME_DEVICE_CPU_CPUCODE_H

#include "runtime/device/Device.h"

namespace llama4 {

/// Loads an ELF shared object from memory; nothing is written to a file system. Errors:
/// InvalidInput (the system's loader refuses it), Unavailable (no memory files here).
Result<std::unique_ptr<CodeModule>> loadSharedObject(const CodeView &object);

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_CPU_CPUCODE_H
