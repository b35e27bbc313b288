//===- DecodeProgram.h - from the flatbuffer to ProgramDesc ------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_PROGRAM_DECODEPROGRAM_H
#define LLAMA4_RUNTIME_PROGRAM_DECODEPROGRAM_H

#include "runtime/base/Status.h"
#include "runtime/format/ProgramDesc.h"

#include <cstddef>
#include <span>

namespace llama4 {

/// Verifies the flatbuffer and copies it out. Enumerators are known ones afterwards; nothing else
/// about the values is promised (CheckProgram.h does that). `bytes` start at a multiple of 8.
/// Errors: InvalidInput naming the field.
Result<ProgramDesc> decodeProgram(std::span<const std::byte> bytes);

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_DECODEPROGRAM_H
