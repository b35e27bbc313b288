//===- CpuFeatures.cpp - what the processor can run -----------------------===//

#include "runtime/device/cpu/CpuFeatures.h"

#include <algorithm>
#include <array>
#include <optional>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace llama4 {

namespace {

constexpr std::string_view v3Features[] = {"cx16",   "sahf",  "popcnt", "sse3", "ssse3", "sse4.1",
                                           "sse4.2", "avx",   "avx2",   "bmi",  "bmi2",  "f16c",
                                           "fma",    "lzcnt", "movbe",  "xsave"};
constexpr std::string_view v4VnniFeatures[] = {
    "cx16",    "sahf",     "popcnt",   "sse3",     "ssse3",    "sse4.1",    "sse4.2", "avx",
    "avx2",    "bmi",      "bmi2",     "f16c",     "fma",      "lzcnt",     "movbe",  "xsave",
    "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni"};
constexpr std::string_view v4VnniBf16Features[] = {
    "cx16",    "sahf",     "popcnt",   "sse3",     "ssse3",    "sse4.1",     "sse4.2",    "avx",
    "avx2",    "bmi",      "bmi2",     "f16c",     "fma",      "lzcnt",      "movbe",     "xsave",
    "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16"};

constexpr std::string_view v4VnniBf16AmxFeatures[] = {
    "cx16",       "sahf",       "popcnt",   "sse3",     "ssse3",    "sse4.1",   "sse4.2",
    "avx",        "avx2",       "bmi",      "bmi2",     "f16c",     "fma",      "lzcnt",
    "movbe",      "xsave",      "avx512f",  "avx512bw", "avx512cd", "avx512dq", "avx512vl",
    "avx512vnni", "avx512bf16", "amx-tile", "amx-int8", "amx-bf16"};

constexpr CpuLevel levels[] = {{"x86-64-v3", v3Features},
                               {"x86-64-v4+vnni", v4VnniFeatures},
                               {"x86-64-v4+vnni+bf16", v4VnniBf16Features},
                               {"x86-64-v4+vnni+bf16+amx", v4VnniBf16AmxFeatures}};

enum Register : uint8_t { Eax, Ebx, Ecx, Edx };

/// Where cpuid says a feature, and which register states the system must save for it.
struct FeatureBit {
  std::string_view name;
  uint32_t leaf, subleaf;
  Register reg;
  uint32_t bit;
  uint32_t xcr0;
};

constexpr uint32_t noState = 0, avxState = 0x6, avx512State = 0xe6, amxState = 0x60000;

constexpr FeatureBit featureBits[] = {
    {"sse3", 1, 0, Ecx, 0, noState},
    {"ssse3", 1, 0, Ecx, 9, noState},
    {"fma", 1, 0, Ecx, 12, avxState},
    {"cx16", 1, 0, Ecx, 13, noState},
    {"sse4.1", 1, 0, Ecx, 19, noState},
    {"sse4.2", 1, 0, Ecx, 20, noState},
    {"movbe", 1, 0, Ecx, 22, noState},
    {"popcnt", 1, 0, Ecx, 23, noState},
    {"xsave", 1, 0, Ecx, 27, noState}, // enabled by the system
    {"avx", 1, 0, Ecx, 28, avxState},
    {"f16c", 1, 0, Ecx, 29, avxState},
    {"sahf", 0x80000001, 0, Ecx, 0, noState},
    {"lzcnt", 0x80000001, 0, Ecx, 5, noState},
    {"bmi", 7, 0, Ebx, 3, noState},
    {"avx2", 7, 0, Ebx, 5, avxState},
    {"bmi2", 7, 0, Ebx, 8, noState},
    {"avx512f", 7, 0, Ebx, 16, avx512State},
    {"avx512dq", 7, 0, Ebx, 17, avx512State},
    {"avx512ifma", 7, 0, Ebx, 21, avx512State},
    {"avx512cd", 7, 0, Ebx, 28, avx512State},
    {"avx512bw", 7, 0, Ebx, 30, avx512State},
    {"avx512vl", 7, 0, Ebx, 31, avx512State},
    {"avx512vbmi", 7, 0, Ecx, 1, avx512State},
    {"avx512vbmi2", 7, 0, Ecx, 6, avx512State},
    {"avx512vnni", 7, 0, Ecx, 11, avx512State},
    {"avx512bitalg", 7, 0, Ecx, 12, avx512State},
    {"avx512vpopcntdq", 7, 0, Ecx, 14, avx512State},
    {"amx-bf16", 7, 0, Edx, 22, amxState},
    {"amx-tile", 7, 0, Edx, 24, amxState},
    {"amx-int8", 7, 0, Edx, 25, amxState},
    {"avxvnni", 7, 1, Eax, 4, avxState},
    {"avx512bf16", 7, 1, Eax, 5, avx512State},
};

#if defined(__x86_64__)
/// The registers of a cpuid leaf; zeros where the processor has none such.
std::array<uint32_t, 4> cpuidLeaf(uint32_t leaf, uint32_t subleaf) {
  std::array<uint32_t, 4> r = {};
  if (leaf == 7 && subleaf == 1) {
    // The number of subleaves of leaf 7 stands in its subleaf 0.
    if (cpuidLeaf(7, 0)[Eax] < 1)
      return {};
  }
  if (!__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]))
    return {};
  return r;
}

/// Register states that the operating system saves; 0 without xsave.
uint32_t savedStates() {
  constexpr uint32_t osxsave = 1u << 27;
  if ((cpuidLeaf(1, 0)[Ecx] & osxsave) == 0)
    return 0;
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}
#else
std::array<uint32_t, 4> cpuidLeaf(uint32_t, uint32_t) { return {}; }
uint32_t savedStates() { return 0; }
#endif

/// Linux gives tile registers to a process that asks for them, once, for all of its threads.
bool tilesPermitted() {
#if defined(__x86_64__) && defined(__linux__)
  // ARCH_REQ_XCOMP_PERM and XFEATURE_XTILEDATA of the system's headers.
  constexpr long requestPermission = 0x1023, tileData = 18;
  static const bool permitted = syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
  return permitted;
#else
  return false;
#endif
}

const CpuLevel *findLevel(std::string_view name) {
  for (const CpuLevel &level : levels)
    if (level.name == name)
      return &level;
  return nullptr;
}

/// The levels this machine has, for messages.
std::string machineLevels(const HasFeature &has) {
  std::string text;
  for (const CpuLevel &level : levels)
    if (levelRuns(level.name, has))
      text += (text.empty() ? "" : ", ") + std::string(level.name);
  return text.empty() ? "none of the levels" : text;
}

} // namespace

bool cpuHas(std::string_view feature) {
  for (const FeatureBit &f : featureBits)
    if (f.name == feature)
      return (cpuidLeaf(f.leaf, f.subleaf)[f.reg] >> f.bit & 1) != 0 &&
             (savedStates() & f.xcr0) == f.xcr0 && (f.xcr0 != amxState || tilesPermitted());
  return false;
}

std::span<const CpuLevel> cpuLevels() { return levels; }

bool levelRuns(std::string_view name, const HasFeature &has) {
  const CpuLevel *level = findLevel(name);
  return level && std::all_of(level->features.begin(), level->features.end(), has);
}

Result<size_t> selectCode(std::span<const CodeView> objects, const std::string &forced,
                          const HasFeature &has) {
  std::optional<size_t> best;
  std::string inFile;
  for (size_t i = 0; i < objects.size(); ++i) {
    const CodeView &object = objects[i];
    inFile += (i ? ", " : "") + std::string(object.target) + ":" + std::string(object.level);
    if (object.target != "cpu" || (!forced.empty() && object.level != forced) ||
        !levelRuns(object.level, has) ||
        !std::all_of(object.features.begin(), object.features.end(), has))
      continue;
    // `levels` is ordered, the best one last.
    if (!best || findLevel(object.level) > findLevel(objects[*best].level))
      best = i;
  }
  if (best)
    return *best;
  return Status::error(
      StatusKind::Unavailable,
      "cpu: found code for " + (inFile.empty() ? "no target" : inFile) + " in the file, expected " +
          (forced.empty() ? "code that this machine runs (" + machineLevels(has) + ")"
                          : "cpu:" + forced) +
          "; compile the model for this target.");
}

} // namespace llama4
