//===- Config.cpp - the facts that make a Llama 3 text model --------------===//

#include "models/llama3/Config.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Quoted.h"

#include <cmath>
#include <numbers>

namespace llama4::llama3 {

// Larger than any model; products of two of them fit in int64 with room to spare.
static constexpr int64_t kMaxWidth = int64_t{1} << 20;
static constexpr int64_t kMaxLayers = 4096;
static constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
static constexpr int64_t kMaxPositions = int64_t{1} << 40;
static constexpr double kDefaultTheta = 10000.0;

static Status readSizes(const Config &config, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(model.vocabularySize, config.integer("vocab_size", 1, kMaxVocabulary));
  LLAMA4_ASSIGN_OR_RETURN(model.hiddenSize, config.integer("hidden_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.intermediateSize,
                          config.integer("intermediate_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.layers, config.integer("num_hidden_layers", 1, kMaxLayers));
  LLAMA4_ASSIGN_OR_RETURN(model.heads, config.integer("num_attention_heads", 1, 4096));
  LLAMA4_ASSIGN_OR_RETURN(model.kvHeads,
                          config.integer("num_key_value_heads", 1, 4096, model.heads));
  LLAMA4_ASSIGN_OR_RETURN(model.maxPosition,
                          config.integer("max_position_embeddings", 1, kMaxPositions, 2048));
  LLAMA4_ASSIGN_OR_RETURN(model.rmsNormEps, config.number("rms_norm_eps", 0, 1, 1e-6));
  if (model.heads % model.kvHeads != 0)
    return config.error("num_key_value_heads", std::to_string(model.kvHeads),
                        "a divisor of num_attention_heads, " + std::to_string(model.heads));
  const int64_t derived = model.hiddenSize / model.heads;
  const bool isExplicit = config.has("head_dim");
  if (!isExplicit && model.hiddenSize % model.heads != 0)
    return config.error("hidden_size", std::to_string(model.hiddenSize),
                        "a multiple of num_attention_heads, " + std::to_string(model.heads) +
                            ", or a field head_dim");
  LLAMA4_ASSIGN_OR_RETURN(model.headDim, config.integer("head_dim", 1, 65536, derived));
  if (model.headDim % 2 != 0)
    return config.error("head_dim", std::to_string(model.headDim), "an even number, for RoPE");
  return {};
}

static Status readSwitches(const Config &config, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(model.tieWordEmbeddings, config.boolean("tie_word_embeddings", false));
  LLAMA4_ASSIGN_OR_RETURN(model.attentionBias, config.boolean("attention_bias", false));
  LLAMA4_ASSIGN_OR_RETURN(model.mlpBias, config.boolean("mlp_bias", false));
  LLAMA4_ASSIGN_OR_RETURN(std::string activation, config.string("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish")
    return config.error("hidden_act", quoteName(activation), "silu");
  LLAMA4_ASSIGN_OR_RETURN(std::string type, config.string("model_type", "llama"));
  if (type != "llama")
    return config.error("model_type", quoteName(type), "llama");
  LLAMA4_ASSIGN_OR_RETURN(model.storedType, config.dtype());
  // Slices of the matrices during pretraining, dropout, caches, initialisation: they don't change
  // what a trained model computes.
  config.acknowledge({"pretraining_tp", "attention_dropout", "initializer_range", "use_cache",
                      "transformers_version", "torch_dtype", "dtype", "pad_token_id",
                      "unk_token_id", "_name_or_path", "return_dict", "output_attentions",
                      "output_hidden_states"});
  return {};
}

Result<ModelConfig> readConfig(const Checkpoint &checkpoint) {
  ModelConfig model;
  LLAMA4_RETURN_IF_ERROR(readSizes(checkpoint.config(), model));
  LLAMA4_RETURN_IF_ERROR(readSwitches(checkpoint.config(), model));
  LLAMA4_ASSIGN_OR_RETURN(
      model.tokens, models::readTokenIds(checkpoint, checkpoint.config(), model.vocabularySize));
  return model;
}

//===----------------------------------------------------------------------===//
// Rotary frequencies. Every intermediate is rounded to float32, as tensors of transformers are.
//===----------------------------------------------------------------------===//

void scaleLlama3(const RopeParameters &rope, std::vector<float> &invFreq) {
  const auto original = static_cast<double>(rope.originalMaxPositionEmbeddings);
  const auto longest = static_cast<float>(original / rope.lowFreqFactor);
  const auto shortest = static_cast<float>(original / rope.highFreqFactor);
  const auto low = static_cast<float>(rope.lowFreqFactor);
  const auto band = static_cast<float>(rope.highFreqFactor - rope.lowFreqFactor);
  const auto factor = static_cast<float>(rope.factor);
  for (float &frequency : invFreq) {
    const float wavelength = (1.0f / frequency) * (2.0f * std::numbers::pi_v<float>);
    if (wavelength > longest) {
      frequency /= factor;
    } else if (wavelength >= shortest && band > 0.0f) {
      const float blend = (static_cast<float>(original) / wavelength - low) / band;
      frequency = (1.0f - blend) * frequency / factor + blend * frequency;
    }
  }
}

/// Divides by the stored factors, one per frequency.
static Status applyFactors(const Checkpoint &checkpoint, const std::string &name,
                           std::vector<float> &invFreq) {
  const SourceTensor *tensor = checkpoint.find(name);
  if (!tensor || tensor->elements() != invFreq.size() || tensor->shape.size() != 1)
    return Status::invalidInput(checkpoint.path() + ": tensor " + quoteName(name) + ": found " +
                                (tensor ? shapeText(tensor->shape) : "no such tensor") +
                                ", expected [" + std::to_string(invFreq.size()) +
                                "]: one divisor per rotary frequency; convert the file again.");
  std::vector<float> factors(invFreq.size());
  LLAMA4_RETURN_IF_ERROR(dequantizeRows(*tensor, 0, 1, factors).in(checkpoint.path()));
  for (size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0) || !std::isfinite(factors[i]))
      return Status::invalidInput(checkpoint.path() + ": tensor " + quoteName(name) +
                                  ": found the divisor " + std::to_string(factors[i]) +
                                  ", expected positive numbers; convert the file again.");
    invFreq[i] /= factors[i];
  }
  return {};
}

Result<std::vector<float>> readInvFreq(const Checkpoint &checkpoint, int64_t headDim) {
  LLAMA4_ASSIGN_OR_RETURN(RopeParameters rope, checkpoint.config().rope(kDefaultTheta));
  return computeInvFreq(checkpoint, rope, headDim);
}

Result<std::vector<float>> computeInvFreq(const Checkpoint &checkpoint, const RopeParameters &rope,
                                          int64_t headDim) {
  std::vector<float> invFreq(static_cast<size_t>(headDim / 2));
  const auto theta = static_cast<double>(static_cast<float>(rope.theta));
  for (size_t i = 0; i < invFreq.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(headDim);
    invFreq[i] = 1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  switch (rope.scaling) {
  case RopeScaling::None:
    break;
  case RopeScaling::Linear:
    for (float &frequency : invFreq)
      frequency /= static_cast<float>(rope.factor);
    break;
  case RopeScaling::Llama3:
    scaleLlama3(rope, invFreq);
    break;
  case RopeScaling::FrequencyFactors:
    LLAMA4_RETURN_IF_ERROR(applyFactors(checkpoint, rope.factorsTensor, invFreq));
    break;
  }
  return invFreq;
}

} // namespace llama4::llama3
