//===- HostMemory.h - what a process takes beside a plan ---------*- C++ -*-===//
//
// One number for the plan that prints a bound and for whoever holds a process against it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_HOSTMEMORY_H
#define LLAMA4_RUNTIME_FORMAT_HOSTMEMORY_H

#include <cstdint>

namespace llama4 {

/// Bytes for everything that a plan does not list by itself: the program and its libraries, a
/// file's code, tokenizer and tables, what is decoded from them, page tables of the cache, texts of
/// sequences, stacks. A statement, not a reservation; tools/bench/memory.py measures whether it
/// holds.
inline constexpr uint64_t hostBytes = uint64_t{24} << 20;

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_HOSTMEMORY_H
