//===- SystemMemory.cpp - how much memory the machine has left ------------===//

#include "runtime/engine/SystemMemory.h"

#include "runtime/base/Checked.h"
#include "runtime/format/Quoted.h"

#include <charconv>
#include <cstdio>
#include <unistd.h>

namespace llama4 {

uint64_t availableMemory() {
  if (std::FILE *file = std::fopen("/proc/meminfo", "re")) {
    char line[256];
    unsigned long long kib = 0;
    bool found = false;
    while (!found && std::fgets(line, sizeof(line), file))
      found = std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
    std::fclose(file);
    if (found)
      return kib * 1024;
  }
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) / 2;
}

Result<uint64_t> parseMemorySize(const std::string &text) {
  struct Unit {
    const char *name;
    uint64_t bytes;
  };
  constexpr uint64_t kibi = 1024, kilo = 1000;
  constexpr Unit units[] = {{"", 1},
                            {"B", 1},
                            {"K", kibi},
                            {"KiB", kibi},
                            {"KB", kilo},
                            {"M", kibi * kibi},
                            {"MiB", kibi * kibi},
                            {"MB", kilo * kilo},
                            {"G", kibi * kibi * kibi},
                            {"GiB", kibi * kibi * kibi},
                            {"GB", kilo * kilo * kilo},
                            {"T", kibi * kibi * kibi * kibi},
                            {"TiB", kibi * kibi * kibi * kibi},
                            {"TB", kilo * kilo * kilo * kilo}};
  uint64_t number = 0;
  const char *end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  std::string unit(rest, end);
  for (const Unit &candidate : units) {
    if (error != std::errc() || unit != candidate.name)
      continue;
    if (std::optional<uint64_t> bytes = checkedMul(number, candidate.bytes); bytes && *bytes > 0)
      return *bytes;
  }
  return Status::error(StatusKind::Usage, "memory: found " + quoteName(text) +
                                              ", expected a size like 8GiB, 512MiB or 2G.");
}

} // namespace llama4
