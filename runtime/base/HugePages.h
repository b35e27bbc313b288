//===- HugePages.h - memory in pages of 2 MiB --------------------*- C++ -*-===//
//
// Whether memory lies in huge pages is asked of the system, never concluded from what was asked
// for.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_HUGEPAGES_H
#define LLAMA4_RUNTIME_BASE_HUGEPAGES_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4 {

inline constexpr size_t hugePageSize = size_t{2} << 20;

/// Bytes of some memory.
struct PageUse {
  uint64_t resident = 0;    ///< mapped: pages that somebody has touched
  uint64_t inHugePages = 0; ///< of them with huge pages, of a file or anonymous
};

/// How the system maps `memory` at the moment, by /proc/self/smaps; zeros where there is no such.
PageUse pageUse(std::span<const std::byte> memory);

/// Asks that the whole huge pages of `memory`, which lies in a mapped file, become such at once,
/// for everyone who maps the file. False where the file's system or the kernel cannot do it.
bool collapseIntoHugePages(std::span<const std::byte> memory);

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_HUGEPAGES_H
