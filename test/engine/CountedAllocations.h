//===- CountedAllocations.h - how often a test program allocates -*- C++ -*-===//
//
// A program that links CountedAllocations.cpp counts every call of operator new.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_ENGINE_COUNTEDALLOCATIONS_H
#define LLAMA4_TEST_ENGINE_COUNTEDALLOCATIONS_H

#include <cstdint>

namespace llama4::test {

/// Allocations of the whole process so far, of all threads.
uint64_t allocationCount();

} // namespace llama4::test

#endif // LLAMA4_TEST_ENGINE_COUNTEDALLOCATIONS_H
