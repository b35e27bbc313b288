//===- TimeSlice.cpp - how long a thread keeps a processor ----------------===//

#include "runtime/base/TimeSlice.h"

#include <cstdint>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace llama4 {

namespace {

/// The system's `struct sched_attr` in its first form, which every version takes.
struct Attributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};
static_assert(sizeof(Attributes) == 48);

} // namespace

void askForTimeSlice(std::chrono::nanoseconds slice) {
  Attributes attributes = {};
  constexpr unsigned self = 0, noFlags = 0;
  if (::syscall(SYS_sched_getattr, self, &attributes, sizeof(attributes), noFlags) != 0)
    return;
  if (attributes.policy != SCHED_OTHER && attributes.policy != SCHED_BATCH)
    return; // there, a runtime is a promise
  attributes.size = sizeof(attributes);
  attributes.runtime = static_cast<uint64_t>(slice.count());
  (void)::syscall(SYS_sched_setattr, self, &attributes, noFlags);
}

} // namespace llama4
