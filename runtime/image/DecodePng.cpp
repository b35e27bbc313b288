//===- DecodePng.cpp - PNG through libpng ---------------------------------===//
//
// A walk over the chunks comes first: it finds the size, the EXIF data and how many compressed
// bytes there are, so that a picture that cannot be complete costs nothing. libpng then sees the
// bytes with every ancillary chunk switched off but the transparent colours.
//
//===----------------------------------------------------------------------===//

#include "runtime/image/Decoders.h"
#include "runtime/image/Orientation.h"

#include <csetjmp>
#include <cstring>
#include <png.h>

namespace llama4::image {

namespace {

/// What the chunks say.
struct PngOutline {
  uint32_t width = 0, height = 0, bitsPerPixel = 0;
  uint64_t compressed = 0; ///< bytes of all IDAT chunks
  std::span<const std::byte> exif;
};

uint32_t bigEndian(std::span<const std::byte> bytes, uint64_t at) {
  uint32_t value = 0;
  for (uint64_t i = 0; i < 4; ++i)
    value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

/// Reads the outline of what begins with the signature; stops where the file does.
Result<PngOutline> readOutline(std::span<const std::byte> bytes) {
  constexpr uint64_t signature = 8, header = 8, check = 4, ihdr = 13;
  if (bytes.size() < signature + header + ihdr + check)
    return cutOff("PNG");
  if (std::memcmp(&bytes[signature], "\0\0\0\x0dIHDR", header) != 0)
    return damaged("PNG");
  PngOutline outline;
  outline.width = bigEndian(bytes, signature + header);
  outline.height = bigEndian(bytes, signature + header + 4);
  constexpr uint32_t channels[] = {1, 0, 3, 1, 2, 0, 4};
  const auto depth = std::to_integer<uint32_t>(bytes[signature + header + 8]);
  const auto color = std::to_integer<uint32_t>(bytes[signature + header + 9]);
  if (color > 6 || channels[color] == 0 || depth == 0 || depth > 16)
    return damaged("PNG");
  outline.bitsPerPixel = channels[color] * depth;
  for (uint64_t at = signature; bytes.size() - at >= header;) {
    const uint64_t length = bigEndian(bytes, at), there = bytes.size() - at - header;
    const auto data = bytes.subspan(at + header, std::min(length, there));
    if (std::memcmp(&bytes[at + 4], "IDAT", 4) == 0)
      outline.compressed += data.size();
    else if (std::memcmp(&bytes[at + 4], "eXIf", 4) == 0 && outline.exif.empty())
      outline.exif = data;
    if (there < length + check)
      break;
    at += header + length + check;
  }
  return outline;
}

/// libpng's state. A long jump of libpng ends in the member function that called it.
class PngReader {
public:
  explicit PngReader(std::span<const std::byte> bytes) : rest_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, onError, onWarning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
  }
  PngReader(const PngReader &) = delete;
  ~PngReader() { png_destroy_read_struct(&png_, info_ ? &info_ : nullptr, nullptr); }

  bool valid() const { return info_ != nullptr; }
  /// The input ended before the picture did.
  bool starved() const { return starved_; }
  /// Bytes of a pixel after the transformations: 3 or 4.
  unsigned channels() const { return channels_; }

  /// Reads up to the pixels and asks for 8-bit RGB or RGBA. False after an error.
  bool readHeader(const ImageLimits &limits) {
    if (setjmp(jump_) != 0)
      return false;
    png_set_user_limits(png_, limits.maxSide, limits.maxSide);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_read_fn(png_, this, onRead);
    png_read_info(png_, info_);
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    passes_ = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    channels_ = png_get_channels(png_, info_);
    return true;
  }

  /// Reads all rows, `stride` bytes each. False after an error; what was read stays.
  bool readRows(uint8_t *pixels, size_t stride, uint32_t height) {
    if (setjmp(jump_) != 0)
      return false;
    for (int pass = 0; pass < passes_; ++pass)
      for (uint32_t y = 0; y < height; ++y)
        png_read_row(png_, pixels + stride * y, nullptr);
    return true;
  }

private:
  [[noreturn]] static void onError(png_structp png, png_const_charp) {
    std::longjmp(static_cast<PngReader *>(png_get_error_ptr(png))->jump_, 1);
  }
  static void onWarning(png_structp, png_const_charp) {}
  static void onRead(png_structp png, png_bytep to, size_t length) {
    auto *reader = static_cast<PngReader *>(png_get_io_ptr(png));
    if (length > reader->rest_.size()) {
      reader->starved_ = true;
      onError(png, nullptr);
    }
    std::memcpy(to, reader->rest_.data(), length);
    reader->rest_ = reader->rest_.subspan(length);
  }

  std::span<const std::byte> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_;
  bool starved_ = false;
  int passes_ = 1;
  unsigned channels_ = 0;
};

/// Deflate makes at most 1032 bytes of one: a picture with fewer compressed bytes is not whole.
bool canBeWhole(const PngOutline &outline) {
  const uint64_t bits = uint64_t{outline.width} * outline.height * outline.bitsPerPixel;
  return outline.compressed >= bits / 8 / 1032;
}

} // namespace

Result<StoredImage> decodePng(std::span<const std::byte> bytes, const DecodeOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(PngOutline outline, readOutline(bytes));
  LLAMA4_RETURN_IF_ERROR(checkSize("PNG", outline.width, outline.height, options.limits));
  if (!options.allowTruncated && !canBeWhole(outline))
    return cutOff("PNG");
  PngReader reader(bytes);
  if (!reader.valid())
    return Status::error(StatusKind::OutOfMemory, "found no memory to decode a PNG.");
  if (!reader.readHeader(options.limits))
    return reader.starved() ? cutOff("PNG") : damaged("PNG");
  const unsigned channels = reader.channels();
  if (channels != 3 && channels != 4)
    return damaged("PNG");

  StoredImage stored;
  stored.image.size = {outline.width, outline.height};
  stored.orientation = exifOrientation(outline.exif);
  std::vector<uint8_t> &pixels = stored.image.pixels;
  const size_t stride = size_t{outline.width} * channels;
  LLAMA4_RETURN_IF_ERROR(allocatePixels(pixels, stride * outline.height));
  if (!reader.readRows(pixels.data(), stride, outline.height) &&
      !(reader.starved() && options.allowTruncated))
    return reader.starved() ? cutOff("PNG") : damaged("PNG");
  if (channels == 4)
    removeAlpha(pixels, options.alpha);
  return stored;
}

} // namespace llama4::image
