//===- Profile.h - where the time of steps goes ------------------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_PROFILE_H
#define LLAMA4_RUNTIME_ENGINE_PROFILE_H

#include "runtime/format/ProgramDesc.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llama4 {

/// What a linear multiplies.
enum class MacKind : uint8_t { Int8 = 0, BFloat16 = 1, Float32 = 2 };
inline constexpr size_t macKinds = 3;
constexpr std::string_view macKindName(MacKind kind) {
  constexpr std::string_view names[macKinds] = {"int8", "bfloat16", "float32"};
  return names[static_cast<size_t>(kind)];
}
/// By the rows that go in and the encoding of the weights: 8-bit rows, or both bfloat16, or else
/// float32.
MacKind macKindOf(const Kernel &kernel);

/// Work that was done, counted.
struct Work {
  uint64_t weightBytes = 0; ///< read; of experts those that were chosen
  /// Keys and values read, those of a dispatch once, and written.
  uint64_t cacheBytes = 0;
  /// Rows of tensors read and written, as the kernels declare them.
  uint64_t activationBytes = 0;
  std::array<uint64_t, macKinds> macs{}; ///< multiply-adds of linears, by MacKind

  /// What has to come from memory.
  uint64_t streamedBytes() const { return weightBytes + cacheBytes; }
  uint64_t allMacs() const { return macs[0] + macs[1] + macs[2]; }
  Work &operator+=(const Work &other);
};

/// One kernel, or one command, in all the steps that were measured.
struct KernelTime {
  std::string symbol;
  uint32_t entry = 0, command = 0; ///< the first one that ran
  uint64_t nanoseconds = 0;
  uint64_t dispatches = 0;
  Work work; ///< of all dispatches
};

/// Tokens of one kind of layers in one step.
struct KvTokens {
  uint64_t read = 0, written = 0;
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
  /// Adds what both hold after a run with `symbol` units; `kv`: one for each kind of layers that
  /// the run touched, or empty.
  void record(uint32_t entry, uint32_t symbol, std::span<const KvTokens> kv = {});
  void reset();
  bool measures() const { return !entries_.empty(); }
  /// The commands that ran, in order.
  std::vector<KernelTime> commands(const ProgramDesc &program) const;
  /// The kernels that ran, the slowest first.
  std::vector<KernelTime> kernels(const ProgramDesc &program) const;
  /// Of all runs of all entries.
  Work work(const ProgramDesc &program) const;
  /// Runs of entries of `function`.
  uint64_t runs(const ProgramDesc &program, std::string_view function) const;

private:
  struct EntryTimes {
    std::vector<uint64_t> nanoseconds, weightBytes; ///< of the last run, one for each command
    std::vector<uint64_t> allNanoseconds, allWeightBytes;
    std::vector<KvTokens> kv; ///< one for each kind of layers
    uint64_t runs = 0, symbols = 0;
  };
  std::vector<EntryTimes> entries_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PROFILE_H
