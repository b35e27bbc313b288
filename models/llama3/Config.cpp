//===- Config.cpp - the facts that make a Llama 3 text model --------------===//

#include "models/llama3/Config.h"

#include "runtime/format/Quoted.h"

namespace llama4::llama3 {

static constexpr int64_t kMaxWidth = int64_t{1} << 20;
static constexpr int64_t kMaxLayers = 4096;
static constexpr double kDefaultTheta = 10000.0;

static Status readSwitches(const Config &config, ModelConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(model.tieWordEmbeddings, config.boolean("tie_word_embeddings", false));
  LLAMA4_ASSIGN_OR_RETURN(model.attentionBias, config.boolean("attention_bias", false));
  LLAMA4_ASSIGN_OR_RETURN(model.mlpBias, config.boolean("mlp_bias", false));
  LLAMA4_RETURN_IF_ERROR(models::readActivation(config));
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
  const Config &config = checkpoint.config();
  ModelConfig model;
  LLAMA4_RETURN_IF_ERROR(
      models::readSizes(config, {.maxPosition = 2048, .rmsNormEps = 1e-6}, model));
  LLAMA4_ASSIGN_OR_RETURN(model.intermediateSize,
                          config.integer("intermediate_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.layers, config.integer("num_hidden_layers", 1, kMaxLayers));
  LLAMA4_RETURN_IF_ERROR(readSwitches(config, model));
  LLAMA4_ASSIGN_OR_RETURN(model.rope, config.rope(kDefaultTheta));
  LLAMA4_ASSIGN_OR_RETURN(model.tokens,
                          models::readTokenIds(checkpoint, config, model.vocabularySize));
  LLAMA4_ASSIGN_OR_RETURN(model.quantization, CompressedTensors::read(config));
  return model;
}

} // namespace llama4::llama3
