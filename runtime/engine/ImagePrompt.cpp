//===- ImagePrompt.cpp - from pictures and tokens to a prompt -------------===//

#include "runtime/engine/ImagePrompt.h"

#include <cmath>

namespace llama4 {

/// The facts of a program as runtime/image takes them.
static void configure(const ImageInfo &info, image::TileConfig &config) {
  config.side = info.imageSize;
  config.maxTiles = info.maxTiles;
  config.patchSide = info.patchSize;
  config.filter = info.filter == ImageFilter::Bicubic ? image::ResizeFilter::Bicubic
                                                      : image::ResizeFilter::Bilinear;
  std::copy(std::begin(info.mean), std::end(info.mean), config.normalization.mean.begin());
  std::copy(std::begin(info.deviation), std::end(info.deviation),
            config.normalization.deviation.begin());
  config.normalization.rescale = info.rescale;
}

ImagePreparer::ImagePreparer(const ImageInfo &info) : info_(info) {
  configure(info, llama4_);
  configure(info, mllama_);
  llama4_.resizeToMaxCanvas = info.resizeToMaxCanvas;
  const double across = std::sqrt(static_cast<double>(info.tokensPerTile));
  llama4_.shuffle =
      info.imageSize / info.patchSize / std::max(1u, static_cast<uint32_t>(std::lround(across)));
  table_ = makePixelTable(isLlama4() ? llama4_.normalization : mllama_.normalization);
}

Result<ImagePreparer> ImagePreparer::create(const ImageInfo &info, size_t images) {
  if (!info.present())
    return Status::invalidInput("images: found " + std::to_string(images) +
                                " for a model of text alone, expected none; take a model that was "
                                "compiled with its image part.");
  ImagePreparer made(info);
  LLAMA4_RETURN_IF_ERROR(made.isLlama4() ? checkConfig(made.llama4_) : checkConfig(made.mllama_));
  return made;
}

Result<PreparedImage> ImagePreparer::prepare(const image::RgbImage &image) const {
  PreparedImage made;
  made.size = image.size;
  Result<image::Tiles> tiles = isLlama4() ? makeTiles(image, llama4_) : makeTiles(image, mllama_);
  LLAMA4_RETURN_IF_ERROR(tiles.status());
  if (isLlama4()) {
    made.grid = layoutOf(image.size, llama4_).grid;
  } else {
    const image::MllamaLayout layout = layoutOf(image.size, mllama_);
    made.grid = layout.grid;
    made.pixels.aspectRatioId = layout.aspectRatioId;
  }
  made.pixels.tiles = tiles->count;
  made.pixels.pixels = normalizeTiles(*tiles, table_);
  made.pixels.makeKey();
  return made;
}

Result<ImagePlaces> ImagePreparer::findPlaces(std::span<const int32_t> ids, uint64_t units) const {
  ImagePlaces places;
  if (!isLlama4()) {
    LLAMA4_ASSIGN_OR_RETURN(std::vector<image::CrossInterval> intervals,
                            image::crossIntervals(ids, info_.imageToken, units));
    for (size_t t = 0; t < ids.size(); ++t) {
      auto sees = [t](const image::CrossInterval &interval) { return interval.sees(t); };
      auto first = std::find_if(intervals.begin(), intervals.end(), sees);
      const auto count = std::count_if(intervals.begin(), intervals.end(), sees);
      places.first.push_back(count ? static_cast<int32_t>(first - intervals.begin()) : 0);
      places.count.push_back(static_cast<int32_t>(count));
    }
    return places;
  }
  int32_t next = 0;
  for (int32_t id : ids)
    places.featureRows.push_back(info_.patchToken >= 0 && id == info_.patchToken ? next++ : -1);
  const uint64_t rows = units * info_.tokensPerTile;
  if (static_cast<uint64_t>(next) != rows)
    return Status::invalidInput("found " + std::to_string(next) +
                                " tokens <|patch|> in the prompt, expected one for each of the " +
                                std::to_string(rows) +
                                " feature rows of its images; give the missing images, or a prompt "
                                "that has a mark <|image|> for each.");
  return places;
}

/// Puts the tokens of Llama 4's pictures into a prompt.
Result<ImagePlaces> ImagePreparer::expand(std::span<const int32_t> ids,
                                          std::span<const PreparedImage> images,
                                          std::vector<int32_t> &expanded) const {
  const image::Llama4ImageIds tokens = {info_.startToken, info_.imageToken, info_.endToken,
                                        info_.patchToken, info_.tileXToken, info_.tileYToken};
  for (int32_t id : // a prompt without pictures needs none of them
       {tokens.imageStart, tokens.image, tokens.imageEnd, tokens.patch, tokens.tileX, tokens.tileY})
    if (id < 0 && !images.empty())
      return Status::invalidInput("images: found a model without the tokens <|image_start|>, "
                                  "<|image|>, <|patch|>, ... in its tokenizer, expected them; "
                                  "compile the checkpoint with the tokenizer of its model.");
  std::vector<image::Llama4Layout> layouts;
  for (const PreparedImage &image : images)
    layouts.push_back(layoutOf(image.size, llama4_));
  LLAMA4_ASSIGN_OR_RETURN(image::ExpandedPrompt prompt, expandPrompt(ids, layouts, tokens));
  expanded = std::move(prompt.ids);
  ImagePlaces places;
  places.featureRows = std::move(prompt.featureRows);
  return places;
}

Result<ImagePrompt> ImagePreparer::place(std::span<const int32_t> ids,
                                         std::vector<PreparedImage> images) const {
  ImagePrompt prompt;
  auto made = std::make_shared<PromptImages>();
  const bool isWhole = isLlama4() && info_.patchToken >= 0 &&
                       std::find(ids.begin(), ids.end(), info_.patchToken) != ids.end();
  if (isLlama4() && !isWhole) {
    LLAMA4_ASSIGN_OR_RETURN(made->places, expand(ids, images, prompt.ids));
  } else {
    uint64_t units = images.size();
    if (isLlama4()) {
      units = 0;
      for (const PreparedImage &image : images)
        units += image.pixels.tiles;
    }
    prompt.ids.assign(ids.begin(), ids.end());
    LLAMA4_ASSIGN_OR_RETURN(made->places, findPlaces(ids, units));
  }
  for (PreparedImage &image : images)
    made->images.push_back(std::move(image.pixels));
  if (!made->images.empty())
    prompt.images = std::move(made);
  return prompt;
}

} // namespace llama4
