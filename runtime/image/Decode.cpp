//===- Decode.cpp - PNG, JPEG and WebP to RGB -----------------------------===//

#include "runtime/image/Decode.h"

#include "runtime/image/Decoders.h"
#include "runtime/image/Orientation.h"

#include <string_view>

namespace llama4::image {

Status checkSize(const char *format, uint64_t width, uint64_t height, const ImageLimits &limits) {
  const std::string found = std::string("found a ") + format + " of " + std::to_string(width) +
                            " x " + std::to_string(height) + " pixels, expected ";
  if (width == 0 || height == 0)
    return Status::invalidInput(found + "at least one in each direction; give another picture.");
  if (width > limits.maxSide || height > limits.maxSide)
    return Status::invalidInput(found + "at most " + std::to_string(limits.maxSide) +
                                " in each direction; scale it down.");
  if (width * height > limits.maxPixels)
    return Status::invalidInput(found + "at most " + std::to_string(limits.maxPixels) +
                                " in all; scale it down.");
  return {};
}

Status cutOff(const char *format) {
  return Status::invalidInput(std::string("found a ") + format +
                              " that is cut off, expected the whole file; get it again.");
}

Status damaged(const char *format) {
  return Status::invalidInput(std::string("found a ") + format +
                              " that is damaged or not supported, expected one that its own "
                              "rules allow; save it again with another program.");
}

void removeAlpha(std::vector<uint8_t> &pixels, AlphaMode mode) {
  uint8_t *to = pixels.data();
  const uint8_t *end = to + pixels.size();
  for (const uint8_t *from = to; from != end; from += 4, to += 3) {
    const uint32_t alpha = mode == AlphaMode::White ? from[3] : 255;
    for (int c = 0; c < 3; ++c) {
      // Rounded once, over the sum of both parts.
      const uint32_t sum = from[c] * alpha + 255 * (255 - alpha) + 128;
      to[c] = static_cast<uint8_t>(((sum >> 8) + sum) >> 8);
    }
  }
  pixels.resize(pixels.size() / 4 * 3);
}

namespace {

using Decoder = Result<StoredImage> (*)(std::span<const std::byte>, const DecodeOptions &);

/// The decoder of what begins like this, or why there is none.
Result<Decoder> decoderOf(std::span<const std::byte> bytes) {
  using namespace std::string_view_literals;
  const std::string_view text(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  if (text.starts_with("\x89PNG\r\n\x1a\n"sv))
    return Decoder{decodePng};
  if (text.starts_with("\xff\xd8\xff"sv))
    return Decoder{decodeJpeg};
  if (text.starts_with("RIFF"sv) && text.substr(0, 12).ends_with("WEBP"sv))
    return Decoder{decodeWebp};
  if (text.starts_with("GIF87a"sv) || text.starts_with("GIF89a"sv))
    return Decoder{decodeGif};
  const char *found = "something that is no picture of a known format";
  if (text.empty())
    found = "no bytes";
  else if (text.starts_with("BM"sv))
    found = "a BMP";
  else if (text.starts_with("II*\0"sv) || text.starts_with("MM\0*"sv))
    found = "a TIFF";
  else if (text.size() >= 12 && text.substr(4, 4) == "ftyp"sv)
    found = "an AVIF, a HEIC or a film";
  return Status::invalidInput(std::string("found ") + found +
                              ", expected a PNG, a JPEG, a WebP or a GIF; convert it.");
}

} // namespace

Result<RgbImage> decodeImage(std::span<const std::byte> bytes, const DecodeOptions &options) {
  if (bytes.size() > options.limits.maxBytes)
    return Status::invalidInput("found a picture of " + std::to_string(bytes.size()) +
                                " bytes, expected at most " +
                                std::to_string(options.limits.maxBytes) + "; scale it down.");
  LLAMA4_ASSIGN_OR_RETURN(Decoder decode, decoderOf(bytes));
  LLAMA4_ASSIGN_OR_RETURN(StoredImage stored, decode(bytes, options));
  if (!options.applyOrientation || stored.orientation == 1)
    return std::move(stored.image);
  RgbImage turned;
  LLAMA4_RETURN_IF_ERROR(allocatePixels(turned.pixels, stored.image.pixels.size()));
  orient(stored.image, stored.orientation, turned);
  return turned;
}

} // namespace llama4::image
