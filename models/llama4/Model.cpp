//===- Model.cpp - Llama 4 text models ------------------------------------===//

#include "models/llama4/Model.h"

#include "models/llama3/Config.h"
#include "models/llama4/Weights.h"

#include <algorithm>

namespace llama4::llama4text {

using graph::Element;
using graph::Entry;
using graph::Graph;
using graph::kSymbol;
using graph::Tensor;
using models::ModelOptions;

static constexpr const char *kRopeTable = "rope";
static constexpr const char *kTemperatureTable = "temperature";

Decoder::Decoder(const Module &parent, const std::string &name, const ModelConfig &config)
    : Module(parent, name),
      embedding_(*this, "embed_tokens", config.vocabularySize, config.hiddenSize),
      norm_(*this, "norm", config.hiddenSize, config.rmsNormEps) {
  for (const LayerFacts &facts : config.layers)
    layers_.emplace_back(*this, "layers." + std::to_string(layers_.size()), config, facts);
}

Tensor Decoder::hidden(Tensor ids, const StepInputs &step) const {
  Tensor x = embedding_(ids);
  for (const DecoderLayer &layer : layers_)
    x = layer(x, step);
  return x;
}

/// True where a layer reads the temperature: tuning, and a layer without RoPE.
static bool readsTemperature(const ModelConfig &config) {
  return config.tunesTemperature &&
         std::any_of(config.layers.begin(), config.layers.end(),
                     [](const LayerFacts &layer) { return !layer.usesRope; });
}

/// One state per kind of layer that there is; kinds are numbered in this order.
static void declareState(Entry &entry, const ModelConfig &config, const ModelOptions &options,
                         StepInputs &step) {
  const int64_t chunked = config.countLayers(true), full = config.countLayers(false);
  graph::KvType type{"chunked",      0,           chunked, config.kvHeads, config.headDim,
                     options.kvType, config.chunk};
  if (chunked)
    step.chunked = entry.kv(type, full ? "kv_chunked" : "kv");
  type.name = "full";
  type.kind = chunked ? 1 : 0;
  type.layers = full;
  type.chunk = 0;
  if (full)
    step.full = entry.kv(type, chunked ? "kv_full" : "kv");
}

static void declareStep(const Decoder &decoder, const ModelConfig &config,
                        const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("step", "T", options.maxStepTokens);
  Tensor ids = entry.input("ids", {Element::I32, {kSymbol}}, "ids");
  const graph::TensorType angles = {Element::F32, {kSymbol, config.headDim / 2}};
  StepInputs step;
  step.cos = entry.input("cos", angles, "cos", kRopeTable);
  step.sin = entry.input("sin", angles, "sin", kRopeTable);
  if (readsTemperature(config))
    step.temperature = entry.temperature("temperature", kTemperatureTable);
  step.batch = entry.batch();
  declareState(entry, config, options, step);
  entry.output(decoder.hidden(ids, step));
}

static void declareLogits(const Decoder &decoder, const graph::Linear &head,
                          const ModelConfig &config, const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("logits", "R", options.maxBatchSize);
  Tensor hidden =
      entry.input("hidden", {Element::F32, {options.maxStepTokens, config.hiddenSize}}, "hidden");
  Tensor rows = entry.input("rows", {Element::I32, {kSymbol}}, "rows");
  entry.output(head(decoder.norm()(gather(hidden, rows))));
}

/// The head shares the embedding table where the configuration says so.
static graph::Linear makeHead(const graph::Module &root, const Decoder &decoder,
                              const ModelConfig &config) {
  if (config.tieWordEmbeddings)
    return {root, "lm_head", decoder.embedding().weight()};
  return {root, "lm_head", config.hiddenSize, config.vocabularySize, /*withBias=*/false};
}

static void describe(Graph &graph, const ModelConfig &config, const ModelOptions &options) {
  graph.model["family"] = "llama4";
  graph.model["vocab_size"] = config.vocabularySize;
  graph.model["hidden_size"] = config.hiddenSize;
  graph.model["num_layers"] = static_cast<int64_t>(config.layers.size());
  graph.model["max_position"] = config.maxPosition;
  graph.model["num_parameters"] = graph.parameterCount();
  models::writeTokenIds(config.tokens, graph);
  models::writeOptions(options, config.maxPosition, graph);
}

/// Frequencies and temperatures that the engine fills inputs from.
static Status addTables(Graph &graph, const Checkpoint &checkpoint, const ModelConfig &config) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<float> invFreq,
                          llama3::computeInvFreq(checkpoint, config.rope, config.headDim));
  graph.addRopeTable(kRopeTable, std::move(invFreq));
  if (readsTemperature(config))
    graph.addTemperatureTable(kTemperatureTable, static_cast<float>(config.attnScale),
                              config.floorScale);
  return {};
}

Result<std::unique_ptr<Graph>> build(const Checkpoint &checkpoint, const ModelOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(const ModelConfig config, readConfig(checkpoint));
  LLAMA4_RETURN_IF_ERROR(models::checkOptions(options, config.maxPosition));
  auto weights = std::make_shared<Weights>(checkpoint, config, options);
  auto graph =
      std::make_unique<Graph>([weights](const std::string &name, std::span<const int64_t> dims) {
        return weights->resolve(name, dims);
      });
  LLAMA4_RETURN_IF_ERROR(addTables(*graph, checkpoint, config));
  const graph::Module root(*graph);
  const Decoder decoder(root, "model", config);
  const graph::Linear head = makeHead(root, decoder, config);
  declareStep(decoder, config, options);
  declareLogits(decoder, head, config, options);
  LLAMA4_RETURN_IF_ERROR(graph->status());
  LLAMA4_RETURN_IF_ERROR(weights->checkAllUsed());
  graph->close();
  describe(*graph, config, options);
  for (const std::string &remark : config.remarks)
    graph->remark(remark);
  for (std::string &remark : weights->remarks())
    graph->remark(std::move(remark));
  return graph;
}

} // namespace llama4::llama4text
