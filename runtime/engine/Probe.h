//===- Probe.h - the limits of a machine, measured ---------------*- C++ -*-===//
//
// Machines differ and move: bandwidth is shared with others, clocks change. What a model reaches
// is therefore judged by what the same threads reach a moment before and a moment after, reading
// memory and multiplying in registers. Nothing here is a number from a data sheet.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_PROBE_H
#define LLAMA4_RUNTIME_ENGINE_PROBE_H

#include "runtime/device/Device.h"
#include "runtime/device/cpu/ProbeKernels.h"
#include "runtime/engine/Profile.h"

#include <array>
#include <memory>

namespace llama4 {

/// What was measured at one moment.
struct Limits {
  double readBytes = 0;                ///< a second, all threads together
  std::array<double, macKinds> macs{}; ///< a second, by MacKind
};

/// The mean of two.
Limits between(const Limits &before, const Limits &after);

class Probe {
public:
  /// Memory well beyond the caches, in huge pages where the system gives them, and kernels of
  /// `level`. `kinds`: of which multiplications the peak is wanted. `device` must outlive the
  /// probe. Errors: OutOfMemory, Unavailable (a device without probes).
  static Result<std::unique_ptr<Probe>> create(Device &device, std::string_view level,
                                               const std::array<bool, macKinds> &kinds);

  /// The median of some reads of the whole memory (it moves by itself) and, for each kind, the best
  /// of some short loops (only others make it slower). Takes some 0.1 s.
  Result<Limits> measure();

  /// Bytes that a read goes through, and how many of them lie in huge pages.
  uint64_t bytes() const { return bytes_; }
  uint64_t hugeBytes() const { return hugeBytes_; }
  std::string_view instruction(MacKind kind) const {
    return macs_[static_cast<size_t>(kind)].instruction;
  }

private:
  explicit Probe(Device &device) : device_(device) {}
  Result<double> run(l4_kernel kernel, void *memory, int64_t constant);

  Device &device_;
  std::unique_ptr<DeviceBuffer> memory_, sinks_;
  MemoryProbe read_ = {};
  std::array<MacProbe, macKinds> macs_ = {};
  std::array<bool, macKinds> wanted_ = {};
  uint64_t bytes_ = 0, tileBytes_ = 0, hugeBytes_ = 0;
};

/// Processors that were kept busy, on average over a time; -1 where the system does not say.
struct ProcessorUse {
  double own = -1;    ///< by this process; below its threads where others took them away
  double others = -1; ///< by all other processes
};

/// Measures from when it is made.
class ProcessorClock {
public:
  ProcessorClock();
  ProcessorUse use() const;

private:
  double machine_, own_, seconds_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_PROBE_H
