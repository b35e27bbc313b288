//===- CpuFeatures.h - what the processor can run ----------------*- C++ -*-===//
//
// Feature names are LLVM's ("avx2", "avx512vnni"). Levels are a closed list: code is compiled for
// one of them, and the best one found in a file that the machine has all features of is loaded.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_DEVICE_CPU_CPUFEATURES_H
#define LLAMA4_RUNTIME_DEVICE_CPU_CPUFEATURES_H

#include "runtime/base/Status.h"
#include "runtime/device/Device.h"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace llama4 {

/// True when the processor has the feature and the operating system saves its registers. False for
/// names not known here. For tile registers ("amx-...") the first call asks the system for the
/// permission to use them, which then holds for all threads of the process; false if it refuses.
bool cpuHas(std::string_view feature);

/// A level of x86-64 and every feature it stands for.
struct CpuLevel {
  std::string_view name;
  std::span<const std::string_view> features;
};

/// All levels, the best one last.
std::span<const CpuLevel> cpuLevels();

/// Asks for one feature; cpuHas, or something else in tests.
using HasFeature = std::function<bool(std::string_view)>;

/// True when every feature of level `name` is there.
bool levelRuns(std::string_view name, const HasFeature &has);

/// Index of the best object for target "cpu" whose level and features are all there; with a
/// `forced` level, of that one only. Errors: Unavailable, saying what the file and the machine
/// have.
Result<size_t> selectCode(std::span<const CodeView> objects, const std::string &forced,
                          const HasFeature &has);

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_CPU_CPUFEATURES_H
