//===- VisionConfig.cpp - the facts that make a Llama 4 image tower -------===//

#include "models/llama4/VisionConfig.h"

#include "runtime/format/Quoted.h"

#include <cmath>

namespace llama4::llama4vision {

/// Extents of a tower: their products stay below 2^50.
static constexpr int64_t kMaxSize = int64_t{1} << 16;
static constexpr int64_t kMaxLayers = 4096;

static Status readExtents(const Config &config, VisionConfig &vision) {
  const std::pair<const char *, int64_t *> fields[] = {
      {"hidden_size", &vision.hiddenSize},
      {"num_attention_heads", &vision.heads},
      {"intermediate_size", &vision.intermediateSize},
      {"image_size", &vision.imageSize},
      {"patch_size", &vision.patchSize},
      {"projector_input_dim", &vision.adapterSize},
      {"projector_output_dim", &vision.featureSize},
  };
  for (const auto &[name, value] : fields) {
    LLAMA4_ASSIGN_OR_RETURN(*value, config.integer(name, 1, kMaxSize));
  }
  LLAMA4_ASSIGN_OR_RETURN(vision.layers, config.integer("num_hidden_layers", 1, kMaxLayers));
  LLAMA4_ASSIGN_OR_RETURN(vision.channels, config.integer("num_channels", 1, 16, 3));
  if (vision.hiddenSize % vision.heads != 0 || vision.headDim() % 4 != 0)
    return config.error("num_attention_heads", std::to_string(vision.heads),
                        "heads of a multiple of 4 columns in the hidden_size, " +
                            std::to_string(vision.hiddenSize));
  if (vision.imageSize % vision.patchSize != 0)
    return config.error("patch_size", std::to_string(vision.patchSize),
                        "a divisor of image_size, " + std::to_string(vision.imageSize));
  if (vision.featureSize != vision.adapterSize)
    return config.error("projector_output_dim", std::to_string(vision.featureSize),
                        "projector_input_dim, " + std::to_string(vision.adapterSize));
  LLAMA4_ASSIGN_OR_RETURN(int64_t output,
                          config.integer("vision_output_dim", 1, kMaxSize, vision.featureSize));
  if (output != vision.featureSize)
    return config.error("vision_output_dim", std::to_string(output),
                        "projector_output_dim, " + std::to_string(vision.featureSize));
  return {};
}

static Status readShuffle(const Config &config, VisionConfig &vision) {
  LLAMA4_ASSIGN_OR_RETURN(double ratio, config.number("pixel_shuffle_ratio", 1e-3, 1, 0.5));
  vision.shuffle = std::lround(1.0 / ratio);
  if (std::fabs(ratio * static_cast<double>(vision.shuffle) - 1.0) > 1e-9 ||
      vision.grid() % vision.shuffle != 0)
    return config.error("pixel_shuffle_ratio", std::to_string(ratio),
                        "1 / n where n divides the " + std::to_string(vision.grid()) +
                            " patches of a side");
  const int64_t width = vision.shuffle * vision.shuffle * vision.hiddenSize;
  if (vision.intermediateSize != width)
    return config.error("intermediate_size", std::to_string(vision.intermediateSize),
                        std::to_string(width) + ", the columns behind the pixel shuffle");
  return {};
}

static Status readSwitches(const Config &config, VisionConfig &vision) {
  const std::pair<const char *, const char *> texts[] = {
      {"model_type", "llama4_vision_model"},
      {"hidden_act", "gelu"},
      {"vision_feature_select_strategy", "default"},
  };
  for (const auto &[name, expected] : texts) {
    LLAMA4_ASSIGN_OR_RETURN(std::string found, config.string(name, expected));
    if (found != expected)
      return config.error(name, quoteName(found), expected);
  }
  LLAMA4_ASSIGN_OR_RETURN(bool hasBias, config.boolean("multi_modal_projector_bias", false));
  if (hasBias)
    return config.error("multi_modal_projector_bias", "true", "false");
  LLAMA4_ASSIGN_OR_RETURN(int64_t layer,
                          config.integer("vision_feature_layer", -1, kMaxLayers, -1));
  if (layer != -1)
    return config.error("vision_feature_layer", std::to_string(layer), "-1, the last");
  LLAMA4_ASSIGN_OR_RETURN(vision.normEps, config.number("norm_eps", 0, 1, 1e-5));
  LLAMA4_ASSIGN_OR_RETURN(RopeParameters rope, config.rope(10000.0));
  if (rope.scaling != RopeScaling::None)
    return config.error("rope_scaling", "a scaling", "none: places of a grid aren't scaled");
  vision.theta = rope.theta;
  config.acknowledge({"attention_dropout", "projector_dropout", "initializer_range", "torch_dtype",
                      "dtype", "transformers_version", "_name_or_path", "return_dict",
                      "output_attentions", "output_hidden_states", "_attn_implementation_autoset"});
  return {};
}

Result<VisionConfig> readVisionConfig(const Config &config, int64_t vocabularySize) {
  LLAMA4_ASSIGN_OR_RETURN(Config section, config.section("vision_config"));
  VisionConfig vision;
  LLAMA4_RETURN_IF_ERROR(readExtents(section, vision));
  LLAMA4_RETURN_IF_ERROR(readShuffle(section, vision));
  LLAMA4_RETURN_IF_ERROR(readSwitches(section, vision));
  LLAMA4_ASSIGN_OR_RETURN(vision.imageTokenId,
                          config.integer("image_token_index", 0, vocabularySize - 1));
  return vision;
}

} // namespace llama4::llama4vision
