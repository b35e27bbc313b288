//===- PackRounding.h - block formats as the packer makes them --*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H
#define LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H

#include "compiler/reference/ParamSource.h"

namespace llama4::reference {

/// Rounds a row (a multiple of 32 long) as the packer's quantizers do: to q8_0 or q4_1 and back.
BlockRounding packRounding();

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H
