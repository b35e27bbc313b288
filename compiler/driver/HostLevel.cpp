//===- HostLevel.cpp - the CPU level of this machine ----------------------===//

#include "compiler/driver/HostLevel.h"

#include "compiler/microkernels/Microkernels.h"
#include "runtime/device/cpu/CpuFeatures.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"

using namespace llvm;

namespace llama4 {

/// What the psABI's levels consist of, as far as code for them uses more than x86-64-v2.
static SmallVector<StringRef> baseFeatures(StringRef cpu) {
  SmallVector<StringRef> features = {"avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe"};
  if (cpu == "x86-64-v4")
    features.append({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"});
  return features;
}

static bool hostHas(const StringMap<bool> &host, const microkernels::Level &level) {
  SmallVector<StringRef> needed = baseFeatures({level.cpu.data(), level.cpu.size()});
  SmallVector<StringRef> more;
  StringRef(level.features.data(), level.features.size()).split(more, ',', -1, /*KeepEmpty=*/false);
  for (StringRef feature : more)
    needed.push_back(feature.ltrim('+'));
  return all_of(needed, [&](StringRef feature) {
    // The system may keep tile registers from a process: what is compiled shall run here.
    return host.lookup(feature) &&
           (!feature.starts_with("amx-") || cpuHas(std::string_view(feature)));
  });
}

Result<std::string> findHostLevel() {
  const StringMap<bool> host = sys::getHostCPUFeatures();
  std::string best;
  for (const microkernels::Level &level : microkernels::cpuLevels()) // ascending
    if (hostHas(host, level))
      best = level.name;
  if (best.empty())
    return Status::error(StatusKind::Unavailable,
                         "--target: found cpu:native on a machine below x86-64-v3, expected AVX2 "
                         "and FMA; name a level with cpu:LEVEL.");
  return best;
}

} // namespace llama4
