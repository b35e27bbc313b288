//===- CpuDevice.h - the host processor as a device --------------*- C++ -*-===//
//
// Kernels are functions of one shared object, loaded from memory; tiles are divided among a fixed
// set of threads, the submitting one included. submit() returns when the list has run.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_DEVICE_CPU_CPUDEVICE_H
#define LLAMA4_RUNTIME_DEVICE_CPU_CPUDEVICE_H

#include "runtime/base/ThreadPool.h"
#include "runtime/device/Device.h"

namespace llama4 {

struct CpuOptions {
  unsigned threads = 0; ///< 0: one for each processor this process may run on
  std::string level;    ///< run exactly this level; empty: the best the machine can
  Pinning pinning = Pinning::WholeMachine;
};

/// Errors: Usage (unknown level), Unavailable (this machine cannot run the level asked for).
Result<std::unique_ptr<Device>> createCpuDevice(const CpuOptions &options = {});

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_CPU_CPUDEVICE_H
