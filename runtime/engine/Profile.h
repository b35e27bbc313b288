//===- Profile.h - where the time of steps goes ------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_PROFILE_H
#define LLAMA4_RUNTIME_ENGINE_PROFILE_H

#include "runtime/format/ProgramDesc.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llama4 {

/// One kernel in all the steps that were measured.
struct KernelTime {
  std::string symbol;
  uint64_t nanoseconds = 0;
  uint64_t dispatches = 0;
  uint64_t weightBytes = 0; ///< read by all dispatches; of experts those that were chosen
  /// Rows of tensors that all dispatches read and wrote, as the kernel declares them; the cache
  /// is not counted.
  uint64_t activationBytes = 0;
  uint64_t macs = 0; ///< multiply-adds of all dispatches

  uint64_t bytes() const { return weightBytes + activationBytes; }
};

/// Durations of commands and the weights they read, added up over steps. Recording allocates
/// nothing.
class Profile {
public:
  Profile() = default;
  explicit Profile(const ProgramDesc &program);

  /// Where the durations of the next run of `entry` go; empty when nothing is measured.
  std::span<uint64_t> nanoseconds(uint32_t entry);
  /// Where the bytes of weights that its commands read go; likewise.
  std::span<uint64_t> weightBytes(uint32_t entry);
  /// Adds what both hold after a run with `symbol` units.
  void record(uint32_t entry, uint32_t symbol);
  void reset();
  /// The kernels that ran, the slowest first.
  std::vector<KernelTime> kernels(const ProgramDesc &program) const;

private:
  struct EntryTimes {
    std::vector<uint64_t> nanoseconds, weightBytes; ///< of the last run, one for each command
    std::vector<uint64_t> allNanoseconds, allWeightBytes;
    uint64_t runs = 0, symbols = 0;
  };
  std::vector<EntryTimes> entries_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PROFILE_H
