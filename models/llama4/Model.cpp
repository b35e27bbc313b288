//===- Model.cpp - Llama 4 text models ------------------------------------===//

#include "models/llama4/Model.h"

#include "compiler/graph/VisionOps.h"
#include "models/Rope.h"
#include "models/llama4/Vision.h"
#include "models/llama4/Weights.h"

#include <algorithm>

namespace llama4::llama4text {

using graph::Element;
using graph::Entry;
using graph::Graph;
using graph::Tensor;
using models::ModelOptions;

using Decoder = models::Decoder<DecoderLayer, StepInputs>;

static constexpr const char *kTemperatureTable = "temperature";

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

/// Rows of the pool of features: what is asked for, or five images of 16 tiles and a whole one.
static int64_t featureRows(const ModelConfig &config, const ModelOptions &options) {
  return options.maxFeatureRows ? options.maxFeatureRows
                                : int64_t{5} * 17 * config.vision->tokensPerTile();
}

static void declareStep(const Decoder &decoder, const ModelConfig &config,
                        const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("step", "T", options.maxStepTokens);
  StepInputs step;
  Tensor ids = models::declareTokens(entry, config, step.cos, step.sin);
  if (readsTemperature(config))
    step.temperature = entry.temperature("temperature", kTemperatureTable);
  step.batch = entry.batch();
  declareState(entry, config, options, step);
  if (!config.vision) {
    entry.output(decoder.hidden(ids, step));
    return;
  }
  Tensor rows = entry.input("feature_row", {Element::I32, {graph::kSymbol}}, "feature_row");
  Tensor features = entry.input(
      "features", {Element::F32, {featureRows(config, options), config.hiddenSize}}, "features");
  Tensor embedded = decoder.embedding()(ids);
  graph::Scope scope(decoder.graph(), decoder.path());
  entry.output(decoder.decode(mergeRows(embedded, rows, features), step));
}

/// What the engine and the programs must know of images.
static void describeVision(Graph &graph, const ModelConfig &config, const ModelOptions &options) {
  const llama4vision::VisionConfig &vision = *config.vision;
  graph.model["image_token_id"] = vision.imageTokenId;
  graph.model["image_size"] = vision.imageSize;
  graph.model["patch_size"] = vision.patchSize;
  graph.model["tokens_per_tile"] = vision.tokensPerTile();
  graph.options["max_step_tiles"] = options.maxStepTiles;
  graph.options["max_feature_rows"] = featureRows(config, options);
}

/// Frequencies and temperatures that the engine fills inputs from.
static Status addTables(Graph &graph, const Checkpoint &checkpoint, const ModelConfig &config) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<float> invFreq,
                          models::computeInvFreq(checkpoint, config.rope, config.headDim));
  graph.addRopeTable(models::kRopeTable, std::move(invFreq));
  if (readsTemperature(config))
    graph.addTemperatureTable(kTemperatureTable, static_cast<float>(config.attnScale),
                              config.floorScale);
  return {};
}

Result<std::unique_ptr<Graph>> build(const Checkpoint &checkpoint, const ModelOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(const ModelConfig config, readConfig(checkpoint, options.vision));
  LLAMA4_RETURN_IF_ERROR(models::checkOptions(options, config.maxPosition));
  auto weights = std::make_shared<Weights>(checkpoint, config, options);
  auto graph =
      std::make_unique<Graph>([weights](const std::string &name, std::span<const int64_t> dims) {
        return weights->resolve(name, dims);
      });
  LLAMA4_RETURN_IF_ERROR(addTables(*graph, checkpoint, config));
  const graph::Module root(*graph);
  const Decoder decoder(root, "model", config, config.layers);
  const graph::Linear head = models::makeHead(root, decoder.embedding(), config);
  if (config.vision)
    llama4vision::declareEncodeImage(root, *config.vision, config.hiddenSize, options.maxStepTiles);
  declareStep(decoder, config, options);
  models::declareLogits(*graph, decoder.norm(), head, config, options);
  LLAMA4_RETURN_IF_ERROR(graph->status());
  LLAMA4_RETURN_IF_ERROR(weights->checkAllUsed());
  graph->close();
  models::describe(*graph, "llama4", static_cast<int64_t>(config.layers.size()), config, options);
  graph->model["parameters_left_out"] = config.visionParameters;
  if (config.vision)
    describeVision(*graph, config, options);
  for (const std::string &remark : config.remarks)
    graph->remark(remark);
  for (std::string &remark : weights->remarks())
    graph->remark(std::move(remark));
  return graph;
}

} // namespace llama4::llama4text
