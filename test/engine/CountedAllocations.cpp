//===- CountedAllocations.cpp - operator new, counted ---------------------===//

#include "test/engine/CountedAllocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#endif

namespace {
std::atomic<uint64_t> allocations = 0;

#if __has_feature(thread_sanitizer)

// This sanitizer brings operator new itself, in a form that can't be replaced, and a hook for every
// allocation.
[[maybe_unused]] const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void *, size_t) { ++allocations; }, [](const volatile void *) {});
} // namespace

#else

void *counted(size_t size, size_t alignment) {
  ++allocations;
  void *memory = nullptr;
  if (::posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) != 0)
    std::abort();
  return memory;
}
} // namespace

void *operator new(size_t size) { return counted(size, 16); }
void *operator new[](size_t size) { return counted(size, 16); }
void *operator new(size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<size_t>(alignment));
}
void *operator new[](size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<size_t>(alignment));
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }

#endif

uint64_t llama4::test::allocationCount() { return allocations; }
