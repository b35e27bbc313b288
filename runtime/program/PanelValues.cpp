//===- PanelValues.cpp - the numbers in packed weights --------------------===//
//
// Panels of 16 rows, as the compiler packs them:
//   float32   float [columns][16]
//   bfloat16  uint16 [ceil(columns / 2)][16][2]
//   q8_0, q5_0, q4_0  per two blocks: d float16 [2][16] | two bodies; the last pair may lack its
//             second one
//     q8_0    uint8 q + 128 [8][16][4], element (g, row, j) is column 4g + j
//     q5_0    uint32 [16], bit 8j + g of which is the fifth bit of column 4g + j of q + 16 |
//     nibbles q4_0    nibbles of q + 8
//   q4_1      per block: nibbles | d float16 [16] | m float16 [16]
//   q4_k      per superblock of 256: d float16 [16] | dmin float16 [16] | uint8 [8][16], the scale
//   of
//             part p below and the top two bits of its minimum above | uint8 [4][16], the other
//             bits of the minima of parts 2i and 2i + 1 | nibbles of each part
//   q6_k      per two superblocks: d float16 [2][16] | two bodies of four times 64 columns:
//             int8 scales [4][16] | four parts of 16 columns: uint8 [16][4], bits 2p and 2p + 1 of
//             byte (row, j) are the high ones of q + 32 of column 4p + j | uint8 [2][16][4], byte
//             (i, row, j) holds the low bits of column 8i + j and above them of column 8i + 4 + j
//   int4_g128 per up to eight groups of 128: d float16 [8][16] | zero points uint8 [4][16], that of
//             group 2i in the low half of byte (i, row) and that of 2i + 1 in its high half | for
//             each group the nibbles of four times 32 columns
// Nibbles: uint8 [4][16][4], byte (g, row, j) holds column 4g + j of 32 in its low and column
// 16 + 4g + j in its high half.
//
//===----------------------------------------------------------------------===//

#include "runtime/program/PanelValues.h"

#include "runtime/format/Half.h"
#include "runtime/program/MadeUpWeights.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

namespace llama4 {

namespace {

constexpr uint64_t panelRows = 16, block = 32, super = 256;

unsigned byteAt(const std::byte *from, uint64_t index) {
  return static_cast<unsigned>(from[index]);
}

template <typename Number> Number load(const std::byte *from, uint64_t index) {
  Number value;
  std::memcpy(&value, from + sizeof(value) * index, sizeof(value));
  return value;
}

float halfAt(const std::byte *from, uint64_t index) {
  return halfToFloat(load<uint16_t>(from, index));
}

/// Column `k` of 32.
int nibbleAt(const std::byte *nibbles, uint64_t k, uint64_t row) {
  const unsigned both = byteAt(nibbles, (k % 16 / 4 * panelRows + row) * 4 + k % 4);
  return static_cast<int>(k < 16 ? both & 15 : both >> 4);
}

/// Where block `b` of those lies that share a pair of scales.
struct Paired {
  const std::byte *scales, *body;
  Paired(const std::byte *panel, uint64_t b, uint64_t bodyBytes) {
    const std::byte *pair = panel + b / 2 * (4 * panelRows + 2 * bodyBytes);
    scales = pair + b % 2 * 2 * panelRows;
    body = pair + 4 * panelRows + b % 2 * bodyBytes;
  }
};
constexpr uint64_t bodyQ8_0 = 512, bodyQ5_0 = 320, bodyQ4_0 = 256, bodyQ6_K = 3328;

float atFloat32(const std::byte *panel, uint64_t k, uint64_t row) {
  return load<float>(panel, k * panelRows + row);
}

float atBFloat16(const std::byte *panel, uint64_t k, uint64_t row) {
  const uint32_t bits = load<uint16_t>(panel, (k / 2 * panelRows + row) * 2 + k % 2);
  return std::bit_cast<float>(bits << 16);
}

float atQ8_0(const std::byte *panel, uint64_t k, uint64_t row) {
  const Paired at(panel, k / block, bodyQ8_0);
  const auto stored = static_cast<int>(byteAt(at.body, (k % 32 / 4 * panelRows + row) * 4 + k % 4));
  return halfAt(at.scales, row) * static_cast<float>(stored - 128);
}

float atQ5_0(const std::byte *panel, uint64_t k, uint64_t row) {
  const Paired at(panel, k / block, bodyQ5_0);
  const uint64_t column = k % block;
  const uint32_t high = load<uint32_t>(at.body, row) >> (column % 4 * 8 + column / 4) & 1;
  const int low = nibbleAt(at.body + 4 * panelRows, column, row);
  return halfAt(at.scales, row) * static_cast<float>((low | static_cast<int>(high) << 4) - 16);
}

float atQ4_0(const std::byte *panel, uint64_t k, uint64_t row) {
  const Paired at(panel, k / block, bodyQ4_0);
  return halfAt(at.scales, row) * static_cast<float>(nibbleAt(at.body, k % block, row) - 8);
}

float atQ4_1(const std::byte *panel, uint64_t k, uint64_t row) {
  const std::byte *start = panel + k / block * 20 * panelRows, *scales = start + 16 * panelRows;
  const float scaled = halfAt(scales, row) * static_cast<float>(nibbleAt(start, k % block, row));
  return scaled + halfAt(scales, panelRows + row);
}

float atQ4_K(const std::byte *panel, uint64_t k, uint64_t row) {
  const std::byte *start = panel + k / super * 144 * panelRows;
  const uint64_t part = k % super / block;
  const unsigned both = byteAt(start, (4 + part) * panelRows + row);
  const unsigned low = byteAt(start, (12 + part / 2) * panelRows + row) >> (part % 2 * 4) & 15;
  const float d = halfAt(start, row) * static_cast<float>(both & 63);
  const float m = halfAt(start, panelRows + row) * static_cast<float>(low | both >> 6 << 4);
  const float scaled =
      d * static_cast<float>(nibbleAt(start + (16 + part * 16) * panelRows, k % block, row));
  return scaled - m;
}

float atQ6_K(const std::byte *panel, uint64_t k, uint64_t row) {
  const Paired at(panel, k / super, bodyQ6_K);
  const uint64_t part = k % 64 / 16, column = k % 16;
  const std::byte *unit = at.body + k % super / 64 * 52 * panelRows;
  const std::byte *quants = unit + (4 + part * 12) * panelRows + row * 4 + column % 4;
  const unsigned high = byteAt(quants, 0) >> (column / 4 * 2) & 3;
  const unsigned low =
      byteAt(quants, (4 + column / 8 * 4) * panelRows) >> (column / 4 % 2 * 4) & 15;
  const float scale = static_cast<float>(load<int8_t>(unit, part * panelRows + row));
  return halfAt(at.scales, row) * scale *
         static_cast<float>(static_cast<int>(low | high << 4) - 32);
}

constexpr uint64_t groupColumns = 128, unitGroups = 8, bodyInt4_G128 = 64;
/// Bytes of a row's scales and zero points of eight groups.
constexpr uint64_t headInt4_G128 = unitGroups * 2 + unitGroups / 2;

float atInt4_G128(const std::byte *panel, uint64_t k, uint64_t row) {
  const uint64_t group = k / groupColumns, place = group % unitGroups;
  const std::byte *head =
      panel + group / unitGroups * (headInt4_G128 + unitGroups * bodyInt4_G128) * panelRows;
  const std::byte *body = head + (headInt4_G128 + place * bodyInt4_G128) * panelRows;
  const unsigned pair = byteAt(head, (unitGroups * 2 + place / 2) * panelRows + row);
  const int zeroPoint = static_cast<int>(pair >> (place % 2 * 4) & 15);
  const int quant = nibbleAt(body + k % groupColumns / block * 16 * panelRows, k % block, row);
  return halfAt(head, place * panelRows + row) * static_cast<float>(quant - zeroPoint);
}

/// What is known of an encoding: its blocks, how many of them share scales that lie before them,
/// for how many bytes of a row each block and each such unit begun counts, and the number at
/// (column, row) of a panel.
struct Decoder {
  std::string_view name;
  uint64_t columns, bytes, unit, unitBytes;
  float (*at)(const std::byte *panel, uint64_t k, uint64_t row);
};

constexpr Decoder decoders[] = {
    {"float32", 1, 4, 1, 0, atFloat32},
    {"bfloat16", 2, 4, 1, 0, atBFloat16},
    {"q8_0", block, 32, 2, 4, atQ8_0},
    {"q6_k", super, 208, 2, 4, atQ6_K},
    {"q5_0", block, 20, 2, 4, atQ5_0},
    {"q4_k", super, 144, 1, 0, atQ4_K},
    {"q4_1", block, 20, 1, 0, atQ4_1},
    {"q4_0", block, 16, 2, 4, atQ4_0},
    {"int4_g128", groupColumns, bodyInt4_G128, unitGroups, headInt4_G128, atInt4_G128},
};

const Decoder *decoderOf(const Weight &weight) {
  const auto *found =
      std::find_if(std::begin(decoders), std::end(decoders),
                   [&](const Decoder &decoder) { return decoder.name == weight.encoding; });
  return found == std::end(decoders) ? nullptr : found;
}

/// A vector lies without the other 15 rows of a panel.
bool isVector(const Weight &weight) {
  return weight.encoding == "float32" && weight.rows == 1 && weight.matrices == 1 &&
         weight.bytes / panelRows < weight.columns * sizeof(float);
}

/// Bytes of one panel that are read; 0: its columns are no whole blocks.
uint64_t bytesRead(const Weight &weight, const Decoder &decoder) {
  if (isVector(weight))
    return weight.columns * sizeof(float);
  // bfloat16 stores pairs of columns; the second of the last pair may be padding.
  const uint64_t columns =
      weight.columns + (weight.encoding == "bfloat16" ? weight.columns % 2 : 0);
  if (columns % decoder.columns != 0)
    return 0;
  const uint64_t blocks = columns / decoder.columns;
  const uint64_t units = blocks / decoder.unit + (blocks % decoder.unit != 0);
  return (blocks * decoder.bytes + units * decoder.unitBytes) * panelRows;
}

} // namespace

bool canDecode(const Weight &weight) {
  const Decoder *decoder = decoderOf(weight);
  if (!decoder || weight.columns > weight.bytes) // a column of 16 rows takes nine bytes or more
    return false;
  const uint64_t panels = panelCount(weight);
  if (panels == 0 || weight.bytes % panels != 0)
    return false;
  const uint64_t bytes = bytesRead(weight, *decoder);
  return bytes != 0 && bytes <= weight.bytes / panels;
}

void panelValues(const Weight &weight, std::span<const std::byte> packed, uint64_t panel,
                 std::vector<float> &values) {
  const std::byte *from = packed.data() + panel * (packed.size() / panelCount(weight));
  if (isVector(weight)) {
    values.resize(weight.columns);
    std::memcpy(values.data(), from, values.size() * sizeof(float));
    return;
  }
  const auto at = decoderOf(weight)->at;
  values.resize(weight.columns * panelRows);
  for (uint64_t k = 0; k < weight.columns; ++k)
    for (uint64_t row = 0; row < panelRows; ++row)
      values[k * panelRows + row] = at(from, k, row);
}

} // namespace llama4
