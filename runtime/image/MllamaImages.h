//===- MllamaImages.h - pictures for Llama 3.2 Vision ------------*- C++ -*-===//
//
// A picture becomes a grid of up to four tiles, without a global one. The tower is told the grid by
// its number (the aspect-ratio id) and sees absent tiles as zeros. In the prompt a picture is the
// single token <|image|>; the text after it attends to the feature rows of its tiles by
// cross-attention, in intervals as Meta's code draws them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_IMAGE_MLLAMAIMAGES_H
#define LLAMA4_RUNTIME_IMAGE_MLLAMAIMAGES_H

#include "runtime/image/Canvas.h"

namespace llama4::image {

struct MllamaImageConfig : TileConfig {
  MllamaImageConfig() {
    side = 560;
    maxTiles = 4;
    normalization.mean = {0.48145466, 0.4578275, 0.40821073};
    normalization.deviation = {0.26862954, 0.26130258, 0.27577711};
  }
};

/// The configuration's own rules. Errors: InvalidInput, naming the field.
Status checkConfig(const MllamaImageConfig &config);

/// Where a picture goes, from its size alone.
struct MllamaLayout {
  Grid grid;
  ImageSize scaled;          ///< of the picture on the canvas
  uint32_t aspectRatioId;    ///< 1 is the first of aspectRatios(maxTiles); 0 means no picture
  uint32_t tiles = 1;        ///< that are there: ones at the start of the aspect-ratio mask
  uint32_t rowsPerTile = 0;  ///< feature rows of one tile, with its class token
  uint32_t featureRows = 0;  ///< of all tiles that are there
  uint32_t promptTokens = 1; ///< <|image|>
};

/// `size` has at least one pixel; `config` has passed checkConfig.
MllamaLayout layoutOf(ImageSize size, const MllamaImageConfig &config);

/// All grids of at most `maxTiles` tiles in the order of their ids, which begin at 1.
std::vector<Grid> aspectRatios(uint32_t maxTiles);

/// The tiles of `image` that are there; normalizeTiles(.., maxTiles) adds the absent ones. Errors:
/// OutOfMemory.
Result<Tiles> makeTiles(const RgbImage &image, const MllamaImageConfig &config);

/// Text positions [begin, end) that see a picture. `toTheEnd`: also all that follow the prompt.
struct CrossInterval {
  uint32_t begin, end;
  bool toTheEnd;

  bool sees(uint64_t position) const { return position >= begin && (toTheEnd || position < end); }
  bool operator==(const CrossInterval &) const = default;
};

/// Which positions see which of the `images` pictures, one interval for each: from its <|image|> to
/// the next one; pictures that follow each other directly are seen together, and what follows the
/// last picture sees it to the end. Errors: InvalidInput where marks and pictures differ in number.
Result<std::vector<CrossInterval>> crossIntervals(std::span<const int32_t> ids, int32_t image,
                                                  size_t images);

} // namespace llama4::image

#endif // LLAMA4_RUNTIME_IMAGE_MLLAMAIMAGES_H
