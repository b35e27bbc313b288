//===- DecodeWebp.cpp - WebP through libwebp ------------------------------===//

#include "runtime/image/Decoders.h"
#include "runtime/image/Orientation.h"

#include <memory>
#include <webp/decode.h>
#include <webp/demux.h>

namespace llama4::image {

namespace {

struct DeleteDemuxer {
  void operator()(WebPDemuxer *demuxer) const { WebPDemuxDelete(demuxer); }
};
using Demuxer = std::unique_ptr<WebPDemuxer, DeleteDemuxer>;

/// The first frame of a file. Its compressed bytes belong to the file, not to libwebp.
struct Frame {
  WebPIterator at = {};
  Frame() = default;
  Frame(const Frame &) = delete;
  ~Frame() { WebPDemuxReleaseIterator(&at); }
};

int orientationOf(const WebPDemuxer *demuxer) {
  WebPChunkIterator chunk = {};
  int orientation = 1;
  if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk))
    orientation =
        exifOrientation({reinterpret_cast<const std::byte *>(chunk.chunk.bytes), chunk.chunk.size});
  WebPDemuxReleaseChunkIterator(&chunk);
  return orientation;
}

Status failure(VP8StatusCode code) {
  if (code == VP8_STATUS_OUT_OF_MEMORY)
    return Status::error(StatusKind::OutOfMemory, "found no memory to decode a WebP.");
  const bool cut = code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED;
  return cut ? cutOff("WebP") : damaged("WebP");
}

/// Decodes `frame` into its place on the canvas, `channels` (3 or 4) bytes a pixel.
Status decodeFrame(const WebPIterator &frame, ImageSize canvas, unsigned channels,
                   std::vector<uint8_t> &pixels) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    return Status::internal("libwebp is not the one this was built with.");
  const VP8StatusCode features =
      WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input);
  if (features != VP8_STATUS_OK)
    return failure(features);
  const auto x = static_cast<uint32_t>(frame.x_offset), y = static_cast<uint32_t>(frame.y_offset);
  const auto width = static_cast<uint32_t>(frame.width);
  const auto height = static_cast<uint32_t>(frame.height);
  if (frame.x_offset < 0 || frame.y_offset < 0 || config.input.width != frame.width ||
      config.input.height != frame.height || x > canvas.width || width > canvas.width - x ||
      y > canvas.height || height > canvas.height - y)
    return damaged("WebP");
  const size_t stride = size_t{canvas.width} * channels;
  const size_t offset = stride * y + size_t{x} * channels;
  config.output.colorspace = channels == 4 ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = pixels.data() + offset;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = pixels.size() - offset;
  const VP8StatusCode code = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  return code == VP8_STATUS_OK ? Status() : failure(code);
}

} // namespace

Result<StoredImage> decodeWebp(std::span<const std::byte> bytes, const DecodeOptions &options) {
  const auto *data = reinterpret_cast<const uint8_t *>(bytes.data());
  WebPBitstreamFeatures features;
  const VP8StatusCode code = WebPGetFeatures(data, bytes.size(), &features);
  if (code != VP8_STATUS_OK)
    return failure(code);
  LLAMA4_RETURN_IF_ERROR(checkSize("WebP", static_cast<uint64_t>(features.width),
                                   static_cast<uint64_t>(features.height), options.limits));
  const WebPData file = {data, bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_DONE;
  const Demuxer demuxer(WebPDemuxPartial(&file, &state));
  if (!demuxer || state == WEBP_DEMUX_PARSE_ERROR)
    return damaged("WebP");
  if (state != WEBP_DEMUX_DONE)
    return cutOff("WebP");
  Frame frame;
  if (!WebPDemuxGetFrame(demuxer.get(), 1, &frame.at))
    return damaged("WebP");

  StoredImage stored;
  RgbImage &image = stored.image;
  image.size = {WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH),
                WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT)};
  LLAMA4_RETURN_IF_ERROR(checkSize("WebP", image.size.width, image.size.height, options.limits));
  const bool whole = static_cast<uint32_t>(frame.at.width) == image.size.width &&
                     static_cast<uint32_t>(frame.at.height) == image.size.height;
  const unsigned channels = frame.at.has_alpha || !whole ? 4 : 3;
  LLAMA4_RETURN_IF_ERROR(allocatePixels(image.pixels, channels * image.size.pixels()));
  LLAMA4_RETURN_IF_ERROR(decodeFrame(frame.at, image.size, channels, image.pixels));
  if (channels == 4)
    removeAlpha(image.pixels, options.alpha);
  stored.orientation = orientationOf(demuxer.get());
  return stored;
}

} // namespace llama4::image
