//===- Inspect.h - a checkpoint as text -------------------------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_INSPECT_H
#define LLAMA4_COMPILER_CHECKPOINT_INSPECT_H

#include "compiler/checkpoint/Checkpoint.h"

#include <string>

namespace llama4 {

/// What `llama4-compile --inspect` prints: files, configuration, the table of tensors, and totals
/// by type. Ends in a newline; names are shown without control characters.
std::string inspectCheckpoint(const Checkpoint &checkpoint);

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_INSPECT_H
