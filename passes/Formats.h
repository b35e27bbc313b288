//===- Formats.h - IR types and the formats of the other rooms --*- C++ -*-===//
//
// The one place where an element type of the IR meets the encodings of the micro-kernels.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_FORMATS_H
#define LLAMA4_PASSES_FORMATS_H

#include "compiler/microkernels/Microkernels.h"
#include "dialects/lm/Lm.h"
#include "runtime/format/Rows.h"

#include <optional>

namespace llama4 {

/// How a weight with such elements is encoded; nothing for a type that is no weight format.
std::optional<microkernels::Encoding> getEncoding(mlir::Type element);

/// What a row of activations with such elements consists of.
std::optional<microkernels::Activation> getActivation(mlir::Type element);

std::optional<microkernels::KvType> getKvType(mlir::Type element);

/// The core that multiplies rows of `activation` with panels of `weight`, or null.
const microkernels::LinearCore *findLinearCore(mlir::Type activation, mlir::Type weight);

/// The element type of rows with such elements; nothing for a type that no row can hold.
std::optional<ElementType> getElementType(mlir::Type element);

/// Columns of a tensor of rows as runtime/format/Rows.h counts them: 0 for a vector.
uint32_t getRowColumns(mlir::RankedTensorType type);

/// Bytes from one row of a tensor to the next (runtime/format/Rows.h); nothing for a tensor that is
/// no plain rows, such as a weight with a layout.
std::optional<uint64_t> getRowBytes(mlir::RankedTensorType type);

/// Checks that `op`, a linear or look-up, reads its weights in panels: rows of another layout have
/// their elements elsewhere. True for every other op.
mlir::LogicalResult verifyWeights(mlir::Operation *op);

} // namespace llama4

#endif // LLAMA4_PASSES_FORMATS_H
