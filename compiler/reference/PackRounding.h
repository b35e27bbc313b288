//===- PackRounding.h - block formats as the packer makes them --*- C++ -*-===//
#ifndef LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H
#define LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H

#include "compiler/reference/ParamSource.h"

namespace llama4::reference {

/// Rounds a row (whole blocks) as the packer's quantizers do: to a block format and back.
BlockRounding packRounding();

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_PACKROUNDING_H
