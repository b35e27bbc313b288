//===- Config.cpp - the facts that make a Llama 4 text model --------------===//

#include "models/llama4/Config.h"

#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4::llama4text {

// Larger than any model; products of two of them fit in int64 with room to spare.
static constexpr int64_t kMaxWidth = int64_t{1} << 20;
static constexpr int64_t kMaxLayers = 4096;
static constexpr int64_t kMaxExperts = 65536;
static constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
static constexpr int64_t kMaxPositions = int64_t{1} << 40;
static constexpr double kDefaultTheta = 500000.0;

int64_t ModelConfig::countLayers(bool chunked) const {
  return std::count_if(layers.begin(), layers.end(),
                       [chunked](const LayerFacts &layer) { return layer.isChunked == chunked; });
}

static Status readSizes(const Config &text, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(model.vocabularySize, text.integer("vocab_size", 1, kMaxVocabulary));
  LLAMA4_ASSIGN_OR_RETURN(model.hiddenSize, text.integer("hidden_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.intermediateSize, text.integer("intermediate_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(int64_t layers, text.integer("num_hidden_layers", 1, kMaxLayers));
  model.layers.resize(static_cast<size_t>(layers));
  LLAMA4_ASSIGN_OR_RETURN(model.heads, text.integer("num_attention_heads", 1, 4096));
  LLAMA4_ASSIGN_OR_RETURN(model.kvHeads, text.integer("num_key_value_heads", 1, 4096, model.heads));
  LLAMA4_ASSIGN_OR_RETURN(model.maxPosition,
                          text.integer("max_position_embeddings", 1, kMaxPositions));
  LLAMA4_ASSIGN_OR_RETURN(model.rmsNormEps, text.number("rms_norm_eps", 0, 1, 1e-5));
  if (model.heads % model.kvHeads != 0)
    return text.error("num_key_value_heads", std::to_string(model.kvHeads),
                      "a divisor of num_attention_heads, " + std::to_string(model.heads));
  if (!text.has("head_dim") && model.hiddenSize % model.heads != 0)
    return text.error("hidden_size", std::to_string(model.hiddenSize),
                      "a multiple of num_attention_heads, " + std::to_string(model.heads) +
                          ", or a field head_dim");
  LLAMA4_ASSIGN_OR_RETURN(model.headDim,
                          text.integer("head_dim", 1, 65536, model.hiddenSize / model.heads));
  if (model.headDim % 2 != 0)
    return text.error("head_dim", std::to_string(model.headDim), "an even number, for RoPE");
  return {};
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
  if (model.rope.scaling == RopeScaling::FrequencyFactors)
    return text.error("rope_scaling", "frequency factors of a tensor", "llama3, linear or none");
  int64_t chunked = 0, full = 0;
  for (LayerFacts &layer : model.layers) {
    layer.isChunked = layer.usesRope && model.chunk > 0;
    layer.stateLayer = (layer.isChunked ? chunked : full)++;
  }
  return {};
}

static Status readSwitches(const Config &text, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(std::string activation, text.string("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish")
    return text.error("hidden_act", quoteName(activation), "silu");
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
                    "_attn_implementation_autoset"});
  return {};
}

/// The fields around text_config, none of which concerns the text part.
static Status readOuter(const Config &config, ModelConfig &model) {
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
  if (config.has("vision_config")) {
    LLAMA4_ASSIGN_OR_RETURN(Config vision, config.section("vision_config"));
    vision.acknowledgeAll();
  }
  return {};
}

Result<ModelConfig> readConfig(const Checkpoint &checkpoint) {
  const Config &config = checkpoint.config();
  ModelConfig model;
  model.isMultimodal = config.has("text_config");
  std::optional<Config> section;
  if (model.isMultimodal) {
    LLAMA4_ASSIGN_OR_RETURN(section, config.section("text_config"));
  }
  const Config &text = section ? *section : config;
  LLAMA4_RETURN_IF_ERROR(readSizes(text, model));
  LLAMA4_RETURN_IF_ERROR(readExperts(text, model));
  LLAMA4_RETURN_IF_ERROR(readAttention(text, model));
  LLAMA4_RETURN_IF_ERROR(readSwitches(text, model));
  if (section)
    LLAMA4_RETURN_IF_ERROR(readOuter(config, model));
  LLAMA4_ASSIGN_OR_RETURN(model.tokens,
                          models::readTokenIds(checkpoint, text, model.vocabularySize));
  LLAMA4_ASSIGN_OR_RETURN(model.quantization, CompressedTensors::read(config));
  return model;
}

} // namespace llama4::llama4text
