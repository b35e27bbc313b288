//===- TimeSlice.h - how long a thread keeps a processor ---------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_BASE_TIMESLICE_H
#define LLAMA4_RUNTIME_BASE_TIMESLICE_H

#include <chrono>

namespace llama4 {

/// Asks the system to give the calling thread its share in pieces of `slice` (0.1 to 100 ms). A
/// thread with shorter ones than those that run goes on as soon as it is woken; otherwise it waits
/// until somebody's piece is over, which takes milliseconds where all processors compute. Its share
/// as a whole stays the same. Linux 6.12 and later; where the system does not know that, or
/// refuses, nothing changes. Threads that this one starts later begin with the same.
void askForTimeSlice(std::chrono::nanoseconds slice);

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_TIMESLICE_H
