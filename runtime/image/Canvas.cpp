//===- Canvas.cpp - the grid of tiles that fits a picture -----------------===//

#include "runtime/image/Canvas.h"

#include <algorithm>
#include <cmath>

namespace llama4::image {

Status checkTileConfig(const TileConfig &config) {
  auto wrong = [](const char *what, double found, const std::string &expected) {
    return Status::invalidInput(std::string("found ") + what + " " + std::to_string(found) +
                                " in the image configuration, expected " + expected + ".");
  };
  if (config.side == 0 || config.side > kMaxTileSide)
    return wrong("tile side", config.side, "1 to " + std::to_string(kMaxTileSide));
  if (config.maxTiles == 0 || config.maxTiles > kMaxCanvasTiles)
    return wrong("number of tiles", config.maxTiles, "1 to " + std::to_string(kMaxCanvasTiles));
  if (config.patchSide == 0 || config.side % config.patchSide != 0)
    return wrong("patch side", config.patchSide,
                 "a divisor of the tile side " + std::to_string(config.side));
  const Normalization &n = config.normalization;
  if (!std::isnormal(n.rescale) || n.rescale < 1e-6 || n.rescale > 1e6)
    return wrong("rescale factor", n.rescale, "one between 1e-6 and 1e6, such as 1/255");
  for (size_t c = 0; c < 3; ++c) {
    if (!std::isfinite(n.mean[c]) || std::abs(n.mean[c]) > 1e6)
      return wrong("mean", n.mean[c], "a number between -1e6 and 1e6");
    if (!std::isnormal(n.deviation[c]) || n.deviation[c] < 1e-6 || n.deviation[c] > 1e6)
      return wrong("standard deviation", n.deviation[c], "one between 1e-6 and 1e6");
  }
  return {};
}

template <typename Scale>
Grid chooseGrid(ImageSize image, uint32_t side, uint32_t maxTiles, CanvasChoice choice) {
  auto scaleOf = [=](Grid grid) {
    return std::min(static_cast<Scale>(grid.rows * side) / static_cast<Scale>(image.height),
                    static_cast<Scale>(grid.columns * side) / static_cast<Scale>(image.width));
  };
  auto better = [=](Scale a, Scale b) {
    if ((a >= 1) != (b >= 1))
      return a >= 1;
    return a >= 1 && choice == CanvasChoice::LeastUpscale ? a < b : a > b;
  };
  Grid best;
  Scale bestScale = scaleOf(best);
  for (uint32_t rows = 1; rows <= maxTiles; ++rows)
    for (uint32_t columns = 1; columns <= maxTiles / rows; ++columns) {
      const Grid grid = {rows, columns};
      const Scale scale = scaleOf(grid);
      const bool smaller = scale == bestScale && grid.tiles() < best.tiles();
      if (!better(scale, bestScale) && !smaller)
        continue;
      best = grid;
      bestScale = scale;
    }
  return best;
}

template Grid chooseGrid<float>(ImageSize, uint32_t, uint32_t, CanvasChoice);
template Grid chooseGrid<double>(ImageSize, uint32_t, uint32_t, CanvasChoice);

ImageSize fitInto(ImageSize image, BoxSide width, BoxSide height) {
  auto scaleOf = [](BoxSide box, uint32_t length) {
    return box.single ? static_cast<float>(box.length) / static_cast<float>(length)
                      : static_cast<double>(box.length) / length;
  };
  auto scaled = [](uint32_t length, double scale, bool single, uint32_t most) {
    const double exact =
        single ? static_cast<float>(length) * static_cast<float>(scale) : length * scale;
    return std::clamp(static_cast<uint32_t>(exact), 1u, most);
  };
  const double across = scaleOf(width, image.width), down = scaleOf(height, image.height);
  const bool narrow = width.single || height.single
                          ? static_cast<float>(across) < static_cast<float>(down)
                          : across < down;
  if (narrow)
    return {width.length, scaled(image.height, across, width.single, height.length)};
  return {scaled(image.width, down, height.single, width.length), height.length};
}

Status appendTiles(const RgbImage &image, ImageSize scaled, Grid grid, const TileConfig &config,
                   Tiles &tiles) {
  LLAMA4_ASSIGN_OR_RETURN(RgbImage fitted, resize(image, scaled, config.filter, config.order));
  const uint32_t side = config.side;
  const size_t plane = size_t{side} * side;
  std::vector<uint8_t> cut;
  tiles.side = side;
  LLAMA4_RETURN_IF_ERROR(allocatePixels(cut, grid.tiles() * tiles.tileBytes()));
  for (uint32_t y = 0; y < scaled.height; ++y) {
    const uint8_t *from = fitted.row(y);
    for (uint32_t x = 0; x < scaled.width; ++x, from += 3) {
      const size_t tile = size_t{y / side} * grid.columns + x / side;
      uint8_t *to = cut.data() + tile * tiles.tileBytes() + size_t{y % side} * side + x % side;
      for (size_t c = 0; c < 3; ++c)
        to[c * plane] = from[c];
    }
  }
  tiles.count += grid.tiles();
  tiles.pixels.insert(tiles.pixels.end(), cut.begin(), cut.end());
  return {};
}

} // namespace llama4::image
