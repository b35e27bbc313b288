//===- CheckImages.cpp - what a program says about pictures ---------------===//
//
// Grids of rotary angles and the facts of ImageInfo, in themselves. That entries and pools fit them
// is for the engine that makes the pools.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/CheckField.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace llama4::check {

static Status checkGrids(const std::vector<RopeGrid> &grids) {
  LLAMA4_RETURN_IF_ERROR(inRange("grids (number)", grids.size(), 0, 64));
  Names names;
  for (size_t i = 0; i < grids.size(); ++i) {
    const std::string at = atIndex("grids", i);
    LLAMA4_RETURN_IF_ERROR(names.add(at + ".name", grids[i].name));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows", grids[i].rows, 1, limits::maxGridSide));
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".columns", grids[i].columns, 1, limits::maxGridSide));
    LLAMA4_RETURN_IF_ERROR(
        inRange(at + ".inv_freq (number)", grids[i].invFreq.size(), 1, limits::maxRopeValues));
    for (size_t v = 0; v < grids[i].invFreq.size(); ++v)
      if (!std::isfinite(grids[i].invFreq[v]))
        return badField(atIndex(at + ".inv_freq", v), "no finite number", "a finite number");
  }
  return {};
}

/// Sizes that divide each other, within what pictures are decoded to.
static Status checkSizes(const ImageInfo &images) {
  LLAMA4_RETURN_IF_ERROR(inRange("images.image_size", images.imageSize, 1, limits::maxTileSide));
  LLAMA4_RETURN_IF_ERROR(inRange("images.patch_size", images.patchSize, 1, images.imageSize));
  if (images.imageSize % images.patchSize != 0)
    return badField("images.patch_size", std::to_string(images.patchSize),
                    "a divisor of the image size, " + std::to_string(images.imageSize));
  LLAMA4_RETURN_IF_ERROR(inRange("images.max_tiles", images.maxTiles, 1, limits::maxImageTiles));
  const uint64_t side = images.imageSize / images.patchSize, patches = side * side;
  const uint64_t tokens = images.tokensPerTile;
  if (images.family == ImageFamily::Mllama) {
    LLAMA4_RETURN_IF_ERROR(inRange("images.tokens_per_tile", tokens, patches + 1, patches + 1));
  } else {
    const auto shuffle =
        tokens
            ? static_cast<uint64_t>(std::lround(std::sqrt(static_cast<double>(patches / tokens))))
            : 0;
    if (shuffle == 0 || side % shuffle != 0 || (side / shuffle) * (side / shuffle) != tokens)
      return badField("images.tokens_per_tile", std::to_string(tokens),
                      "the " + std::to_string(patches) +
                          " patches of a tile, or those of a "
                          "coarser square grid");
  }
  return inRange("images.max_feature_rows", images.maxFeatureRows, images.unitRows(),
                 limits::maxSymbol);
}

/// (value * rescale - mean) / deviation is a number that float32 holds.
static Status checkNormalization(const ImageInfo &images) {
  auto isNormal = [](double value) { return std::isfinite(value) && std::fabs(value) <= 1e6; };
  for (size_t c = 0; c < 3; ++c) {
    if (!isNormal(images.mean[c]))
      return badField(atIndex("images.mean", c), std::to_string(images.mean[c]),
                      "a number of at most 1e6");
    if (!isNormal(images.deviation[c]) || images.deviation[c] < 1e-6)
      return badField(atIndex("images.deviation", c), std::to_string(images.deviation[c]),
                      "a number from 1e-6 to 1e6");
  }
  if (!isNormal(images.rescale) || images.rescale < 1e-6)
    return badField("images.rescale", std::to_string(images.rescale), "a number from 1e-6 to 1e6");
  return {};
}

/// Ids that a token table may have: Llama 3.2 Vision keeps its image token behind the vocabulary.
static Status checkTokens(const ImageInfo &images, uint32_t vocabulary) {
  const std::pair<const char *, int32_t> ids[] = {
      {"image_token", images.imageToken},  {"patch_token", images.patchToken},
      {"start_token", images.startToken},  {"end_token", images.endToken},
      {"tile_x_token", images.tileXToken}, {"tile_y_token", images.tileYToken}};
  const bool extra = images.family == ImageFamily::Mllama;
  for (const auto &[name, id] : ids) {
    const uint64_t end = uint64_t{vocabulary} + (extra && id == images.imageToken ? 1 : 0);
    if (id < -1 || (id >= 0 && static_cast<uint64_t>(id) >= end))
      return badField(std::string("images.") + name, std::to_string(id),
                      "-1 or a token id below " + std::to_string(end));
  }
  return {};
}

/// An id behind the vocabulary needs a row in every table that commands look ids up in.
static Status checkTables(const ProgramDesc &program) {
  if (program.images.imageToken < static_cast<int64_t>(program.model.vocabSize))
    return {};
  for (const Entry &entry : program.entries)
    for (const Command &command : entry.commands) {
      auto readsIds = [&](const Binding &b) {
        return b.kind == BindingKind::Input && entry.inputs[b.index].role == InputRole::Ids;
      };
      if (std::none_of(command.bindings.begin(), command.bindings.end(), readsIds))
        continue;
      for (const Binding &b : command.bindings)
        if (b.kind == BindingKind::Weight && program.weights[b.index].rows > 1 &&
            program.weights[b.index].rows <= static_cast<uint64_t>(program.images.imageToken))
          return badField("images.image_token", std::to_string(program.images.imageToken),
                          "a row of " + quoteName(program.weights[b.index].name));
    }
  return {};
}

Status checkImages(const ProgramDesc &program) {
  LLAMA4_RETURN_IF_ERROR(checkGrids(program.grids));
  if (!program.images.present())
    return {};
  LLAMA4_RETURN_IF_ERROR(checkSizes(program.images));
  LLAMA4_RETURN_IF_ERROR(checkNormalization(program.images));
  return checkTokens(program.images, program.model.vocabSize);
}

Status checkImageTokens(const ProgramDesc &program) {
  return program.images.present() ? checkTables(program) : Status();
}

} // namespace llama4::check
