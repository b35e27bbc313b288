//===- DecodeJpeg.cpp - JPEG through libjpeg-turbo ------------------------===//

#include "runtime/image/Decoders.h"
#include "runtime/image/Orientation.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <jerror.h>
#include <jpeglib.h>

namespace llama4::image {

namespace {

/// Pixels that all scans together may go over: a picture at the default limit with 40 scans.
constexpr uint64_t scannedPixels = 2'000'000'000;

/// libjpeg's state. A long jump of libjpeg ends in the member function that called it.
class JpegReader {
public:
  JpegReader() {
    std::memset(&info_, 0, sizeof(info_));
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = onError;
    errors_.emit_message = onMessage;
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
  }
  JpegReader(const JpegReader &) = delete;
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  const jpeg_decompress_struct &info() const { return info_; }
  bool tooManyScans() const { return tooManyScans_; }
  /// Data was missing: the input ended in the middle of it or, of several scans, before the last.
  bool starved() const { return ended_ && (starved_ || jpegHasScans_); }

  /// Reads up to the first scan. False after an error.
  bool readHeader(std::span<const std::byte> bytes, const ImageLimits &limits) {
    if (setjmp(jump_) != 0)
      return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size());
    jpeg_save_markers(&info_, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&info_, TRUE);
    jpegHasScans_ = jpeg_has_multiple_scans(&info_) != FALSE;
    maxScans_ = limits.maxJpegScans;
    progress_.progress_monitor = onProgress;
    info_.progress = &progress_;
    return true;
  }

  /// Reads all scans of a progressive picture, up to the pixels. False after an error.
  bool start() {
    if (setjmp(jump_) != 0)
      return false;
    info_.out_color_space = info_.num_components == 4 ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info_);
    return true;
  }

  /// Reads one row of output_width pixels. False after an error.
  bool readRow(uint8_t *to) {
    if (setjmp(jump_) != 0)
      return false;
    JSAMPROW row = to;
    return jpeg_read_scanlines(&info_, &row, 1) == 1;
  }

private:
  static JpegReader &self(j_common_ptr info) {
    return *static_cast<JpegReader *>(info->client_data);
  }
  [[noreturn]] static void onError(j_common_ptr info) { std::longjmp(self(info).jump_, 1); }
  static void onMessage(j_common_ptr info, int level) {
    if (level >= 0)
      return;
    const int code = info->err->msg_code;
    self(info).ended_ |= code == JWRN_JPEG_EOF;
    self(info).starved_ |= code == JWRN_HIT_MARKER;
  }
  static void onProgress(j_common_ptr common) {
    JpegReader &reader = self(common);
    const auto scans = static_cast<uint64_t>(std::max(reader.info_.input_scan_number, 0));
    const uint64_t pixels = uint64_t{reader.info_.image_width} * reader.info_.image_height;
    if (scans <= reader.maxScans_ && scans * pixels <= scannedPixels)
      return;
    reader.tooManyScans_ = true;
    onError(common);
  }

  jpeg_decompress_struct info_;
  jpeg_error_mgr errors_;
  jpeg_progress_mgr progress_ = {};
  std::jmp_buf jump_;
  uint32_t maxScans_ = 0;
  bool ended_ = false, starved_ = false, tooManyScans_ = false, jpegHasScans_ = false;
};

/// Inverted CMYK, four bytes a pixel, as RGB.
void cmykToRgb(const uint8_t *from, uint8_t *to, uint32_t width) {
  for (uint32_t x = 0; x < width; ++x, from += 4, to += 3) {
    const uint32_t white = from[3];
    for (int c = 0; c < 3; ++c) {
      const auto ink = static_cast<uint8_t>(255 - from[c]);
      to[c] = static_cast<uint8_t>(white - mulDiv255(ink, white));
    }
  }
}

int orientationOf(const jpeg_decompress_struct &info) {
  for (const jpeg_marker_struct *marker = info.marker_list; marker; marker = marker->next) {
    const auto data = std::as_bytes(std::span(marker->data, marker->data_length));
    if (data.size() >= 6 && std::memcmp(data.data(), "Exif\0\0", 6) == 0)
      return exifOrientation(data);
  }
  return 1;
}

Status failure(const JpegReader &reader) {
  if (reader.tooManyScans())
    return Status::invalidInput("found a JPEG with too many scans for its size, expected a usual "
                                "progressive one; save it again with another program.");
  return reader.starved() ? cutOff("JPEG") : damaged("JPEG");
}

/// The rows into `image`. The reader has started.
Status readRows(JpegReader &reader, const DecodeOptions &options, RgbImage &image) {
  std::vector<uint8_t> cmyk;
  if (reader.info().out_color_space == JCS_CMYK)
    LLAMA4_RETURN_IF_ERROR(allocatePixels(cmyk, uint64_t{4} * image.size.width));
  for (uint32_t y = 0; y < image.size.height; ++y) {
    if (!reader.readRow(cmyk.empty() ? image.row(y) : cmyk.data()))
      return failure(reader);
    if (reader.starved() && !options.allowTruncated)
      return cutOff("JPEG");
    if (!cmyk.empty())
      cmykToRgb(cmyk.data(), image.row(y), image.size.width);
  }
  return {};
}

} // namespace

Result<StoredImage> decodeJpeg(std::span<const std::byte> bytes, const DecodeOptions &options) {
  JpegReader reader;
  if (!reader.readHeader(bytes, options.limits))
    return failure(reader);
  const jpeg_decompress_struct &info = reader.info();
  LLAMA4_RETURN_IF_ERROR(checkSize("JPEG", info.image_width, info.image_height, options.limits));
  if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4)
    return damaged("JPEG");
  if (!reader.start())
    return failure(reader);
  if (reader.starved() && !options.allowTruncated)
    return cutOff("JPEG");
  StoredImage stored;
  stored.image.size = {info.output_width, info.output_height};
  stored.orientation = orientationOf(info);
  LLAMA4_RETURN_IF_ERROR(allocatePixels(stored.image.pixels, 3 * stored.image.size.pixels()));
  LLAMA4_RETURN_IF_ERROR(readRows(reader, options, stored.image));
  return stored;
}

} // namespace llama4::image
