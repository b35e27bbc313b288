//===- DecodeGif.cpp - the first frame of a GIF through giflib ------------===//

#include "runtime/image/Decoders.h"

#include <algorithm>
#include <cstring>
#include <gif_lib.h>
#include <memory>
#include <optional>

namespace llama4::image {

namespace {

/// The bytes that are not read yet.
struct Source {
  std::span<const std::byte> rest;
};

int readBytes(GifFileType *gif, GifByteType *out, int count) {
  auto &source = *static_cast<Source *>(gif->UserData);
  const size_t taken = std::min(source.rest.size(), static_cast<size_t>(std::max(count, 0)));
  if (taken)
    std::memcpy(out, source.rest.data(), taken);
  source.rest = source.rest.subspan(taken);
  return static_cast<int>(taken);
}

struct CloseGif {
  void operator()(GifFileType *gif) const { DGifCloseFile(gif, nullptr); }
};
using Gif = std::unique_ptr<GifFileType, CloseGif>;

Status failure(int code) {
  if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
    return Status::error(StatusKind::OutOfMemory, "found no memory to decode a GIF.");
  const bool cut = code == D_GIF_ERR_READ_FAILED || code == D_GIF_ERR_EOF_TOO_SOON;
  return cut ? cutOff("GIF") : damaged("GIF");
}

/// Reads up to the first frame; the transparent index that an extension before it names.
Result<std::optional<int>> findFrame(GifFileType *gif) {
  constexpr int transparentFlag = 1;
  std::optional<int> transparent;
  for (;;) {
    GifRecordType record = UNDEFINED_RECORD_TYPE;
    if (DGifGetRecordType(gif, &record) == GIF_ERROR)
      return failure(gif->Error);
    if (record == IMAGE_DESC_RECORD_TYPE)
      return transparent;
    if (record != EXTENSION_RECORD_TYPE)
      return damaged("GIF"); // it ends without a frame
    int code = 0;
    GifByteType *block = nullptr;
    if (DGifGetExtension(gif, &code, &block) == GIF_ERROR)
      return failure(gif->Error);
    if (code == GRAPHICS_EXT_FUNC_CODE && block && block[0] >= 4)
      transparent = block[1] & transparentFlag ? std::optional<int>(block[4]) : std::nullopt;
    while (block)
      if (DGifGetExtensionNext(gif, &block) == GIF_ERROR)
        return failure(gif->Error);
  }
}

/// Writes the colour of a palette's entry as RGBA; grey where there is no palette.
void putColour(const ColorMapObject *palette, int index, std::optional<int> transparent,
               uint8_t *pixel) {
  const auto grey = static_cast<uint8_t>(index);
  GifColorType colour = {grey, grey, grey};
  if (palette)
    colour = index < palette->ColorCount ? palette->Colors[index] : GifColorType{0, 0, 0};
  const uint8_t values[4] = {colour.Red, colour.Green, colour.Blue,
                             static_cast<uint8_t>(index == transparent ? 0 : 255)};
  std::copy(std::begin(values), std::end(values), pixel);
}

/// Line `i` of the file is line lineOf(i) of the picture.
uint32_t lineOf(uint32_t i, uint32_t height, bool interlaced) {
  if (!interlaced)
    return i;
  constexpr uint32_t firsts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
  for (unsigned pass = 0; pass < 4; ++pass) {
    const uint32_t lines =
        height > firsts[pass] ? (height - firsts[pass] + steps[pass] - 1) / steps[pass] : 0;
    if (i < lines)
      return firsts[pass] + i * steps[pass];
    i -= lines;
  }
  return 0; // not reached: the passes have all lines
}

Status decodeFrame(GifFileType *gif, std::optional<int> transparent, RgbImage &image) {
  const GifImageDesc &frame = gif->Image;
  const ColorMapObject *palette = frame.ColorMap ? frame.ColorMap : gif->SColorMap;
  const auto left = static_cast<uint32_t>(frame.Left), top = static_cast<uint32_t>(frame.Top);
  const auto width = static_cast<uint32_t>(frame.Width);
  const auto height = static_cast<uint32_t>(frame.Height);
  // What the frame doesn't cover is transparent, or the first colour.
  const int around = transparent.value_or(0);
  for (size_t at = 0; at < image.pixels.size(); at += 4)
    putColour(palette, around, transparent, image.pixels.data() + at);
  std::vector<GifPixelType> line(width);
  for (uint32_t i = 0; i < height; ++i) {
    if (DGifGetLine(gif, line.data(), frame.Width) == GIF_ERROR)
      return failure(gif->Error);
    const uint32_t y = top + lineOf(i, height, frame.Interlace);
    uint8_t *out = image.pixels.data() + (size_t{y} * image.size.width + left) * 4;
    for (GifPixelType index : line) {
      putColour(palette, index, transparent, out);
      out += 4;
    }
  }
  return {};
}

} // namespace

Result<StoredImage> decodeGif(std::span<const std::byte> bytes, const DecodeOptions &options) {
  Source source{bytes};
  int error = 0;
  const Gif gif(DGifOpen(&source, readBytes, &error));
  if (!gif)
    return failure(error);
  auto sizeOf = [](int value) { return static_cast<uint64_t>(std::max(value, 0)); };
  LLAMA4_RETURN_IF_ERROR(
      checkSize("GIF", sizeOf(gif->SWidth), sizeOf(gif->SHeight), options.limits));
  LLAMA4_ASSIGN_OR_RETURN(const std::optional<int> transparent, findFrame(gif.get()));
  if (DGifGetImageDesc(gif.get()) == GIF_ERROR)
    return failure(gif->Error);
  const GifImageDesc &frame = gif->Image;
  if (frame.Left < 0 || frame.Top < 0 || frame.Width <= 0 || frame.Height <= 0)
    return damaged("GIF");
  // A frame that leaves the screen makes it larger, as in Pillow.
  const uint64_t width = std::max(sizeOf(gif->SWidth), sizeOf(frame.Left) + sizeOf(frame.Width));
  const uint64_t height = std::max(sizeOf(gif->SHeight), sizeOf(frame.Top) + sizeOf(frame.Height));
  LLAMA4_RETURN_IF_ERROR(checkSize("GIF", width, height, options.limits));
  StoredImage stored;
  stored.image.size = {static_cast<uint32_t>(width), static_cast<uint32_t>(height)};
  LLAMA4_RETURN_IF_ERROR(allocatePixels(stored.image.pixels, 4 * width * height));
  LLAMA4_RETURN_IF_ERROR(decodeFrame(gif.get(), transparent, stored.image));
  removeAlpha(stored.image.pixels, options.alpha);
  return stored;
}

} // namespace llama4::image
