//===- Device.h - what every kind of machine must be able to do --*- C++ -*-===//
//
// A device allocates memory, loads the code of a program, and runs lists of dispatches in order.
// It knows neither files nor tokens. The conformance tests (test/runtime/DeviceConformance.h) say
// precisely what is expected of an implementation.
//
// One thread at a time uses a device.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_DEVICE_DEVICE_H
#define LLAMA4_RUNTIME_DEVICE_DEVICE_H

#include "runtime/base/Status.h"
#include "runtime/format/KernelAbi.h"
#include "runtime/format/LibraryCall.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

/// Device memory, freed with the object. Zero when fresh; starts at a multiple of 4096.
class DeviceBuffer {
public:
  virtual ~DeviceBuffer() = default;
  /// The address that kernels see.
  virtual void *data() const = 0;
  virtual uint64_t bytes() const = 0;
  /// Takes the memory of a range from the system, so that whoever touches it first need not wait;
  /// what is in it stays. Any thread may call it at any time, also while dispatches use the buffer.
  /// False where that is not possible, or not needed.
  virtual bool back(uint64_t /*offset*/, uint64_t /*bytes*/) { return false; }
};

/// One code object of a program, as found in the file.
struct CodeView {
  std::string_view target, level;
  std::span<const std::string> features; ///< all must be present
  std::span<const std::byte> bytes;
};

/// Loaded code. Kernels resolved from it live as long as it does.
class CodeModule {
public:
  virtual ~CodeModule() = default;
  /// The level that was chosen.
  virtual std::string_view level() const = 0;
  /// Address or handle of a kernel. Errors: InvalidInput (no such symbol).
  virtual Result<void *> resolve(const std::string &symbol) const = 0;
};

/// A kernel that a library computes, ready to be called.
class LibraryKernel {
public:
  virtual ~LibraryKernel() = default;
  /// Computes tiles as an l4_kernel does, on worker `worker` of the device; several workers may be
  /// in it at once. False when the library failed.
  virtual bool run(const l4_dispatch &dispatch, uint32_t begin, uint32_t end,
                   unsigned worker) const = 0;
};

/// One kernel launch, ready to run. Plain data; what it points to is kept by the submitter.
struct Dispatch {
  void *kernel = nullptr;                 ///< from CodeModule::resolve
  l4_dispatch args = {};                  ///< with tiles = 0: nothing to do
  const LibraryKernel *library = nullptr; ///< instead of `kernel`
};

class Device {
public:
  virtual ~Device() = default;
  /// "cpu"
  virtual std::string_view target() const = 0;
  /// One line for logs: level, threads.
  virtual std::string describe() const = 0;

  /// Memory for arenas, step buffers and KV pools, all zero. Errors: OutOfMemory.
  virtual Result<std::unique_ptr<DeviceBuffer>> allocate(uint64_t bytes) = 0;
  /// Makes read-only host bytes visible to kernels, in place where the device can read them there;
  /// they must outlive the buffer.
  virtual Result<std::unique_ptr<DeviceBuffer>> import(std::span<const std::byte> bytes) = 0;
  /// Copies host bytes to and from device memory, before or after anything submitted. The range
  /// lies inside the buffer.
  virtual Status write(DeviceBuffer &buffer, uint64_t offset, std::span<const std::byte> from) = 0;
  virtual Status read(const DeviceBuffer &buffer, uint64_t offset, std::span<std::byte> to) = 0;
  /// Loads the best of `objects` that this machine can run. Errors: Unavailable (none can).
  virtual Result<std::unique_ptr<CodeModule>> loadCode(std::span<const CodeView> objects) = 0;
  /// Prepares the calls of a library. Errors: Unavailable (it is not installed, or cannot do this
  /// here).
  virtual Result<std::unique_ptr<LibraryKernel>> loadLibraryKernel(const LibraryLinear &) {
    return Status::error(StatusKind::Unavailable,
                         "found a program that calls a library, expected one without on this "
                         "device; compile the model without --library.");
  }
  /// Makes sure that each worker has so much private scratch memory. Errors: OutOfMemory.
  virtual Status reserveScratch(uint64_t bytes) = 0;

  /// Starts the dispatches, each after the one before has ended. `list` and what it points to must
  /// stay as they are until wait() returns. `nanoseconds` is empty or as long as the list, and
  /// receives the duration of every dispatch. Allocates nothing.
  virtual Status submit(std::span<const Dispatch> list, std::span<uint64_t> nanoseconds) = 0;
  /// Returns when everything submitted has ended.
  virtual Status wait() = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_DEVICE_H
