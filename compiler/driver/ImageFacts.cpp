//===- ImageFacts.cpp - how a checkpoint wants its pictures ---------------===//

#include "compiler/driver/ImageFacts.h"

#include "runtime/text/Tokenizer.h"

#include <algorithm>

namespace llama4 {

/// What the published models have.
static void setFamilyDefaults(ImageInfo &images) {
  if (images.family != ImageFamily::Mllama)
    return;
  constexpr double mean[] = {0.48145466, 0.4578275, 0.40821073};
  constexpr double deviation[] = {0.26862954, 0.26130258, 0.27577711};
  std::copy(std::begin(mean), std::end(mean), images.mean);
  std::copy(std::begin(deviation), std::end(deviation), images.deviation);
}

/// The image processor's configuration, in the layout of either version; nothing where there is
/// none.
static Result<std::optional<Config>> findProcessor(const Checkpoint &checkpoint) {
  std::optional<Config> found;
  if (checkpoint.preprocessorConfig()) {
    LLAMA4_ASSIGN_OR_RETURN(
        found, Config::parse(*checkpoint.preprocessorConfig(), "preprocessor_config.json"));
  } else if (checkpoint.processorConfig()) {
    LLAMA4_ASSIGN_OR_RETURN(Config whole,
                            Config::parse(*checkpoint.processorConfig(), "processor_config.json"));
    if (whole.has("image_processor")) {
      LLAMA4_ASSIGN_OR_RETURN(found, whole.section("image_processor"));
    }
  }
  return found;
}

/// Three numbers in place of those that are in `values`, where the configuration has the field.
static Status readColours(const Config &config, const char *name, double least, double *values) {
  if (!config.has(name))
    return {};
  LLAMA4_ASSIGN_OR_RETURN(std::vector<double> given, config.numbers(name, least, 1e3));
  if (given.size() != 3)
    return config.error(name, std::to_string(given.size()) + " numbers", "three, for each colour");
  std::copy(given.begin(), given.end(), values);
  return {};
}

/// Both sides of the tiles are what the model was made for.
static Status checkSize(const Config &config, const ImageInfo &images) {
  if (!config.has("size"))
    return {};
  LLAMA4_ASSIGN_OR_RETURN(Config size, config.section("size"));
  for (const char *side : {"height", "width"}) {
    LLAMA4_ASSIGN_OR_RETURN(int64_t found, size.integer(side, 1, 65536));
    if (found != images.imageSize)
      return size.error(side, std::to_string(found),
                        std::to_string(images.imageSize) + ", the model's image_size");
  }
  return {};
}

static Status readProcessor(const Config &config, ImageInfo &images) {
  LLAMA4_RETURN_IF_ERROR(checkSize(config, images));
  for (const char *step : {"do_resize", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb"}) {
    LLAMA4_ASSIGN_OR_RETURN(bool done, config.boolean(step, true));
    if (!done)
      return config.error(step, "false", "true");
  }
  LLAMA4_RETURN_IF_ERROR(readColours(config, "image_mean", -1e3, images.mean));
  LLAMA4_RETURN_IF_ERROR(readColours(config, "image_std", 1e-6, images.deviation));
  LLAMA4_ASSIGN_OR_RETURN(images.rescale,
                          config.number("rescale_factor", 1e-6, 1e3, images.rescale));
  LLAMA4_ASSIGN_OR_RETURN(int64_t filter, config.integer("resample", 0, 5, 2));
  if (filter != 2 && filter != 3)
    return config.error("resample", std::to_string(filter), "2 (bilinear) or 3 (bicubic)");
  images.filter = filter == 2 ? ImageFilter::Bilinear : ImageFilter::Bicubic;
  const int64_t tiles = images.maxTiles;
  if (images.family == ImageFamily::Mllama) {
    LLAMA4_ASSIGN_OR_RETURN(int64_t found, config.integer("max_image_tiles", 1, 64, tiles));
    if (found != tiles)
      return config.error("max_image_tiles", std::to_string(found),
                          std::to_string(tiles) + ", the model's max_num_tiles");
    return {};
  }
  LLAMA4_ASSIGN_OR_RETURN(int64_t most, config.integer("max_patches", 1, 64, tiles));
  images.maxTiles = static_cast<uint32_t>(most);
  LLAMA4_ASSIGN_OR_RETURN(images.resizeToMaxCanvas, config.boolean("resize_to_max_canvas", false));
  return {};
}

/// Ids that the model does not name itself; a control token of another name stays unknown.
static Status readTokens(const std::string &section, ImageInfo &images) {
  if (section.empty())
    return {};
  LLAMA4_ASSIGN_OR_RETURN(text::Tokenizer tokenizer,
                          text::Tokenizer::fromSection(std::as_bytes(std::span(section))));
  const std::pair<const char *, int32_t *> ids[] = {{"<|image|>", &images.imageToken},
                                                    {"<|patch|>", &images.patchToken},
                                                    {"<|image_start|>", &images.startToken},
                                                    {"<|image_end|>", &images.endToken},
                                                    {"<|tile_x_separator|>", &images.tileXToken},
                                                    {"<|tile_y_separator|>", &images.tileYToken}};
  for (const auto &[name, id] : ids) {
    const bool needed = images.family == ImageFamily::Llama4 || id == &images.imageToken;
    std::optional<text::TokenId> found = tokenizer.idOf(name);
    if (needed && *id < 0 && found && tokenizer.isSpecial(*found))
      *id = *found;
  }
  return {};
}

Status readImageFacts(const Checkpoint &checkpoint, const std::string &tokenizer,
                      ImageInfo &images) {
  if (!images.present())
    return {};
  setFamilyDefaults(images);
  LLAMA4_ASSIGN_OR_RETURN(std::optional<Config> processor, findProcessor(checkpoint));
  if (processor)
    LLAMA4_RETURN_IF_ERROR(readProcessor(*processor, images));
  return readTokens(tokenizer, images);
}

} // namespace llama4
