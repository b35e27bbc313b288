//===- Llama4Images.cpp - pictures for Llama 4 ----------------------------===//

#include "runtime/image/Llama4Images.h"

#include "runtime/image/ImageMarks.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace llama4::image {

Status checkConfig(const Llama4ImageConfig &config) {
  LLAMA4_RETURN_IF_ERROR(checkTileConfig(config));
  const uint32_t patches = config.side / config.patchSide;
  if (config.shuffle != 0 && patches % config.shuffle == 0)
    return {};
  return Status::invalidInput("found a pixel shuffle of " + std::to_string(config.shuffle) +
                              " in the image configuration, expected a divisor of the " +
                              std::to_string(patches) + " patches along a tile.");
}

Llama4Layout layoutOf(ImageSize size, const Llama4ImageConfig &config) {
  assert(size.pixels() != 0);
  Llama4Layout layout;
  const auto choice =
      config.resizeToMaxCanvas ? CanvasChoice::MostUpscale : CanvasChoice::LeastUpscale;
  const Grid grid = chooseGrid<float>(size, config.side, config.maxTiles, choice);
  // A side that the canvas limits is a float32 number in the reference, any other one float64.
  auto boxSide = [&](uint32_t length, uint32_t canvas) {
    const uint32_t wanted = std::max(length, config.side);
    const bool limited = config.resizeToMaxCanvas || canvas < wanted;
    return limited ? BoxSide{canvas, true} : BoxSide{wanted};
  };
  layout.grid = grid;
  layout.scaled = fitInto(size, boxSide(size.width, grid.columns * config.side),
                          boxSide(size.height, grid.rows * config.side));
  layout.tiles = grid.tiles() == 1 ? 1 : grid.tiles() + 1;
  const uint32_t across = config.side / config.patchSide / config.shuffle;
  layout.rowsPerTile = across * across;
  layout.featureRows = layout.tiles * layout.rowsPerTile;
  // A separator after each tile of the grid, and the three marks around the global tile.
  layout.promptTokens = layout.featureRows + (layout.hasGlobalTile() ? grid.tiles() : 0) + 3;
  return layout;
}

Result<Tiles> makeTiles(const RgbImage &image, const Llama4ImageConfig &config) {
  const Llama4Layout layout = layoutOf(image.size, config);
  Tiles tiles;
  LLAMA4_RETURN_IF_ERROR(appendTiles(image, layout.scaled, layout.grid, config, tiles));
  if (layout.hasGlobalTile())
    LLAMA4_RETURN_IF_ERROR(appendTiles(image, {config.side, config.side}, {1, 1}, config, tiles));
  return tiles;
}

namespace {

/// Appends one picture after the other.
class Expander {
public:
  Expander(const Llama4ImageIds &ids, ExpandedPrompt &prompt) : ids_(ids), prompt_(prompt) {}

  void token(int32_t id) {
    prompt_.ids.push_back(id);
    prompt_.featureRows.push_back(-1);
  }

  void image(const Llama4Layout &layout) {
    const auto firstToken = static_cast<uint32_t>(prompt_.ids.size());
    const auto firstRow = static_cast<uint32_t>(nextRow_);
    token(ids_.imageStart);
    if (layout.hasGlobalTile())
      for (uint32_t row = 0; row < layout.grid.rows; ++row)
        for (uint32_t column = 0; column < layout.grid.columns; ++column) {
          tile(layout.rowsPerTile);
          token(column + 1 < layout.grid.columns ? ids_.tileX : ids_.tileY);
        }
    token(ids_.image);
    tile(layout.rowsPerTile);
    token(ids_.imageEnd);
    prompt_.images.push_back({firstToken, layout.promptTokens, firstRow, layout.featureRows});
    assert(prompt_.ids.size() == firstToken + layout.promptTokens);
    assert(static_cast<uint32_t>(nextRow_) == firstRow + layout.featureRows);
  }

private:
  void tile(uint32_t rows) {
    for (uint32_t i = 0; i < rows; ++i) {
      prompt_.ids.push_back(ids_.patch);
      prompt_.featureRows.push_back(nextRow_++);
    }
  }

  const Llama4ImageIds &ids_;
  ExpandedPrompt &prompt_;
  int32_t nextRow_ = 0;
};

} // namespace

Result<ExpandedPrompt> expandPrompt(std::span<const int32_t> ids,
                                    std::span<const Llama4Layout> images,
                                    const Llama4ImageIds &imageIds) {
  LLAMA4_RETURN_IF_ERROR(checkMarks(ids, imageIds.image, images.size()));
  if (std::find(ids.begin(), ids.end(), imageIds.patch) != ids.end())
    return Status::invalidInput("found <|patch|> in the prompt, expected only <|image|>; the "
                                "patches of a picture are put there from its size.");
  uint64_t tokens = ids.size();
  for (const Llama4Layout &layout : images)
    tokens += layout.promptTokens;
  if (tokens > std::numeric_limits<int32_t>::max())
    return Status::invalidInput("found a prompt of " + std::to_string(tokens) +
                                " tokens with its pictures, expected fewer than 2^31; shorten it.");
  ExpandedPrompt prompt;
  prompt.ids.reserve(tokens);
  prompt.featureRows.reserve(tokens);
  Expander expander(imageIds, prompt);
  size_t next = 0;
  for (int32_t id : ids)
    if (id == imageIds.image)
      expander.image(images[next++]);
    else
      expander.token(id);
  return prompt;
}

} // namespace llama4::image
