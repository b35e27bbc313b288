//===- SystemMemory.cpp - how much memory the machine has left ------------===//

#include "runtime/engine/SystemMemory.h"

#include "runtime/base/Checked.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <sstream>
#include <unistd.h>

namespace llama4 {

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

/// The first number of a file; nothing where there is none ("max", no such file).
std::optional<uint64_t> numberIn(const std::string &path) {
  std::ifstream file(path);
  uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

/// The files of one version of control groups.
struct GroupFiles {
  const char *limit, *usage, *inactive, *active; ///< the last two are words of memory.stat
};

/// What one group allows.
uint64_t roomOfGroup(const std::string &folder, const GroupFiles &files) {
  const std::optional<uint64_t> limit = numberIn(folder + files.limit);
  const std::optional<uint64_t> usage = numberIn(folder + files.usage);
  if (!limit || !usage)
    return unlimited;
  uint64_t pagesOfFiles = 0, bytes = 0;
  std::ifstream stat(folder + "/memory.stat");
  for (std::string word; stat >> word >> bytes;)
    if (word == files.inactive || word == files.active)
      pagesOfFiles += bytes;
  const uint64_t taken = *usage - std::min(*usage, pagesOfFiles);
  return *limit - std::min(*limit, taken);
}

} // namespace

uint64_t memoryOfControlGroups(const std::string &membership, const std::string &mounted) {
  constexpr GroupFiles first = {"/memory.limit_in_bytes", "/memory.usage_in_bytes",
                                "total_inactive_file", "total_active_file"};
  constexpr GroupFiles second = {"/memory.max", "/memory.current", "inactive_file", "active_file"};
  uint64_t room = unlimited;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // number:controllers:/path
    const size_t colon = line.find(':'), next = line.find(':', colon + 1);
    if (colon == std::string::npos || next == std::string::npos)
      continue;
    const std::string controllers = line.substr(colon + 1, next - colon - 1);
    if (!controllers.empty() && controllers != "memory")
      continue;
    const std::string root = mounted + (controllers.empty() ? "" : "/memory");
    // Every group above has its own limit; in a container the path may not be there.
    for (std::string path = line.substr(next + 1); !path.empty();
         path.erase(path.find_last_of('/')))
      if (path != "/")
        room = std::min(room, roomOfGroup(root + path, controllers.empty() ? second : first));
    room = std::min(room, roomOfGroup(root, controllers.empty() ? second : first));
  }
  return room;
}

/// What the machine has left.
static uint64_t memoryOfMachine() {
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

uint64_t availableMemory() {
  std::ifstream file("/proc/self/cgroup");
  const std::string membership((std::istreambuf_iterator<char>(file)), {});
  return std::min(memoryOfMachine(), memoryOfControlGroups(membership, "/sys/fs/cgroup"));
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
