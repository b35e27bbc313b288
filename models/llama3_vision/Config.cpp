//===- Config.cpp - the facts that make a Llama 3.2 Vision model ----------===//

#include "models/llama3_vision/Config.h"

#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4::llama3_vision {

static constexpr int64_t kMaxWidth = int64_t{1} << 20;
/// Extents of a tower: their products stay below 2^50.
static constexpr int64_t kMaxSize = int64_t{1} << 16;
static constexpr int64_t kMaxLayers = 4096;
/// Rows of the embedding table behind those of the vocabulary: the image token and spare ones.
static constexpr int64_t kExtraEmbeddings = 8;
static constexpr double kDefaultTheta = 500000.0;

int64_t ModelConfig::crossLayers() const {
  return std::count_if(facts.begin(), facts.end(),
                       [](const LayerFacts &layer) { return layer.isCross; });
}

/// A field with a text that has to be `expected` where it is there.
static Status readText(const Config &config, const char *name, const char *expected) {
  LLAMA4_ASSIGN_OR_RETURN(std::string found, config.string(name, expected));
  return found == expected ? Status() : config.error(name, quoteName(found), expected);
}

/// True where `numbers` ascend without repetition.
static bool ascends(const std::vector<int64_t> &numbers) {
  return std::adjacent_find(numbers.begin(), numbers.end(), std::greater_equal<>()) ==
         numbers.end();
}

static Status readCrossLayers(const Config &text, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> cross,
                          text.integers("cross_attention_layers", 0, model.layers - 1));
  if (cross.empty() || !ascends(cross) || static_cast<int64_t>(cross.size()) == model.layers)
    return text.error("cross_attention_layers", std::to_string(cross.size()) + " layers",
                      "some but not all layers in ascending order");
  int64_t self = 0, images = 0;
  for (int64_t i = 0; i < model.layers; ++i) {
    const bool isCross = std::binary_search(cross.begin(), cross.end(), i);
    model.facts.push_back({isCross, isCross ? images++ : self++});
  }
  return {};
}

static Status readTextConfig(const Config &text, ModelConfig &model) {
  LLAMA4_RETURN_IF_ERROR(
      models::readSizes(text, {.maxPosition = 131072, .rmsNormEps = 1e-5}, model));
  LLAMA4_ASSIGN_OR_RETURN(model.intermediateSize, text.integer("intermediate_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.layers, text.integer("num_hidden_layers", 1, kMaxLayers));
  LLAMA4_RETURN_IF_ERROR(readCrossLayers(text, model));
  LLAMA4_RETURN_IF_ERROR(models::readActivation(text));
  LLAMA4_RETURN_IF_ERROR(readText(text, "model_type", "mllama_text_model"));
  LLAMA4_ASSIGN_OR_RETURN(bool isTied, text.boolean("tie_word_embeddings", false));
  if (isTied)
    return text.error("tie_word_embeddings", "true",
                      "false: the embedding has more rows than the head");
  LLAMA4_ASSIGN_OR_RETURN(model.rope, text.rope(kDefaultTheta));
  LLAMA4_ASSIGN_OR_RETURN(model.storedType, text.dtype());
  model.extraEmbeddings = kExtraEmbeddings;
  text.acknowledge({"dropout", "initializer_range", "use_cache", "pad_token_id", "unk_token_id",
                    "torch_dtype", "dtype", "transformers_version", "_name_or_path", "return_dict",
                    "output_attentions", "output_hidden_states", "_attn_implementation_autoset"});
  return {};
}

static Status readVisionSizes(const Config &config, VisionConfig &vision) {
  const std::pair<const char *, int64_t *> fields[] = {
      {"hidden_size", &vision.hiddenSize},
      {"attention_heads", &vision.heads},
      {"intermediate_size", &vision.intermediateSize},
      {"num_hidden_layers", &vision.layers},
      {"num_global_layers", &vision.globalLayers},
      {"image_size", &vision.imageSize},
      {"patch_size", &vision.patchSize},
  };
  for (const auto &[name, value] : fields) {
    LLAMA4_ASSIGN_OR_RETURN(*value, config.integer(name, 1, kMaxSize));
  }
  LLAMA4_ASSIGN_OR_RETURN(vision.channels, config.integer("num_channels", 1, 16, 3));
  LLAMA4_ASSIGN_OR_RETURN(vision.maxTiles, config.integer("max_num_tiles", 1, 64, 4));
  if (vision.hiddenSize % vision.heads != 0)
    return config.error("attention_heads", std::to_string(vision.heads),
                        "a divisor of hidden_size, " + std::to_string(vision.hiddenSize));
  if (vision.imageSize % vision.patchSize != 0)
    return config.error("patch_size", std::to_string(vision.patchSize),
                        "a divisor of image_size, " + std::to_string(vision.imageSize));
  return {};
}

/// Ways of laying out 1 to `tiles` tiles in rows and columns: what supported_aspect_ratios lists.
static int64_t countAspectRatios(int64_t tiles) {
  int64_t count = 0;
  for (int64_t columns = 1; columns <= tiles; ++columns)
    count += tiles / columns;
  return count;
}

static Status readVisionConfig(const Config &config, VisionConfig &vision) {
  LLAMA4_RETURN_IF_ERROR(readVisionSizes(config, vision));
  LLAMA4_ASSIGN_OR_RETURN(vision.intermediateLayers,
                          config.integers("intermediate_layers_indices", 0, vision.layers - 1));
  if (!ascends(vision.intermediateLayers))
    return config.error("intermediate_layers_indices", "another order", "ascending layers");
  LLAMA4_ASSIGN_OR_RETURN(int64_t output,
                          config.integer("vision_output_dim", 1, kMaxWidth, vision.outputSize()));
  if (output != vision.outputSize())
    return config.error("vision_output_dim", std::to_string(output),
                        std::to_string(vision.outputSize()) +
                            ", the hidden_size once and for each intermediate layer");
  LLAMA4_RETURN_IF_ERROR(readText(config, "model_type", "mllama_vision_model"));
  LLAMA4_RETURN_IF_ERROR(readText(config, "hidden_act", "gelu"));
  LLAMA4_ASSIGN_OR_RETURN(vision.normEps, config.number("norm_eps", 0, 1, 1e-5));
  vision.aspectRatios = countAspectRatios(vision.maxTiles);
  config.acknowledge({"supported_aspect_ratios", "attention_dropout", "initializer_range",
                      "initializer_factor", "torch_dtype", "dtype", "transformers_version",
                      "_name_or_path", "return_dict", "output_attentions", "output_hidden_states",
                      "max_aspect_ratio_id", "_attn_implementation_autoset"});
  return {};
}

Result<ModelConfig> readConfig(const Checkpoint &checkpoint) {
  const Config &config = checkpoint.config();
  ModelConfig model;
  LLAMA4_RETURN_IF_ERROR(readText(config, "model_type", "mllama"));
  LLAMA4_ASSIGN_OR_RETURN(Config text, config.section("text_config"));
  LLAMA4_ASSIGN_OR_RETURN(Config vision, config.section("vision_config"));
  LLAMA4_RETURN_IF_ERROR(readTextConfig(text, model));
  LLAMA4_RETURN_IF_ERROR(readVisionConfig(vision, model.vision));
  LLAMA4_ASSIGN_OR_RETURN(model.imageTokenId,
                          config.integer("image_token_index", 0,
                                         model.vocabularySize + model.extraEmbeddings - 1,
                                         model.vocabularySize));
  if (!model.storedType) {
    LLAMA4_ASSIGN_OR_RETURN(model.storedType, config.dtype());
  }
  config.acknowledge({"dtype", "torch_dtype", "transformers_version", "tie_word_embeddings"});
  LLAMA4_ASSIGN_OR_RETURN(model.tokens,
                          models::readTokenIds(checkpoint, text, model.vocabularySize));
  LLAMA4_ASSIGN_OR_RETURN(model.quantization, CompressedTensors::read(config));
  return model;
}

} // namespace llama4::llama3_vision
