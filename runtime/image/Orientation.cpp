//===- Orientation.cpp - the EXIF orientation, read and applied -----------===//

#include "runtime/image/Orientation.h"

#include "runtime/base/Checked.h"

#include <cassert>
#include <cstring>
#include <string_view>
#include <utility>

namespace llama4::image {

namespace {

/// Little- or big-endian numbers at checked places; 0 outside.
class TiffReader {
public:
  TiffReader(std::span<const std::byte> bytes, bool big) : bytes_(bytes), big_(big) {}

  uint32_t u16(uint64_t at) const { return number(at, 2); }
  uint32_t u32(uint64_t at) const { return number(at, 4); }

private:
  uint32_t number(uint64_t at, unsigned length) const {
    if (!rangeInside(at, length, bytes_.size()))
      return 0;
    uint32_t value = 0;
    for (unsigned i = 0; i < length; ++i)
      value = value << 8 | std::to_integer<uint32_t>(bytes_[at + (big_ ? i : length - 1 - i)]);
    return value;
  }

  std::span<const std::byte> bytes_;
  bool big_;
};

constexpr uint32_t orientationTag = 0x0112, shortType = 3;

} // namespace

int exifOrientation(std::span<const std::byte> exif) {
  if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0)
    exif = exif.subspan(6);
  if (exif.size() < 8)
    return 1;
  const bool big = std::memcmp(exif.data(), "MM\0*", 4) == 0;
  if (!big && std::memcmp(exif.data(), "II*\0", 4) != 0)
    return 1;
  const TiffReader tiff(exif, big);
  const uint64_t directory = tiff.u32(4);
  const uint32_t entries = tiff.u16(directory);
  for (uint64_t i = 0; i < entries; ++i) {
    const uint64_t entry = directory + 2 + 12 * i;
    if (!rangeInside(entry, 12, exif.size()))
      return 1;
    if (tiff.u16(entry) != orientationTag)
      continue;
    const uint32_t value = tiff.u16(entry + 8);
    const bool known = tiff.u16(entry + 2) == shortType && value >= 1 && value <= 8;
    return known ? static_cast<int>(value) : 1;
  }
  return 1;
}

void orient(const RgbImage &stored, int orientation, RgbImage &upright) {
  assert(orientation >= 1 && orientation <= 8);
  assert(stored.pixels.size() == upright.pixels.size());
  const bool swapped = orientation >= 5;
  const bool mirrorX = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirrorY = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const uint32_t w = stored.size.width, h = stored.size.height;
  upright.size = swapped ? ImageSize{h, w} : stored.size;
  for (uint32_t y = 0; y < upright.size.height; ++y) {
    uint8_t *to = upright.row(y);
    for (uint32_t x = 0; x < upright.size.width; ++x, to += 3) {
      const uint32_t column = swapped ? y : x, line = swapped ? x : y;
      const uint32_t fromX = mirrorX ? w - 1 - column : column;
      const uint32_t fromY = mirrorY ? h - 1 - line : line;
      std::memcpy(to, stored.row(fromY) + size_t{3} * fromX, 3);
    }
  }
}

} // namespace llama4::image
