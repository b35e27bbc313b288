//===- Config.cpp - the facts that make a Llama 4 text model --------------===//

#include "models/llama4/Config.h"

#include "runtime/format/Quoted.h"

#include <algorithm>
#include <array>

namespace llama4::llama4text {

// Larger than any model; products of two of them fit in int64 with room to spare.
static constexpr int64_t kMaxWidth = int64_t{1} << 20;
/// Extents of a vision tower: their products stay below 2^50.
static constexpr int64_t kMaxVisionSize = int64_t{1} << 16;
static constexpr int64_t kMaxLayers = 4096;
static constexpr int64_t kMaxExperts = 65536;
static constexpr int64_t kMaxPositions = int64_t{1} << 40;
static constexpr double kDefaultTheta = 500000.0;

int64_t ModelConfig::countLayers(bool chunked) const {
  return std::count_if(layers.begin(), layers.end(),
                       [chunked](const LayerFacts &layer) { return layer.isChunked == chunked; });
}

/// Layers with a mixture of experts: `moe_layers`, or every interleave_moe_layer_step-th.
static Status readExperts(const Config &text, ModelConfig &model) {
  const auto layers = static_cast<int64_t>(model.layers.size());
  LLAMA4_ASSIGN_OR_RETURN(int64_t step,
                          text.integer("interleave_moe_layer_step", 1, kMaxLayers, 1));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> listed, text.integers("moe_layers", 0, layers - 1));
  const bool isListed = text.has("moe_layers");
  bool agrees = true, anyMoe = false, anyDense = false;
  for (int64_t i = 0; i < layers; ++i) {
    const bool byStep = (i + 1) % step == 0;
    const bool byList = std::find(listed.begin(), listed.end(), i) != listed.end();
    agrees &= byStep == byList;
    const bool usesMoe = isListed ? byList : byStep;
    model.layers[static_cast<size_t>(i)].usesMoe = usesMoe;
    (usesMoe ? anyMoe : anyDense) = true;
  }
  if (isListed && !agrees && text.has("interleave_moe_layer_step"))
    model.remarks.push_back(text.file() + ": moe_layers counts, interleave_moe_layer_step, which "
                                          "says something else, does not");
  if (anyDense) {
    LLAMA4_ASSIGN_OR_RETURN(model.intermediateSizeMlp,
                            text.integer("intermediate_size_mlp", 1, kMaxWidth));
  }
  if (!anyMoe) {
    text.acknowledge({"num_local_experts", "num_experts_per_tok", "intermediate_size_mlp"});
    return {};
  }
  text.acknowledge({"intermediate_size_mlp"});
  LLAMA4_ASSIGN_OR_RETURN(model.experts, text.integer("num_local_experts", 1, kMaxExperts));
  LLAMA4_ASSIGN_OR_RETURN(model.expertsPerToken,
                          text.integer("num_experts_per_tok", 1, model.experts, 1));
  return {};
}

/// Layers with rotary positions: `no_rope_layers` has a 1 for each; where it is absent or empty,
/// all but every no_rope_layer_interval-th.
static Status readRopeLayers(const Config &text, ModelConfig &model) {
  const size_t layers = model.layers.size();
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> listed, text.integers("no_rope_layers", 0, 1));
  LLAMA4_ASSIGN_OR_RETURN(int64_t interval,
                          text.integer("no_rope_layer_interval", 1, kMaxLayers, 4));
  if (!listed.empty() && listed.size() != layers)
    return text.error("no_rope_layers", std::to_string(listed.size()) + " entries",
                      "none, or one for each of " + std::to_string(layers) + " layers");
  for (size_t i = 0; i < layers; ++i) {
    const bool byInterval = (static_cast<int64_t>(i) + 1) % interval != 0;
    const bool byList = listed.empty() ? byInterval : listed[i] == 1;
    if (byList != byInterval && text.has("no_rope_layer_interval"))
      return text.error(
          "no_rope_layers", std::to_string(listed[i]) + " for layer " + std::to_string(i),
          "what no_rope_layer_interval, " + std::to_string(interval) + ", says, or no such field");
    model.layers[i].usesRope = byList;
  }
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> types, text.strings("layer_types"));
  if (!types.empty() && types.size() != layers)
    return text.error("layer_types", std::to_string(types.size()) + " entries",
                      "one for each of " + std::to_string(layers) + " layers");
  for (size_t i = 0; i < types.size(); ++i) {
    const char *expected = model.layers[i].usesRope ? "chunked_attention" : "full_attention";
    if (types[i] != expected)
      return text.error("layer_types", quoteName(types[i]) + " for layer " + std::to_string(i),
                        std::string(expected) + ", as no_rope_layers says");
  }
  return {};
}

/// True, false or a number, of which 0 means false.
static Result<bool> readTruth(const Config &text, std::string_view name, bool fallback) {
  if (Result<bool> truth = text.boolean(name, fallback); truth.ok())
    return truth;
  Result<int64_t> number = text.integer(name, 0, kMaxPositions);
  if (!number.ok())
    return text.error(name, "something else", "true, false or an integer of at least 0");
  return *number != 0;
}

static Status readAttention(const Config &text, ModelConfig &model) {
  LLAMA4_RETURN_IF_ERROR(readRopeLayers(text, model));
  constexpr int64_t kDefaultChunk = 8192;
  const int64_t fallback = text.isNull("attention_chunk_size") ? 0 : kDefaultChunk;
  const int64_t least = text.has("attention_chunk_size") ? 1 : 0;
  LLAMA4_ASSIGN_OR_RETURN(model.chunk,
                          text.integer("attention_chunk_size", least, kMaxPositions, fallback));
  LLAMA4_ASSIGN_OR_RETURN(model.usesQkNorm, text.boolean("use_qk_norm", true));
  LLAMA4_ASSIGN_OR_RETURN(model.attentionBias, text.boolean("attention_bias", false));
  LLAMA4_ASSIGN_OR_RETURN(model.tunesTemperature, readTruth(text, "attn_temperature_tuning", true));
  LLAMA4_ASSIGN_OR_RETURN(model.attnScale, text.number("attn_scale", 0, 1e6, 0.1));
  LLAMA4_ASSIGN_OR_RETURN(model.floorScale, text.integer("floor_scale", 1, kMaxPositions, 8192));
  LLAMA4_ASSIGN_OR_RETURN(model.rope, text.rope(kDefaultTheta));
  int64_t chunked = 0, full = 0;
  for (LayerFacts &layer : model.layers) {
    layer.isChunked = layer.usesRope && model.chunk > 0;
    layer.stateLayer = (layer.isChunked ? chunked : full)++;
  }
  return {};
}

static Status readSwitches(const Config &text, ModelConfig &model) {
  LLAMA4_RETURN_IF_ERROR(models::readActivation(text));
  LLAMA4_ASSIGN_OR_RETURN(std::string type, text.string("model_type", "llama4_text"));
  if (type != "llama4_text")
    return text.error("model_type", quoteName(type), "llama4_text");
  LLAMA4_ASSIGN_OR_RETURN(model.tieWordEmbeddings, text.boolean("tie_word_embeddings", false));
  LLAMA4_ASSIGN_OR_RETURN(model.storedType, text.dtype());
  // Training, caches, what a run returns besides: they don't change what a trained model computes.
  text.acknowledge({"attention_dropout", "initializer_range", "use_cache", "transformers_version",
                    "torch_dtype", "dtype", "pad_token_id", "_name_or_path", "return_dict",
                    "output_attentions", "output_hidden_states", "output_router_logits",
                    "router_aux_loss_coef", "router_jitter_noise", "for_llm_compressor",
                    "_attn_implementation_autoset", "unk_token_id"});
  return {};
}

/// Parameters of the vision tower and its projector (vision_model.*, multi_modal_projector.*), 0
/// where a field is missing: only text is compiled, nothing else needs them.
static Result<int64_t> countVisionParameters(const Config &vision, int64_t textHidden) {
  std::array<int64_t, 9> fields = {};
  constexpr std::array<const char *, 9> names = {
      "hidden_size",         "intermediate_size",    "num_hidden_layers",
      "num_channels",        "image_size",           "patch_size",
      "projector_input_dim", "projector_output_dim", "vision_output_dim"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (!vision.has(names[i]))
      return 0;
    LLAMA4_ASSIGN_OR_RETURN(fields[i], vision.integer(names[i], 1, kMaxVisionSize));
  }
  const auto [hidden, inner, layers, channels, image, patch, adapterIn, adapterOut, output] =
      fields;
  const int64_t side = image / patch;
  const int64_t attention = 4 * (hidden * hidden + hidden);
  const int64_t mlp = 2 * hidden * inner + inner + hidden;
  const int64_t norms = 2 * 2 * hidden; // weights and biases, before and behind the layers too
  return channels * patch * patch * hidden + hidden + (side * side + 1) * hidden + norms +
         layers * (attention + mlp + norms) + inner * adapterIn + adapterOut * adapterOut +
         output * textHidden;
}

/// The fields around text_config, none of which concerns the text part.
static Status readOuter(const Config &config, bool withVision, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(std::string type, config.string("model_type", "llama4"));
  if (type != "llama4")
    return config.error("model_type", quoteName(type), "llama4");
  LLAMA4_ASSIGN_OR_RETURN(bool tied,
                          config.boolean("tie_word_embeddings", model.tieWordEmbeddings));
  if (tied != model.tieWordEmbeddings)
    return config.error("tie_word_embeddings", tied ? "true" : "false",
                        "what text_config says, " +
                            std::string(model.tieWordEmbeddings ? "true" : "false"));
  if (!model.storedType) {
    LLAMA4_ASSIGN_OR_RETURN(model.storedType, config.dtype());
  }
  config.acknowledge({"boi_token_index", "eoi_token_index", "image_token_index", "dtype",
                      "torch_dtype", "transformers_version"});
  if (withVision && config.has("vision_config")) {
    LLAMA4_ASSIGN_OR_RETURN(model.vision,
                            llama4vision::readVisionConfig(config, model.vocabularySize));
  } else if (config.has("vision_config")) {
    LLAMA4_ASSIGN_OR_RETURN(Config vision, config.section("vision_config"));
    vision.acknowledgeAll();
    LLAMA4_ASSIGN_OR_RETURN(model.visionParameters,
                            countVisionParameters(vision, model.hiddenSize));
  }
  return {};
}

Result<ModelConfig> readConfig(const Checkpoint &checkpoint, bool withVision) {
  const Config &config = checkpoint.config();
  ModelConfig model;
  model.isMultimodal = config.has("text_config");
  std::optional<Config> section;
  if (model.isMultimodal) {
    LLAMA4_ASSIGN_OR_RETURN(section, config.section("text_config"));
  }
  const Config &text = section ? *section : config;
  LLAMA4_RETURN_IF_ERROR(
      models::readSizes(text, {.maxPosition = std::nullopt, .rmsNormEps = 1e-5}, model));
  LLAMA4_ASSIGN_OR_RETURN(model.intermediateSize, text.integer("intermediate_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(int64_t layers, text.integer("num_hidden_layers", 1, kMaxLayers));
  model.layers.resize(static_cast<size_t>(layers));
  LLAMA4_RETURN_IF_ERROR(readExperts(text, model));
  LLAMA4_RETURN_IF_ERROR(readAttention(text, model));
  LLAMA4_RETURN_IF_ERROR(readSwitches(text, model));
  if (section)
    LLAMA4_RETURN_IF_ERROR(readOuter(config, withVision, model));
  LLAMA4_ASSIGN_OR_RETURN(model.tokens,
                          models::readTokenIds(checkpoint, text, model.vocabularySize));
  LLAMA4_ASSIGN_OR_RETURN(model.quantization, CompressedTensors::read(config));
  return model;
}

} // namespace llama4::llama4text
