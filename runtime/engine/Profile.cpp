//===- Profile.cpp - where the time of steps goes -------------------------===//

#include "runtime/engine/Profile.h"

#include <algorithm>

namespace llama4 {

MacKind macKindOf(const Kernel &kernel) {
  bool rows = false, weights = false;
  for (const KernelParam &param : kernel.params) {
    bool tensor = param.kind == ParamKind::Tensor && param.access == Access::Read;
    if (tensor && isQuantizedRow(param.type))
      return MacKind::Int8;
    rows = rows || (tensor && param.type == ElementType::BF16);
    weights = weights || (param.kind == ParamKind::Weight && param.encoding == "bfloat16");
  }
  return rows && weights ? MacKind::BFloat16 : MacKind::Float32;
}

Work &Work::operator+=(const Work &other) {
  weightBytes += other.weightBytes;
  cacheBytes += other.cacheBytes;
  activationBytes += other.activationBytes;
  for (size_t i = 0; i < macKinds; ++i)
    macs[i] += other.macs[i];
  return *this;
}

Profile::Profile(const ProgramDesc &program) {
  for (const Entry &entry : program.entries) {
    EntryTimes times;
    for (auto *numbers :
         {&times.nanoseconds, &times.weightBytes, &times.allNanoseconds, &times.allWeightBytes})
      numbers->resize(entry.commands.size());
    times.kv.resize(program.kvKinds.size());
    entries_.push_back(std::move(times));
  }
}

std::span<uint64_t> Profile::nanoseconds(uint32_t entry) {
  return entries_.empty() ? std::span<uint64_t>() : entries_[entry].nanoseconds;
}

std::span<uint64_t> Profile::weightBytes(uint32_t entry) {
  return entries_.empty() ? std::span<uint64_t>() : entries_[entry].weightBytes;
}

void Profile::record(uint32_t entry, uint32_t symbol, std::span<const KvTokens> kv) {
  if (entries_.empty())
    return;
  EntryTimes &times = entries_[entry];
  for (size_t i = 0; i < times.nanoseconds.size(); ++i) {
    times.allNanoseconds[i] += times.nanoseconds[i];
    times.allWeightBytes[i] += times.weightBytes[i];
  }
  for (size_t i = 0; i < std::min(kv.size(), times.kv.size()); ++i) {
    times.kv[i].read += kv[i].read;
    times.kv[i].written += kv[i].written;
  }
  ++times.runs;
  times.symbols += symbol;
}

void Profile::reset() {
  for (EntryTimes &times : entries_) {
    std::fill(times.allNanoseconds.begin(), times.allNanoseconds.end(), 0);
    std::fill(times.allWeightBytes.begin(), times.allWeightBytes.end(), 0);
    std::fill(times.kv.begin(), times.kv.end(), KvTokens());
    times.runs = times.symbols = 0;
  }
}

/// Bytes of all rows that the tensors of a kernel have in `runs` dispatches of `symbols` units
/// together. Workspace is left out: it stays in the caches.
static uint64_t activationBytes(const Kernel &kernel, uint64_t runs, uint64_t symbols) {
  uint64_t bytes = 0;
  for (const KernelParam &param : kernel.params)
    if (param.kind == ParamKind::Tensor && param.access != Access::ReadWrite)
      bytes += (param.rowsPerSymbol * symbols + param.rowsFixed * runs) * param.rowBytes;
  return bytes;
}

/// Keys and values of one layer that a command reads or writes.
static uint64_t cacheBytes(const ProgramDesc &program, const Kernel &kernel, const Command &command,
                           std::span<const KvTokens> kv) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < std::min(kernel.params.size(), command.bindings.size()); ++i) {
    if (kernel.params[i].kind != ParamKind::Kv || command.bindings[i].index >= kv.size())
      continue;
    const KvKind &kind = program.kvKinds[command.bindings[i].index];
    const KvTokens &tokens = kv[command.bindings[i].index];
    bytes += (kernel.params[i].access == Access::Read ? tokens.read : tokens.written) * 2 *
             kind.kvHeads * kind.headDim * elementBytes(kind.type);
  }
  return bytes;
}

std::vector<KernelTime> Profile::commands(const ProgramDesc &program) const {
  std::vector<KernelTime> commands;
  for (uint32_t e = 0; e < entries_.size(); ++e) {
    const EntryTimes &times = entries_[e];
    for (uint32_t c = 0; times.runs > 0 && c < times.allNanoseconds.size(); ++c) {
      const Command &command = program.entries[e].commands[c];
      const Kernel &kernel = program.kernels[command.kernel];
      KernelTime time = {kernel.symbol, e, c, times.allNanoseconds[c], times.runs, {}};
      time.work.weightBytes = times.allWeightBytes[c];
      time.work.cacheBytes = cacheBytes(program, kernel, command, times.kv);
      time.work.activationBytes = activationBytes(kernel, times.runs, times.symbols);
      time.work.macs[static_cast<size_t>(macKindOf(kernel))] = times.symbols * kernel.macsPerSymbol;
      commands.push_back(std::move(time));
    }
  }
  return commands;
}

std::vector<KernelTime> Profile::kernels(const ProgramDesc &program) const {
  std::vector<KernelTime> kernels;
  std::vector<size_t> places(program.kernels.size(), SIZE_MAX);
  for (KernelTime &time : commands(program)) {
    size_t &place = places[program.entries[time.entry].commands[time.command].kernel];
    if (place == SIZE_MAX) {
      place = kernels.size();
      kernels.push_back(std::move(time));
      continue;
    }
    kernels[place].nanoseconds += time.nanoseconds;
    kernels[place].dispatches += time.dispatches;
    kernels[place].work += time.work;
  }
  std::sort(kernels.begin(), kernels.end(), [](const KernelTime &a, const KernelTime &b) {
    return a.nanoseconds != b.nanoseconds ? a.nanoseconds > b.nanoseconds : a.symbol < b.symbol;
  });
  return kernels;
}

Work Profile::work(const ProgramDesc &program) const {
  Work all;
  for (const KernelTime &time : commands(program))
    all += time.work;
  return all;
}

uint64_t Profile::runs(const ProgramDesc &program, std::string_view function) const {
  uint64_t runs = 0;
  for (size_t e = 0; e < entries_.size(); ++e)
    if (program.entries[e].function == function)
      runs += entries_[e].runs;
  return runs;
}

} // namespace llama4
