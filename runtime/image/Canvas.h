//===- Canvas.h - the grid of tiles that fits a picture ----------*- C++ -*-===//
//
// What Llama 4 and Llama 3.2 Vision share: a picture is scaled, without distortion, onto a canvas
// of rows x columns square tiles, its rest is black, and the canvas is cut.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_CANVAS_H
#define LLAMA4_RUNTIME_IMAGE_CANVAS_H

#include "runtime/base/Status.h"
#include "runtime/image/Pixels.h"
#include "runtime/image/Resize.h"

namespace llama4::image {

/// Tiles of a canvas.
struct Grid {
  uint32_t rows = 1, columns = 1;

  uint32_t tiles() const { return rows * columns; }
  bool operator==(const Grid &) const = default;
};

/// How pictures become tiles; the part that both families have.
struct TileConfig {
  uint32_t side = 336;    ///< of a tile, in pixels
  uint32_t maxTiles = 16; ///< rows x columns of a canvas
  uint32_t patchSide = 14;
  ResizeFilter filter = ResizeFilter::Bilinear;
  PassOrder order = PassOrder::Pillow12;
  Normalization normalization;
};

/// Largest values that a configuration may have.
inline constexpr uint32_t kMaxTileSide = 2048, kMaxCanvasTiles = 64;

/// What of `config` makes no sense. Errors: InvalidInput, naming the field.
Status checkTileConfig(const TileConfig &config);

/// Which canvas is chosen where several would hold the picture without shrinking it.
enum class CanvasChoice {
  LeastUpscale, ///< the one that it fills best
  MostUpscale,  ///< the one on which it becomes largest
};

/// The grid for a picture among all with at most maxTiles tiles: of those onto which it can be
/// scaled up (or kept) the one that `choice` says, else the one on which it shrinks least; of equal
/// ones the one with the fewest tiles. `Scale` is the type in which scales are compared, which
/// decides what is equal: float for Llama 4, double for Llama 3.2 Vision, as in their references.
template <typename Scale>
Grid chooseGrid(ImageSize image, uint32_t side, uint32_t maxTiles, CanvasChoice choice);

/// One side of the box that a picture is fitted into. `single`: the reference computes with it in
/// float32, not float64, which decides the last pixel.
struct BoxSide {
  uint32_t length;
  bool single = false;
};

/// The largest size of the picture's shape inside the box, at least one pixel each way.
ImageSize fitInto(ImageSize image, BoxSide width, BoxSide height);

/// Scales `image` to `scaled`, puts it at the upper left of a black canvas and appends the canvas's
/// tiles, row by row, to `tiles`. Errors: OutOfMemory.
Status appendTiles(const RgbImage &image, ImageSize scaled, Grid grid, const TileConfig &config,
                   Tiles &tiles);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_CANVAS_H
