//===- SystemMemory.h - how much memory the machine has left -----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_SYSTEMMEMORY_H
#define LLAMA4_RUNTIME_ENGINE_SYSTEMMEMORY_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>

namespace llama4 {

/// Bytes that can be taken without swapping, as the system estimates it, and that this process's
/// control groups allow.
uint64_t availableMemory();

/// Bytes that the control groups of a process allow it to take, pages of files that they could give
/// up included; the greatest number where there is no limit. `membership` is what /proc/self/cgroup
/// says, `mounted` the folder below which versions 1 and 2 of them are found.
uint64_t memoryOfControlGroups(const std::string &membership, const std::string &mounted);

/// "8GiB", "512MiB", "2G", "1048576": a number and a unit of 1024s, or "MB" and "GB" of 1000s.
/// Errors: Usage.
Result<uint64_t> parseMemorySize(const std::string &text);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SYSTEMMEMORY_H
