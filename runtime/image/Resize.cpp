//===- Resize.cpp - scaling pictures, equal to Pillow's bits --------------===//
//
// Both passes multiply bytes with 32-bit weights in loops of constant length that the compiler
// turns into vector code: the vertical one along a row, the horizontal one over a band of rows that
// is transposed first. Integer sums, so that no order matters. Compiled without contraction of
// floating point: the weights must be the same on every machine.
//
//===----------------------------------------------------------------------===//

#include "runtime/image/Resize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

// Clones are chosen before a sanitizer is ready, so there are none beside one.
#if defined(__x86_64__) && defined(__linux__) && !__has_feature(address_sanitizer)
#define LLAMA4_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define LLAMA4_VECTOR_CLONES
#endif

namespace llama4::image {

namespace {

/// Binary digits of the weights behind the point.
constexpr int fraction = 22;

double bilinear(double x) { return std::max(1.0 - std::abs(x), 0.0); }

/// The cubic convolution filter with a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0)
    return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

/// Which inputs make up each output along one axis, and their weights.
struct Taps {
  struct Range {
    uint32_t first, count;
    size_t weights; ///< of the first
  };
  std::vector<Range> outputs;
  std::vector<int32_t> weights;
};

Taps makeTaps(uint32_t in, uint32_t out, ResizeFilter filter) {
  const auto function = filter == ResizeFilter::Bilinear ? bilinear : bicubic;
  const double scale = static_cast<double>(in) / out, stretch = std::max(scale, 1.0);
  const double support = (filter == ResizeFilter::Bilinear ? 1.0 : 2.0) * stretch;
  const double shrink = 1.0 / stretch;
  Taps taps;
  taps.outputs.reserve(out);
  std::vector<double> row;
  for (uint32_t i = 0; i < out; ++i) {
    const double center = (i + 0.5) * scale;
    const auto first = static_cast<uint32_t>(std::max(center - support + 0.5, 0.0));
    const auto last = static_cast<uint32_t>(std::min<double>(center + support + 0.5, in));
    double sum = 0;
    row.clear();
    for (uint32_t k = first; k < last; ++k) {
      row.push_back(function((k - center + 0.5) * shrink));
      sum += row.back();
    }
    taps.outputs.push_back({first, last - first, taps.weights.size()});
    for (double weight : row) {
      const double scaled = (sum != 0 ? weight / sum : weight) * (1 << fraction);
      taps.weights.push_back(static_cast<int32_t>(scaled + (weight < 0 ? -0.5 : 0.5)));
    }
  }
  return taps;
}

/// What the vectorised functions see of Taps. They call nothing that is not inlined by force:
/// clang 22 forgets to emit what only clones call.
struct TapView {
  const Taps::Range *outputs;
  size_t count;
  const int32_t *weights;

  explicit TapView(const Taps &taps)
      : outputs(taps.outputs.data()), count(taps.outputs.size()), weights(taps.weights.data()) {}
};

/// to[j] = the weighted sum of from[j + stride * k] over k, rounded and clipped, for `Length`
/// values j.
template <unsigned Length>
[[gnu::always_inline]] inline void weigh(const uint8_t *from, size_t stride, const int32_t *weights,
                                         uint32_t count, uint8_t *to) {
  int32_t sums[Length];
  for (unsigned j = 0; j < Length; ++j)
    sums[j] = 1 << (fraction - 1);
  for (uint32_t k = 0; k < count; ++k, from += stride)
    for (unsigned j = 0; j < Length; ++j)
      sums[j] += weights[k] * from[j];
  for (unsigned j = 0; j < Length; ++j) {
    const int32_t value = sums[j] >> fraction;
    to[j] = static_cast<uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
  }
}

/// Scales columns: `rowBytes` bytes a row on both sides.
LLAMA4_VECTOR_CLONES void scaleColumns(const uint8_t *from, size_t rowBytes, TapView taps,
                                       uint8_t *to) {
  constexpr unsigned step = 64;
  for (size_t y = 0; y < taps.count; ++y, to += rowBytes) {
    const Taps::Range &range = taps.outputs[y];
    const uint8_t *first = from + rowBytes * range.first;
    const int32_t *weights = taps.weights + range.weights;
    size_t x = 0;
    for (; x + step <= rowBytes; x += step)
      weigh<step>(first + x, rowBytes, weights, range.count, to + x);
    for (; x < rowBytes; ++x)
      weigh<1>(first + x, rowBytes, weights, range.count, to + x);
  }
}

/// Rows that the horizontal pass handles together.
constexpr unsigned bandRows = 16;

/// Scales `rows` (at most bandRows) rows of `inBytes` bytes to rows of taps.count pixels. `band`
/// has room for bandRows rows: byte x of row r lies at bandRows * x + r.
LLAMA4_VECTOR_CLONES void scaleRows(const uint8_t *from, size_t inBytes, unsigned rows,
                                    TapView taps, uint8_t *band, uint8_t *to) {
  constexpr unsigned pixel = 3 * bandRows;
  for (size_t x = 0; x < inBytes; ++x)
    for (unsigned r = 0; r < rows; ++r)
      band[bandRows * x + r] = from[inBytes * r + x];
  const size_t outBytes = 3 * taps.count;
  uint8_t column[pixel];
  for (size_t x = 0; x < taps.count; ++x, to += 3) {
    const Taps::Range &range = taps.outputs[x];
    weigh<pixel>(band + size_t{pixel} * range.first, pixel, taps.weights + range.weights,
                 range.count, column);
    for (unsigned r = 0; r < rows; ++r)
      for (unsigned c = 0; c < 3; ++c)
        to[outBytes * r + c] = column[bandRows * c + r];
  }
}

Result<RgbImage> resizeWidth(const RgbImage &image, uint32_t width, ResizeFilter filter) {
  RgbImage scaled;
  scaled.size = {width, image.size.height};
  LLAMA4_RETURN_IF_ERROR(allocatePixels(scaled.pixels, 3 * scaled.size.pixels()));
  const Taps taps = makeTaps(image.size.width, width, filter);
  const size_t inBytes = size_t{3} * image.size.width;
  std::vector<uint8_t> band(inBytes * bandRows);
  for (uint32_t y = 0; y < image.size.height; y += bandRows)
    scaleRows(image.row(y), inBytes, std::min(image.size.height - y, bandRows), TapView(taps),
              band.data(), scaled.row(y));
  return scaled;
}

Result<RgbImage> resizeHeight(const RgbImage &image, uint32_t height, ResizeFilter filter) {
  RgbImage scaled;
  scaled.size = {image.size.width, height};
  LLAMA4_RETURN_IF_ERROR(allocatePixels(scaled.pixels, 3 * scaled.size.pixels()));
  const Taps taps = makeTaps(image.size.height, height, filter);
  scaleColumns(image.pixels.data(), size_t{3} * image.size.width, TapView(taps),
               scaled.pixels.data());
  return scaled;
}

/// Pillow 13: columns first where many more rows than columns go away.
bool columnsFirst(ImageSize from, ImageSize to, PassOrder order) {
  const int64_t rows = int64_t{from.height} - to.height, columns = int64_t{from.width} - to.width;
  return order == PassOrder::Pillow13 && rows > 0 && rows > 2 * columns;
}

} // namespace

Result<RgbImage> resize(const RgbImage &image, ImageSize size, ResizeFilter filter,
                        PassOrder order) {
  assert(size.pixels() != 0 && image.size.pixels() != 0);
  if (image.size.width == size.width && image.size.height == size.height)
    return image;
  if (image.size.width == size.width)
    return resizeHeight(image, size.height, filter);
  if (image.size.height == size.height)
    return resizeWidth(image, size.width, filter);
  if (columnsFirst(image.size, size, order)) {
    LLAMA4_ASSIGN_OR_RETURN(RgbImage half, resizeHeight(image, size.height, filter));
    return resizeWidth(half, size.width, filter);
  }
  LLAMA4_ASSIGN_OR_RETURN(RgbImage half, resizeWidth(image, size.width, filter));
  return resizeHeight(half, size.height, filter);
}

} // namespace llama4::image
