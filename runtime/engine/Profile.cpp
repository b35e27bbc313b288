//===- Profile.cpp - where the time of steps goes -------------------------===//

#include "runtime/engine/Profile.h"

#include <algorithm>

namespace llama4 {

Profile::Profile(const ProgramDesc &program) {
  for (const Entry &entry : program.entries) {
    EntryTimes times;
    for (auto *numbers :
         {&times.nanoseconds, &times.weightBytes, &times.allNanoseconds, &times.allWeightBytes})
      numbers->resize(entry.commands.size());
    entries_.push_back(std::move(times));
  }
}

std::span<uint64_t> Profile::nanoseconds(uint32_t entry) {
  return entries_.empty() ? std::span<uint64_t>() : entries_[entry].nanoseconds;
}

std::span<uint64_t> Profile::weightBytes(uint32_t entry) {
  return entries_.empty() ? std::span<uint64_t>() : entries_[entry].weightBytes;
}

void Profile::record(uint32_t entry, uint32_t symbol) {
  if (entries_.empty())
    return;
  EntryTimes &times = entries_[entry];
  for (size_t i = 0; i < times.nanoseconds.size(); ++i) {
    times.allNanoseconds[i] += times.nanoseconds[i];
    times.allWeightBytes[i] += times.weightBytes[i];
  }
  ++times.runs;
  times.symbols += symbol;
}

void Profile::reset() {
  for (EntryTimes &times : entries_) {
    std::fill(times.allNanoseconds.begin(), times.allNanoseconds.end(), 0);
    std::fill(times.allWeightBytes.begin(), times.allWeightBytes.end(), 0);
    times.runs = times.symbols = 0;
  }
}

/// Bytes of all rows that the tensors of a kernel have in `runs` dispatches of `symbols` units
/// together.
static uint64_t activationBytes(const Kernel &kernel, uint64_t runs, uint64_t symbols) {
  uint64_t bytes = 0;
  for (const KernelParam &param : kernel.params)
    if (param.kind == ParamKind::Tensor)
      bytes += (param.rowsPerSymbol * symbols + param.rowsFixed * runs) * param.rowBytes;
  return bytes;
}

std::vector<KernelTime> Profile::kernels(const ProgramDesc &program) const {
  std::vector<KernelTime> kernels(program.kernels.size());
  for (size_t k = 0; k < kernels.size(); ++k)
    kernels[k].symbol = program.kernels[k].symbol;
  for (size_t e = 0; e < entries_.size(); ++e) {
    const EntryTimes &times = entries_[e];
    for (size_t c = 0; c < times.allNanoseconds.size(); ++c) {
      uint32_t index = program.entries[e].commands[c].kernel;
      const Kernel &kernel = program.kernels[index];
      kernels[index].nanoseconds += times.allNanoseconds[c];
      kernels[index].dispatches += times.runs;
      kernels[index].weightBytes += times.allWeightBytes[c];
      kernels[index].activationBytes += activationBytes(kernel, times.runs, times.symbols);
      kernels[index].macs += times.symbols * kernel.macsPerSymbol;
    }
  }
  std::erase_if(kernels, [](const KernelTime &kernel) { return kernel.dispatches == 0; });
  std::sort(kernels.begin(), kernels.end(), [](const KernelTime &a, const KernelTime &b) {
    return a.nanoseconds != b.nanoseconds ? a.nanoseconds > b.nanoseconds : a.symbol < b.symbol;
  });
  return kernels;
}

} // namespace llama4
