//===- Model.cpp - Llama 3.2 Vision ---------------------------------------===//

#include "models/llama3_vision/Model.h"

#include "models/Rope.h"
#include "models/llama3_vision/TextLayers.h"
#include "models/llama3_vision/Vision.h"
#include "models/llama3_vision/Weights.h"

#include <algorithm>

namespace llama4::llama3_vision {

using graph::Element;
using graph::Entry;
using graph::Graph;
using graph::kSymbol;
using graph::Tensor;
using models::ModelOptions;

using Decoder = models::Decoder<DecoderLayer, StepInputs>;

/// Rows of an image: those of all its tiles, absent ones included.
static int64_t imageRows(const ModelConfig &config) {
  return config.vision.maxTiles * config.vision.tokens();
}

/// Images of the pool of keys and values: what its rows hold, or five.
static int64_t poolImages(const ModelConfig &config, const ModelOptions &options) {
  return options.maxFeatureRows ? std::max<int64_t>(1, options.maxFeatureRows / imageRows(config))
                                : 5;
}

/// Images of a call of `encode_image` and `cross_kv`.
static int64_t stepImages(const ModelConfig &config, const ModelOptions &options) {
  return std::max<int64_t>(1, options.maxStepTiles / config.vision.maxTiles);
}

static void declareCrossKv(const Decoder &decoder, const ModelConfig &config,
                           const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("cross_kv", "N", stepImages(config, options));
  Tensor features = entry.input(
      "features", {Element::F32, {kSymbol, imageRows(config), config.hiddenSize}}, "features");
  for (const DecoderLayer &layer : decoder.layers()) {
    if (!layer.cross())
      continue;
    const CrossState state = layer.cross()->attention().makeState(features);
    entry.output(state.key);
    entry.output(state.value);
  }
}

/// The images of a step: which each row sees, and the pool.
static void declareImages(Entry &entry, const ModelConfig &config, const ModelOptions &options,
                          StepInputs &step) {
  const graph::TensorType numbers = {Element::I32, {kSymbol}};
  step.images.first = entry.input("image_first", numbers, "image_first");
  step.images.count = entry.input("image_count", numbers, "image_count");
  step.images.groups = config.vision.maxTiles;
  step.seesImage = entry.input("sees_image", {Element::F32, {kSymbol, 1}}, "sees_image");
  const int64_t images = poolImages(config, options);
  step.images.tiles = entry.input("image_tiles", {Element::I32, {images}}, "image_tiles");
  const graph::TensorType state = {Element::F32,
                                   {images, imageRows(config), config.kvHeads * config.headDim}};
  for (int64_t i = 0; i < config.crossLayers(); ++i) {
    Tensor key = entry.input("cross_key_" + std::to_string(i), state, "cross_key");
    Tensor value = entry.input("cross_value_" + std::to_string(i), state, "cross_value");
    step.cross.push_back({key, value});
  }
}

static void declareStep(const Decoder &decoder, const ModelConfig &config,
                        const ModelOptions &options) {
  Entry &entry = decoder.graph().addEntry("step", "T", options.maxStepTokens);
  StepInputs step;
  Tensor ids = models::declareTokens(entry, config, step.cos, step.sin);
  step.batch = entry.batch();
  step.kv = entry.kv({"full", 0, config.layers - config.crossLayers(), config.kvHeads,
                      config.headDim, options.kvType});
  if (config.withVision)
    declareImages(entry, config, options, step);
  entry.output(decoder.hidden(ids, step));
}

/// What the engine and the programs must know of images.
static void describeVision(Graph &graph, const ModelConfig &config, const ModelOptions &options) {
  graph.model["image_token_id"] = config.imageTokenId;
  graph.model["image_size"] = config.vision.imageSize;
  graph.model["patch_size"] = config.vision.patchSize;
  graph.model["tokens_per_tile"] = config.vision.tokens();
  graph.model["max_image_tiles"] = config.vision.maxTiles;
  graph.options["max_step_tiles"] = options.maxStepTiles;
  graph.options["max_feature_rows"] = poolImages(config, options) * imageRows(config);
}

Result<std::unique_ptr<Graph>> build(const Checkpoint &checkpoint, const ModelOptions &options) {
  LLAMA4_ASSIGN_OR_RETURN(ModelConfig config, readConfig(checkpoint));
  config.withVision = options.vision;
  LLAMA4_RETURN_IF_ERROR(models::checkOptions(options, config.maxPosition));
  auto weights = std::make_shared<Weights>(checkpoint, config, options);
  auto graph =
      std::make_unique<Graph>([weights](const std::string &name, std::span<const int64_t> dims) {
        return weights->resolve(name, dims);
      });
  LLAMA4_ASSIGN_OR_RETURN(std::vector<float> invFreq,
                          models::computeInvFreq(checkpoint, config.rope, config.headDim));
  graph->addRopeTable(models::kRopeTable, std::move(invFreq));
  const graph::Module root(*graph);
  const Decoder decoder(root, "model", config, config.facts);
  const graph::Linear head = models::makeHead(root, decoder.embedding(), config);
  if (config.withVision) {
    declareEncodeImage(Tower(root, config.vision, config.hiddenSize), config.vision,
                       stepImages(config, options));
    declareCrossKv(decoder, config, options);
  }
  declareStep(decoder, config, options);
  models::declareLogits(*graph, decoder.norm(), head, config, options);
  LLAMA4_RETURN_IF_ERROR(graph->status());
  LLAMA4_RETURN_IF_ERROR(weights->checkAllUsed());
  graph->close();
  models::describe(*graph, "llama3_vision", config.layers, config, options);
  if (config.withVision)
    describeVision(*graph, config, options);
  for (std::string &remark : weights->remarks())
    graph->remark(std::move(remark));
  return graph;
}

} // namespace llama4::llama3_vision
