//===- SharedObject.h - one object file to a shared object -------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_TARGET_CPU_SHAREDOBJECT_H
#define LLAMA4_COMPILER_TARGET_CPU_SHAREDOBJECT_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <string>
#include <vector>

namespace llama4::cpu {

/// Links one x86-64 ELF object into a shared object that needs no library, by lld inside this
/// process (one at a time) and through a temporary folder. Errors: Internal with the linker's words
/// (an undefined symbol, for one), Io.
Result<std::vector<std::byte>> linkSharedObject(const std::string &object);

} // namespace llama4::cpu

#endif // LLAMA4_COMPILER_TARGET_CPU_SHAREDOBJECT_H
