//===- Dequantize.h - stored rows to float32 --------------------*- C++ -*-===//
//
// What the bytes of each stored type mean. Every step is float32 after the 16-bit scales are
// widened, without fused multiply-add, so that results are bit-equal to the reference
// implementation of the GGUF types. Not a kernel: kernels read packed weights, this reads files.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_DEQUANTIZE_H
#define LLAMA4_COMPILER_CHECKPOINT_DEQUANTIZE_H

#include "compiler/checkpoint/SourceTensor.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <span>

namespace llama4 {

/// True for the types that dequantize() reads: F32, F16, BF16, F8E4M3 and all block types.
bool canDequantize(DType dtype);

/// Decodes whole blocks: `bytes` must be exactly what `out.size()` elements of `dtype` take.
/// Errors: InvalidInput for a type that is not a float or block type, or sizes that don't match.
Status dequantize(DType dtype, std::span<const std::byte> bytes, std::span<float> out);

/// Decodes rows [firstRow, firstRow + rows) of a tensor, a row being the innermost dimension and
/// all outer dimensions flattened; out.size() is rows * tensor.rowElements(). Errors as above,
/// naming the tensor.
Status dequantizeRows(const SourceTensor &tensor, uint64_t firstRow, uint64_t rows,
                      std::span<float> out);

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_DEQUANTIZE_H
