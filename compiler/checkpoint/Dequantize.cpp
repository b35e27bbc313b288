//===- Dequantize.cpp - stored rows to float32 ----------------------------===//
//
// One function per block type: from the bytes of a block to its elements. d and m are the scale and
// the offset of a block; sub-block scales of the K types are d and m times small integers. The file
// is compiled with -ffp-contract=off.
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Dequantize.h"

#include "runtime/base/Checked.h"
#include "runtime/format/Half.h"
#include "runtime/format/Quoted.h"

#include <cstring>

namespace llama4 {
namespace {

float half(const uint8_t *bytes) {
  uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return halfToFloat(bits);
}

uint32_t word(const uint8_t *bytes) {
  uint32_t bits = 0;
  std::memcpy(&bits, bytes, sizeof(bits));
  return bits;
}

/// f16 d | 16 bytes: low nibbles are elements 0..15, high nibbles 16..31. x = d * (q - 8).
void decodeQ4_0(const uint8_t *block, float *out) {
  const float d = half(block);
  for (int i = 0; i < 16; ++i) {
    const int q = block[2 + i];
    out[i] = d * static_cast<float>((q & 15) - 8);
    out[i + 16] = d * static_cast<float>((q >> 4) - 8);
  }
}

/// f16 d | f16 m | nibbles as in Q4_0. x = d * q + m.
void decodeQ4_1(const uint8_t *block, float *out) {
  const float d = half(block), m = half(block + 2);
  for (int i = 0; i < 16; ++i) {
    const int q = block[4 + i];
    out[i] = d * static_cast<float>(q & 15) + m;
    out[i + 16] = d * static_cast<float>(q >> 4) + m;
  }
}

/// Element `i` of 32 five-bit numbers: nibbles in `low` as in Q4_0, bit i of `high` on top.
int fiveBits(const uint8_t *low, uint32_t high, int i) {
  const int nibble = i < 16 ? low[i] & 15 : low[i - 16] >> 4;
  return nibble | static_cast<int>((high >> i) & 1) << 4;
}

/// f16 d | u32 high bits | nibbles. x = d * (q - 16).
void decodeQ5_0(const uint8_t *block, float *out) {
  const float d = half(block);
  const uint32_t high = word(block + 2);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(fiveBits(block + 6, high, i) - 16);
}

/// f16 d | f16 m | u32 high bits | nibbles. x = d * q + m.
void decodeQ5_1(const uint8_t *block, float *out) {
  const float d = half(block), m = half(block + 2);
  const uint32_t high = word(block + 4);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(fiveBits(block + 8, high, i)) + m;
}

/// f16 d | 32 signed bytes. x = d * q.
void decodeQ8_0(const uint8_t *block, float *out) {
  const float d = half(block);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

/// 16 bytes (scale low nibble, offset high nibble, one per 16 elements) | 64 bytes of 2-bit numbers
/// | f16 d | f16 m. Each half of 128 elements takes 32 bytes; its k-th 32 elements are bits 2k.
void decodeQ2_K(const uint8_t *block, float *out) {
  const uint8_t *quants = block + 16;
  const float d = half(block + 80), m = half(block + 82);
  for (int i = 0; i < 256; ++i) {
    const int scale = block[i / 16];
    const int q = (quants[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    const float dl = d * static_cast<float>(scale & 15), ml = m * static_cast<float>(scale >> 4);
    out[i] = dl * static_cast<float>(q) - ml;
  }
}

/// 32 bytes of third bits (clear means minus 4) | 64 bytes as in Q2_K | 12 bytes of 16 six-bit
/// scales (minus 32): low nibbles in bytes 0..7, their top two bits in bytes 8..11 | f16 d.
void decodeQ3_K(const uint8_t *block, float *out) {
  const uint8_t *quants = block + 32, *packed = block + 96;
  const float d = half(block + 108);
  float scales[16];
  for (int s = 0; s < 16; ++s) {
    const int low = s < 8 ? packed[s] & 15 : packed[s - 8] >> 4;
    const int high = (packed[8 + s % 4] >> (s / 4 * 2)) & 3;
    scales[s] = d * static_cast<float>((low | high << 4) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int low = (quants[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
    const int high = (block[i % 32] >> (i / 32)) & 1;
    out[i] = scales[i / 16] * static_cast<float>(low - (high ? 0 : 4));
  }
}

/// Scale and offset of the 8 sub-blocks of Q4_K and Q5_K, six bits each in 12 bytes: sub-blocks
/// 0..3 in the low bits of bytes 0..3 (scale) and 4..7 (offset), sub-blocks 4..7 as nibbles of
/// bytes 8..11 topped by the high bits of bytes 0..7.
void subScales(const uint8_t *packed, float d, float m, float (&scale)[8], float (&offset)[8]) {
  for (int s = 0; s < 4; ++s) {
    const int sc = packed[s], mn = packed[s + 4], both = packed[s + 8];
    scale[s] = d * static_cast<float>(sc & 63);
    offset[s] = m * static_cast<float>(mn & 63);
    scale[s + 4] = d * static_cast<float>((both & 15) | (sc >> 6) << 4);
    offset[s + 4] = m * static_cast<float>((both >> 4) | (mn >> 6) << 4);
  }
}

/// f16 d | f16 m | 12 bytes of scales | 128 bytes: each 32 hold 32 low nibbles, then 32 high ones.
void decodeQ4_K(const uint8_t *block, float *out) {
  float scale[8], offset[8];
  subScales(block + 4, half(block), half(block + 2), scale, offset);
  const uint8_t *quants = block + 16;
  for (int i = 0; i < 256; ++i) {
    const int q = (quants[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15;
    out[i] = scale[i / 32] * static_cast<float>(q) - offset[i / 32];
  }
}

/// As Q4_K with 32 bytes of fifth bits (bit k of byte j belongs to element 32k + j) before the
/// nibbles.
void decodeQ5_K(const uint8_t *block, float *out) {
  float scale[8], offset[8];
  subScales(block + 4, half(block), half(block + 2), scale, offset);
  const uint8_t *high = block + 16, *quants = block + 48;
  for (int i = 0; i < 256; ++i) {
    const int low = (quants[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15;
    const int q = low | ((high[i % 32] >> (i / 32)) & 1) << 4;
    out[i] = scale[i / 32] * static_cast<float>(q) - offset[i / 32];
  }
}

/// 128 bytes of low nibbles | 64 bytes of top bit pairs | 16 signed scales | f16 d. Each half of
/// 128 elements takes 64 + 32 bytes. x = d * scale * (q - 32).
void decodeQ6_K(const uint8_t *block, float *out) {
  const uint8_t *pairs = block + 128, *scales = block + 192;
  const float d = half(block + 208);
  for (int i = 0; i < 256; ++i) {
    const int part = i / 128, within = i % 128;
    const int low = (block[part * 64 + within % 64] >> (within / 64 * 4)) & 15;
    const int high = (pairs[part * 32 + within % 32] >> (within / 32 * 2)) & 3;
    const float dl = d * static_cast<float>(static_cast<int8_t>(scales[i / 16]));
    out[i] = dl * static_cast<float>((low | high << 4) - 32);
  }
}

void decodeF32(const uint8_t *bytes, float *out) { std::memcpy(out, bytes, sizeof(float)); }

/// f16 d | u8 z | four times 16 bytes of nibbles as in Q4_0, of 32 elements each. x = d * (q - z).
void decodeInt4_G128(const uint8_t *block, float *out) {
  const float d = half(block);
  const int zeroPoint = block[2];
  for (int i = 0; i < 64; ++i) {
    const int q = block[3 + i];
    float *to = out + i / 16 * 32 + i % 16;
    to[0] = d * static_cast<float>((q & 15) - zeroPoint);
    to[16] = d * static_cast<float>((q >> 4) - zeroPoint);
  }
}

void decodeF8E4M3(const uint8_t *bytes, float *out) { *out = float8E4M3ToFloat(*bytes); }

/// Decodes all blocks with one function, which is inlined.
template <void (*Decode)(const uint8_t *, float *)>
void decodeAll(const DTypeInfo &type, const uint8_t *bytes, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += type.blockElements, bytes += type.blockBytes)
    Decode(bytes, out.data() + i);
}

/// The same for single numbers of 16 bits, in vectors.
template <float (*Widen)(uint16_t)>
void widenAll(const DTypeInfo &, const uint8_t *bytes, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, bytes + 2 * i, sizeof(bits));
    out[i] = Widen(bits);
  }
}

using Decoder = void (*)(const DTypeInfo &, const uint8_t *, std::span<float>);

Decoder decoderOf(DType dtype) {
  switch (dtype) {
  case DType::F32:
    return decodeAll<decodeF32>;
  case DType::F16:
    return widenAll<halfToFloat>;
  case DType::BF16:
    return widenAll<bfloat16ToFloat>;
  case DType::F8E4M3:
    return decodeAll<decodeF8E4M3>;
  case DType::Q4_0:
    return decodeAll<decodeQ4_0>;
  case DType::Q4_1:
    return decodeAll<decodeQ4_1>;
  case DType::Q5_0:
    return decodeAll<decodeQ5_0>;
  case DType::Q5_1:
    return decodeAll<decodeQ5_1>;
  case DType::Q8_0:
    return decodeAll<decodeQ8_0>;
  case DType::Q2_K:
    return decodeAll<decodeQ2_K>;
  case DType::Q3_K:
    return decodeAll<decodeQ3_K>;
  case DType::Q4_K:
    return decodeAll<decodeQ4_K>;
  case DType::Q5_K:
    return decodeAll<decodeQ5_K>;
  case DType::Q6_K:
    return decodeAll<decodeQ6_K>;
  case DType::Int4_G128:
    return decodeAll<decodeInt4_G128>;
  default:
    return nullptr;
  }
}

} // namespace

bool canDequantize(DType dtype) { return decoderOf(dtype) != nullptr; }

Status dequantize(DType dtype, std::span<const std::byte> bytes, std::span<float> out) {
  Decoder decoder = decoderOf(dtype);
  if (!decoder)
    return Status::invalidInput("found type " + std::string(dtypeName(dtype)) +
                                ", expected a float or block type; convert the tensor.");
  std::optional<uint64_t> wanted = rowBytes(dtype, out.size());
  if (!wanted || *wanted != bytes.size())
    return Status::invalidInput("found " + std::to_string(bytes.size()) + " bytes for " +
                                std::to_string(out.size()) + " elements of type " +
                                std::string(dtypeName(dtype)) +
                                ", expected whole blocks; check the shape.");
  decoder(dtypeInfo(dtype), reinterpret_cast<const uint8_t *>(bytes.data()), out);
  return {};
}

Status dequantizeRows(const SourceTensor &tensor, uint64_t firstRow, uint64_t rows,
                      std::span<float> out) {
  const std::string where = "tensor " + quoteName(tensor.name);
  const uint64_t width = tensor.rowElements();
  std::optional<uint64_t> stride = rowBytes(tensor.dtype, width);
  std::optional<uint64_t> begin = stride ? checkedMul(firstRow, *stride) : std::nullopt;
  std::optional<uint64_t> length = stride ? checkedMul(rows, *stride) : std::nullopt;
  std::optional<uint64_t> elements = checkedMul(rows, width);
  if (!begin || !length || !rangeInside(*begin, *length, tensor.bytes.size()) ||
      elements != out.size())
    return Status::invalidInput(where + ": found " + std::to_string(rows) + " rows from row " +
                                std::to_string(firstRow) + " for " + std::to_string(out.size()) +
                                " floats, expected rows inside the shape " +
                                shapeText(tensor.shape) + "; check the shape.");
  return dequantize(tensor.dtype, tensor.bytes.subspan(*begin, *length), out).in(where);
}

} // namespace llama4
