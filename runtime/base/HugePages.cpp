//===- HugePages.cpp - memory in pages of 2 MiB ---------------------------===//

#include "runtime/base/HugePages.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string_view>
#include <sys/mman.h>

namespace llama4 {

PageUse pageUse(std::span<const std::byte> memory) {
  const auto begin = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t end = begin + memory.size();
  const std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen("/proc/self/smaps", "re"),
                                                              std::fclose);
  PageUse use;
  if (!file)
    return use;
  struct Field {
    std::string_view name;
    uint64_t PageUse::*sum;
  };
  constexpr Field fields[] = {{"Rss:", &PageUse::resident},
                              {"AnonHugePages:", &PageUse::inHugePages},
                              {"FilePmdMapped:", &PageUse::inHugePages},
                              {"ShmemPmdMapped:", &PageUse::inHugePages}};
  bool inside = false;
  char line[512];
  while (std::fgets(line, sizeof(line), file.get())) {
    uintptr_t from = 0, to = 0;
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
      inside = from < end && begin < to;
      continue;
    }
    for (const Field &field : fields) {
      uint64_t kib = 0;
      if (inside && std::string_view(line).starts_with(field.name) &&
          std::sscanf(line + field.name.size(), "%" SCNu64, &kib) == 1)
        use.*field.sum += kib * 1024;
    }
  }
  use.resident = std::min<uint64_t>(use.resident, memory.size());
  use.inHugePages = std::min<uint64_t>(use.inHugePages, memory.size());
  return use;
}

bool collapseIntoHugePages(std::span<const std::byte> memory) {
#ifdef MADV_COLLAPSE
  constexpr int collapse = MADV_COLLAPSE;
#else
  constexpr int collapse = 25; // since Linux 6.1; older headers have no name for it
#endif
  return ::madvise(const_cast<std::byte *>(memory.data()), memory.size(), collapse) == 0;
}

} // namespace llama4
