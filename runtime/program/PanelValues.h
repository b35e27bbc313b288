//===- PanelValues.h - the numbers in packed weights -------------*- C++ -*-===//
//
// For looking at weights, never for computing with them: kernels read panels as they lie.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_PROGRAM_PANELVALUES_H
#define LLAMA4_RUNTIME_PROGRAM_PANELVALUES_H

#include "runtime/format/ProgramDesc.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llama4 {

/// True when panelValues() knows the encoding and shape of `weight`.
bool canDecode(const Weight &weight);

/// Replaces `values` by the numbers of panel `panel` of `weight`, whose packed bytes are `packed`:
/// [columns][16 rows], padding included; of a vector its columns.
void panelValues(const Weight &weight, std::span<const std::byte> packed, uint64_t panel,
                 std::vector<float> &values);

} // namespace llama4

#endif // LLAMA4_RUNTIME_PROGRAM_PANELVALUES_H
