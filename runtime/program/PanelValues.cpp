//===- PanelValues.cpp - the numbers in packed weights --------------------===//
//
// Panels of 16 rows, as the compiler packs them:
//   float32   float [columns][16]
//   bfloat16  uint16 [ceil(columns / 2)][16][2]
//   q8_0      per two blocks: d float16 [2][16] | uint8 q + 128 [2][8][16][4], element (g, row, j)
//             is column 4g + j; the last pair may lack its second block
//   q4_1      per block: uint8 [4][16][4] | d float16 [16] | m float16 [16], byte (g, row, j) holds
//             column 4g + j in its low and column 16 + 4g + j in its high half
//
//===----------------------------------------------------------------------===//

#include "runtime/program/PanelValues.h"

#include "runtime/format/Half.h"
#include "runtime/program/MadeUpWeights.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace llama4 {

namespace {

constexpr uint64_t panelRows = 16, block = 32;

uint16_t load16(const std::byte *from) {
  uint16_t value = 0;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

float halfAt(const std::byte *from, uint64_t index) {
  return halfToFloat(load16(from + 2 * index));
}

void decodeBFloat16(const std::byte *from, uint64_t columns, std::vector<float> &values) {
  for (uint64_t k = 0; k < columns; ++k)
    for (uint64_t row = 0; row < panelRows; ++row) {
      const uint32_t bits = load16(from + ((k / 2 * panelRows + row) * 2 + k % 2) * 2);
      values[k * panelRows + row] = std::bit_cast<float>(bits << 16);
    }
}

void decodeQ8(const std::byte *from, uint64_t columns, std::vector<float> &values) {
  constexpr uint64_t scales = 2 * 2 * panelRows, quants = block * panelRows;
  for (uint64_t b = 0; b < columns / block; ++b) {
    const std::byte *pair = from + b / 2 * (scales + 2 * quants);
    const std::byte *q = pair + scales + b % 2 * quants;
    for (uint64_t k = 0; k < block; ++k)
      for (uint64_t row = 0; row < panelRows; ++row) {
        const int stored = static_cast<int>(q[(k / 4 * panelRows + row) * 4 + k % 4]);
        values[(b * block + k) * panelRows + row] =
            halfAt(pair, b % 2 * panelRows + row) * static_cast<float>(stored - 128);
      }
  }
}

void decodeQ4(const std::byte *from, uint64_t columns, std::vector<float> &values) {
  constexpr uint64_t quants = block / 2 * panelRows, bytes = quants + 4 * panelRows;
  for (uint64_t b = 0; b < columns / block; ++b) {
    const std::byte *start = from + b * bytes, *scale = start + quants;
    for (uint64_t k = 0; k < block; ++k)
      for (uint64_t row = 0; row < panelRows; ++row) {
        const uint64_t half = k % 16;
        const auto both = static_cast<unsigned>(start[(half / 4 * panelRows + row) * 4 + half % 4]);
        values[(b * block + k) * panelRows + row] =
            halfAt(scale, row) * static_cast<float>(k < 16 ? both & 15 : both >> 4) +
            halfAt(scale, panelRows + row);
      }
  }
}

bool isVector(const Weight &weight) { return panelCount(weight) == 1 && weight.rows == 1; }

/// Bytes that the decoder of the weight's encoding reads of one panel; 0: there is none.
uint64_t bytesRead(const Weight &weight) {
  const uint64_t columns = weight.columns;
  if (weight.encoding == "float32")
    return columns * sizeof(float) * (isVector(weight) ? 1 : panelRows);
  if (weight.encoding == "bfloat16")
    return (columns + 1) / 2 * 4 * panelRows;
  if (columns % block != 0)
    return 0;
  if (weight.encoding == "q8_0") // the scales of a lone block have room for two
    return ((columns / block + 1) / 2 * 4 + columns) * panelRows;
  return weight.encoding == "q4_1" ? columns / block * 20 * panelRows : 0;
}

} // namespace

bool canDecode(const Weight &weight) {
  const uint64_t panels = panelCount(weight), bytes = bytesRead(weight);
  return bytes != 0 && panels != 0 && weight.bytes % panels == 0 && bytes <= weight.bytes / panels;
}

void panelValues(const Weight &weight, std::span<const std::byte> packed, uint64_t panel,
                 std::vector<float> &values) {
  const std::byte *from = packed.data() + panel * (packed.size() / panelCount(weight));
  values.assign(weight.columns * (isVector(weight) ? 1 : panelRows), 0);
  if (weight.encoding == "float32")
    std::memcpy(values.data(), from, values.size() * sizeof(float));
  else if (weight.encoding == "bfloat16")
    decodeBFloat16(from, weight.columns, values);
  else if (weight.encoding == "q8_0")
    decodeQ8(from, weight.columns, values);
  else
    decodeQ4(from, weight.columns, values);
}

} // namespace llama4
