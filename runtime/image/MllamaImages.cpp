//===- MllamaImages.cpp - pictures for Llama 3.2 Vision -------------------===//

#include "runtime/image/MllamaImages.h"

#include "runtime/image/ImageMarks.h"

#include <algorithm>
#include <cassert>

namespace llama4::image {

Status checkConfig(const MllamaImageConfig &config) { return checkTileConfig(config); }

std::vector<Grid> aspectRatios(uint32_t maxTiles) {
  std::vector<Grid> grids;
  for (uint32_t rows = 1; rows <= maxTiles; ++rows)
    for (uint32_t columns = 1; columns <= maxTiles / rows; ++columns)
      grids.push_back({rows, columns});
  return grids;
}

MllamaLayout layoutOf(ImageSize size, const MllamaImageConfig &config) {
  assert(size.pixels() != 0);
  const Grid grid =
      chooseGrid<double>(size, config.side, config.maxTiles, CanvasChoice::LeastUpscale);
  auto boxSide = [&](uint32_t length, uint32_t tiles) {
    return BoxSide{std::clamp(length, config.side, tiles * config.side)};
  };
  const std::vector<Grid> grids = aspectRatios(config.maxTiles);
  MllamaLayout layout;
  layout.grid = grid;
  layout.scaled = fitInto(size, boxSide(size.width, grid.columns), boxSide(size.height, grid.rows));
  layout.aspectRatioId =
      static_cast<uint32_t>(std::find(grids.begin(), grids.end(), grid) - grids.begin()) + 1;
  layout.tiles = grid.tiles();
  const uint32_t across = config.side / config.patchSide;
  layout.rowsPerTile = across * across + 1;
  layout.featureRows = layout.tiles * layout.rowsPerTile;
  return layout;
}

Result<Tiles> makeTiles(const RgbImage &image, const MllamaImageConfig &config) {
  const MllamaLayout layout = layoutOf(image.size, config);
  Tiles tiles;
  LLAMA4_RETURN_IF_ERROR(appendTiles(image, layout.scaled, layout.grid, config, tiles));
  return tiles;
}

Result<std::vector<CrossInterval>> crossIntervals(std::span<const int32_t> ids, int32_t image,
                                                  size_t images) {
  LLAMA4_RETURN_IF_ERROR(checkMarks(ids, image, images));
  std::vector<CrossInterval> intervals;
  for (uint32_t i = 0; i < ids.size(); ++i)
    if (ids[i] == image)
      intervals.push_back({i, i + 1, false});
  // From the last one back: each ends where the next begins, or with it where they touch.
  for (size_t i = intervals.size(); i-- > 0;) {
    CrossInterval &own = intervals[i];
    if (i + 1 == intervals.size()) {
      own.end = static_cast<uint32_t>(ids.size());
      own.toTheEnd = true;
      continue;
    }
    const CrossInterval &next = intervals[i + 1];
    const bool touches = next.begin == own.begin + 1;
    own.end = touches ? next.end : next.begin;
    own.toTheEnd = touches && next.toTheEnd;
  }
  return intervals;
}

} // namespace llama4::image
