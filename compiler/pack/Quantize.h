//===- Quantize.h - float32 to the encodings of weights ----------*- C++ -*-===//
//
// Reference quantizers: the bytes that GGUF's own reference quantizers make, and conversions to the
// 16-bit floats. The widening direction is in runtime/format/Half.h.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_QUANTIZE_H
#define LLAMA4_COMPILER_PACK_QUANTIZE_H

#include "compiler/microkernels/Microkernels.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace llama4::pack {

/// float32 to bfloat16, round to nearest even; NaN stays NaN (quiet).
uint16_t floatToBFloat16(float value);

/// float32 to IEEE binary16, round to nearest even; too large becomes infinity.
uint16_t floatToHalf(float value);

/// One row (or several whole ones) as raw GGUF q8_0 blocks {d float16, int8[32]}. `values` is a
/// multiple of 32 long, `out` has 34 bytes for each 32 values. d = max|x| / 127, q = x / d rounded
/// half away from zero.
void quantizeQ8_0(std::span<const float> values, std::span<std::byte> out);

/// As raw GGUF q4_1 blocks {d float16, m float16, 16 bytes}, 20 bytes for each 32 values:
/// m = min, d = (max - min) / 15, q = floor((x - m) / d + 0.5), at most 15.
void quantizeQ4_1(std::span<const float> values, std::span<std::byte> out);

/// Any encoding: source bytes (sourceRowBytes of Layout.h) of `values`.
void encodeRow(microkernels::Encoding encoding, std::span<const float> values,
               std::span<std::byte> out);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_QUANTIZE_H
