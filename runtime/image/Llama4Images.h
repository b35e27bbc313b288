//===- Llama4Images.h - pictures for Llama 4 ---------------------*- C++ -*-===//
//
// A picture becomes a grid of tiles and, where there is more than one, a global tile: the whole
// picture squeezed into one tile, last. In the prompt it becomes
//
//   <|image_start|> [the tiles of a row joined by <|tile_x_separator|>, each row ended by
//   <|tile_y_separator|>] <|image|> global tile <|image_end|>
//
// or, with a single tile, <|image_start|><|image|> tile <|image_end|>; a tile is as many <|patch|>
// as it has feature rows. `layoutOf` is the only place that knows these numbers.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_LLAMA4IMAGES_H
#define LLAMA4_RUNTIME_IMAGE_LLAMA4IMAGES_H

#include "runtime/image/Canvas.h"

namespace llama4::image {

struct Llama4ImageConfig : TileConfig {
  Llama4ImageConfig() { normalization.bfloat16 = true; }

  /// Patches along each side that pixel shuffle makes one feature row of (1 / its ratio).
  uint32_t shuffle = 2;
  /// Scales pictures up to the largest canvas; otherwise none grows beyond one tile's side.
  bool resizeToMaxCanvas = false;
};

/// The configuration's own rules. Errors: InvalidInput, naming the field.
Status checkConfig(const Llama4ImageConfig &config);

/// Where a picture goes, from its size alone.
struct Llama4Layout {
  Grid grid;
  ImageSize scaled;          ///< of the picture on the canvas
  uint32_t tiles = 1;        ///< with the global tile, if there is one
  uint32_t rowsPerTile = 0;  ///< feature rows of one tile
  uint32_t featureRows = 0;  ///< of all tiles
  uint32_t promptTokens = 0; ///< from <|image_start|> to <|image_end|>

  bool hasGlobalTile() const { return tiles > grid.tiles(); }
};

/// `size` has at least one pixel; `config` has passed checkConfig.
Llama4Layout layoutOf(ImageSize size, const Llama4ImageConfig &config);

/// The tiles of `image` in the order of its feature rows. Errors: OutOfMemory.
Result<Tiles> makeTiles(const RgbImage &image, const Llama4ImageConfig &config);

/// The ids that a picture is made of in the prompt.
struct Llama4ImageIds {
  int32_t imageStart, image, imageEnd, patch, tileX, tileY;
};

/// Where one picture stands in an expanded prompt.
struct PlacedImage {
  uint32_t firstToken, tokens; ///< from <|image_start|> to <|image_end|>
  uint32_t firstRow, rows;     ///< its feature rows
};

struct ExpandedPrompt {
  std::vector<int32_t> ids;
  /// Per id: -1 for a token, else the row of the features of all pictures, one after the other.
  std::vector<int32_t> featureRows;
  std::vector<PlacedImage> images;
};

/// `ids` with each <|image|> replaced by its picture, in order. Errors: InvalidInput where there
/// are more marks than pictures or the reverse, where a <|patch|> is in the prompt already, and
/// where the prompt grows beyond 2^31 tokens.
Result<ExpandedPrompt> expandPrompt(std::span<const int32_t> ids,
                                    std::span<const Llama4Layout> images,
                                    const Llama4ImageIds &imageIds);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_LLAMA4IMAGES_H
