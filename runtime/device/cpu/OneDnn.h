//===- OneDnn.h - linears computed by oneDNN ---------------------*- C++ -*-===//
//
// oneDNN 2 (libdnnl.so.2) is looked for when a program that names it is loaded; nothing of it is
// needed to build. Its blocked formats BA16a16b (float32) and BA16a16b2a (bfloat16) are the panels
// in which weights lie anyway, so it reads them where they are.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_DEVICE_CPU_ONEDNN_H
#define LLAMA4_RUNTIME_DEVICE_CPU_ONEDNN_H

#include "runtime/device/Device.h"

namespace llama4 {

/// Prepares the calls of `linear` for each of `workers` threads. Errors: Unavailable (there is no
/// oneDNN 2 here, or it cannot multiply such rows on this processor).
Result<std::unique_ptr<LibraryKernel>> createOneDnnKernel(const LibraryLinear &linear,
                                                          unsigned workers);

} // namespace llama4

#endif // LLAMA4_RUNTIME_DEVICE_CPU_ONEDNN_H
