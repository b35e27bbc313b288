//===- Pixels.cpp - from 8-bit tiles to what a vision tower reads ---------===//

#include "runtime/image/Pixels.h"

#include "runtime/format/Half.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace llama4::image {

/// `value`, finite, with the nearest bfloat16 (ties to even).
static float roundToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return bfloat16ToFloat(static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
}

PixelTable makePixelTable(const Normalization &normalization) {
  PixelTable table;
  for (size_t c = 0; c < 3; ++c) {
    const auto mean = static_cast<float>(normalization.mean[c]);
    const auto deviation = static_cast<float>(normalization.deviation[c]);
    const auto rescale = static_cast<float>(normalization.rescale);
    const auto inverse = static_cast<float>(1.0 / normalization.rescale);
    for (size_t i = 0; i < 256; ++i) {
      const auto value = static_cast<float>(i);
      if (!normalization.bfloat16) {
        table[c][i] = (value - mean * inverse) / (deviation * inverse);
        continue;
      }
      const float centered =
          roundToBfloat16(roundToBfloat16(value * rescale) - roundToBfloat16(mean));
      table[c][i] = roundToBfloat16(centered / roundToBfloat16(deviation));
    }
  }
  return table;
}

void normalizeTile(std::span<const uint8_t> tile, const PixelTable &table, std::span<float> to) {
  assert(tile.size() == to.size() && tile.size() % 3 == 0);
  const size_t plane = tile.size() / 3;
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = c * plane; i < (c + 1) * plane; ++i)
      to[i] = table[c][tile[i]];
}

std::vector<float> normalizeTiles(const Tiles &tiles, const PixelTable &table, uint32_t count) {
  std::vector<float> values(tiles.tileBytes() * std::max(count, tiles.count));
  for (uint32_t i = 0; i < tiles.count; ++i)
    normalizeTile(tiles.tile(i), table,
                  std::span(values).subspan(tiles.tileBytes() * i, tiles.tileBytes()));
  return values;
}

} // namespace llama4::image
