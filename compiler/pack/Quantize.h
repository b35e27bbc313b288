//===- Quantize.h - float32 to the encodings of weights ----------*- C++ -*-===//
//
// Quantizers to GGUF's blocks and to groups of 128, and conversions to the 16-bit floats. The
// widening directions are in runtime/format/Half.h and compiler/checkpoint/Dequantize.h.
//
// What is minimized is the sum of the squared errors of a block, as it is decoded: with its scales
// in the precision they are stored in. q8_0 rounds to the nearest of 127 steps to the largest
// value, which are GGUF's own bytes; at eight bits there is nothing to gain. All others search
// (lanes/Search.h): they try steps somewhat larger and smaller than those that reach the largest
// value, fit the scale to each outcome by least squares, and keep the best. The error is never
// above that of GGUF's reference quantizers, of int4_g128 that of plain rounding, on the same rows
// (tools/dev/quantizer_cases.py).
//
// Values are expected to be finite and within float16. Others give some block, never a fault.
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

/// As raw GGUF q4_0 blocks {d float16, 16 bytes}: x = d * (q - 8); 18 bytes for each 32 values.
void quantizeQ4_0(std::span<const float> values, std::span<std::byte> out);

/// As raw GGUF q4_1 blocks {d float16, m float16, 16 bytes}: x = d * q + m; 20 bytes for each 32.
void quantizeQ4_1(std::span<const float> values, std::span<std::byte> out);

/// As raw GGUF q5_0 blocks {d float16, uint32, 16 bytes}: x = d * (q - 16); 22 bytes for each 32.
void quantizeQ5_0(std::span<const float> values, std::span<std::byte> out);

/// As raw GGUF q4_K superblocks: x = d * scale * q - dmin * minimum with a scale and a minimum of 6
/// bits for 32 values; 144 bytes for each 256 values.
void quantizeQ4_K(std::span<const float> values, std::span<std::byte> out);

/// As raw GGUF q6_K superblocks: x = d * scale * (q - 32) with an 8-bit scale for 16 values; 210
/// bytes for each 256 values.
void quantizeQ6_K(std::span<const float> values, std::span<std::byte> out);

/// As blocks {d float16, z uint8, 64 bytes}: x = d * (q - z) with q and z from 0 to 15; 67 bytes
/// for each 128 values. Where all values have one sign, z is 0 or 15.
void quantizeInt4_G128(std::span<const float> values, std::span<std::byte> out);

/// Any encoding: source bytes (sourceRowBytes of Layout.h) of `values`, whole blocks: of one row,
/// or of several, which takes less time.
void encodeRow(microkernels::Encoding encoding, std::span<const float> values,
               std::span<std::byte> out);

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_QUANTIZE_H
