//===- TextModel.cpp - what all text decoders have ------------------------===//

#include "models/TextModel.h"

#include "runtime/format/Quoted.h"

namespace llama4::models {

using graph::Element;
using graph::kSymbol;
using graph::Tensor;

// Larger than any model; products of two of them fit in int64 with room to spare.
static constexpr int64_t kMaxWidth = int64_t{1} << 20;
static constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
static constexpr int64_t kMaxPositions = int64_t{1} << 40;

Status readSizes(const Config &config, const TextDefaults &defaults, TextConfig &model) {
  LLAMA4_ASSIGN_OR_RETURN(model.vocabularySize, config.integer("vocab_size", 1, kMaxVocabulary));
  LLAMA4_ASSIGN_OR_RETURN(model.hiddenSize, config.integer("hidden_size", 1, kMaxWidth));
  LLAMA4_ASSIGN_OR_RETURN(model.heads, config.integer("num_attention_heads", 1, 4096));
  LLAMA4_ASSIGN_OR_RETURN(model.kvHeads,
                          config.integer("num_key_value_heads", 1, 4096, model.heads));
  LLAMA4_ASSIGN_OR_RETURN(model.maxPosition, config.integer("max_position_embeddings", 1,
                                                            kMaxPositions, defaults.maxPosition));
  LLAMA4_ASSIGN_OR_RETURN(model.rmsNormEps,
                          config.number("rms_norm_eps", 0, 1, defaults.rmsNormEps));
  if (model.heads % model.kvHeads != 0)
    return config.error("num_key_value_heads", std::to_string(model.kvHeads),
                        "a divisor of num_attention_heads, " + std::to_string(model.heads));
  if (!config.has("head_dim") && model.hiddenSize % model.heads != 0)
    return config.error("hidden_size", std::to_string(model.hiddenSize),
                        "a multiple of num_attention_heads, " + std::to_string(model.heads) +
                            ", or a field head_dim");
  LLAMA4_ASSIGN_OR_RETURN(model.headDim,
                          config.integer("head_dim", 1, 65536, model.hiddenSize / model.heads));
  if (model.headDim % 2 != 0)
    return config.error("head_dim", std::to_string(model.headDim), "an even number, for RoPE");
  return {};
}

Status readActivation(const Config &config) {
  LLAMA4_ASSIGN_OR_RETURN(std::string activation, config.string("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish")
    return config.error("hidden_act", quoteName(activation), "silu");
  return {};
}

graph::Linear makeHead(const graph::Module &root, const graph::Embedding &embedding,
                       const TextConfig &config) {
  if (config.tieWordEmbeddings)
    return {root, "lm_head", embedding.weight()};
  return {root, "lm_head", config.hiddenSize, config.vocabularySize, /*withBias=*/false};
}

Tensor declareTokens(graph::Entry &entry, const TextConfig &config, Tensor &cos, Tensor &sin) {
  Tensor ids = entry.input("ids", {Element::I32, {kSymbol}}, "ids");
  const graph::TensorType angles = {Element::F32, {kSymbol, config.headDim / 2}};
  cos = entry.input("cos", angles, "cos", kRopeTable);
  sin = entry.input("sin", angles, "sin", kRopeTable);
  return ids;
}

void declareLogits(graph::Graph &graph, const graph::RmsNorm &norm, const graph::Linear &head,
                   const TextConfig &config, const ModelOptions &options) {
  graph::Entry &entry = graph.addEntry("logits", "R", options.maxBatchSize);
  Tensor hidden =
      entry.input("hidden", {Element::F32, {options.maxStepTokens, config.hiddenSize}}, "hidden");
  Tensor rows = entry.input("rows", {Element::I32, {kSymbol}}, "rows");
  entry.output(head(norm(gather(hidden, rows))));
}

void describe(graph::Graph &graph, const std::string &family, int64_t layers,
              const TextConfig &config, const ModelOptions &options) {
  graph.model["family"] = family;
  graph.model["vocab_size"] = config.vocabularySize;
  graph.model["hidden_size"] = config.hiddenSize;
  graph.model["num_layers"] = layers;
  graph.model["max_position"] = config.maxPosition;
  graph.model["num_parameters"] = graph.parameterCount();
  writeTokenIds(config.tokens, graph);
  writeOptions(options, config.maxPosition, graph);
}

} // namespace llama4::models
