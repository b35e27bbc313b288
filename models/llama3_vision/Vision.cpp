//===- Vision.cpp - the image tower of Llama 3.2 Vision -------------------===//

#include "models/llama3_vision/Vision.h"

#include <algorithm>
#include <cmath>

namespace llama4::llama3_vision {

using graph::Element;
using graph::kSymbol;
using graph::Tensor;

/// Rows of a tile in the layers: a multiple of this.
static constexpr int64_t kRowMultiple = 8;

static int64_t paddedTokens(const VisionConfig &config) {
  return (config.tokens() + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

VisionLayer::VisionLayer(const Module &parent, const std::string &name, const VisionConfig &config,
                         bool isGated)
    : Composite(parent, name),
      inputNorm_(*this, "input_layernorm", config.hiddenSize, config.normEps),
      qProj_(*this, "self_attn.q_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/false),
      kProj_(*this, "self_attn.k_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/false),
      vProj_(*this, "self_attn.v_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/false),
      oProj_(*this, "self_attn.o_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/false),
      postAttentionNorm_(*this, "post_attention_layernorm", config.hiddenSize, config.normEps),
      fc1_(*this, "mlp.fc1", config.hiddenSize, config.intermediateSize, /*withBias=*/true),
      fc2_(*this, "mlp.fc2", config.intermediateSize, config.hiddenSize, /*withBias=*/true),
      heads_(config.heads),
      scale_(1.0 / std::sqrt(static_cast<double>(config.hiddenSize / config.heads))),
      isGated_(isGated) {
  const graph::Location where = graph::Location::current();
  if (isGated) {
    attentionGate_ = parameter("gate_attn", {1}, where);
    mlpGate_ = parameter("gate_ffn", {1}, where);
  }
}

Tensor VisionLayer::gated(Tensor x, const graph::Parameter *gate) const {
  return isGated_ ? tanhGate(x, gate) : x;
}

Tensor VisionLayer::forward(Tensor x, const graph::Padding &padding) const {
  Tensor n = inputNorm_(x);
  Tensor attended = unitAttention(qProj_(n), kProj_(n), vProj_(n), heads_, scale_, padding);
  Tensor h = x + gated(oProj_(attended), attentionGate_);
  return h + gated(fc2_(gelu(fc1_(postAttentionNorm_(h)))), mlpGate_);
}

//===----------------------------------------------------------------------===//
// Embeddings
//===----------------------------------------------------------------------===//

RatioEmbedding::RatioEmbedding(const Module &parent, const std::string &name,
                               const std::string &gate, const VisionConfig &config, int64_t rows)
    : Module(parent), table_(parent, name, config.aspectRatios + 1, rows * config.hiddenSize),
      gate_(parameter(gate, {1}, graph::Location::current())), rows_(rows),
      columns_(config.hiddenSize) {}

Tensor RatioEmbedding::operator()(Tensor ids, int64_t times) const {
  graph::Scope scope(graph(), table_.path());
  Tensor vectors = tanhGate(reshape(table_(ids), rows_, columns_), gate_);
  return times == 1 ? vectors : spreadRows(vectors, times);
}

//===----------------------------------------------------------------------===//
// Tower
//===----------------------------------------------------------------------===//

Tower::Tower(const Module &root, const VisionConfig &config, int64_t textHiddenSize)
    : Module(root, "vision_model"), config_(config),
      patchEmbedding_(*this, "patch_embedding",
                      config.channels * config.patchSize * config.patchSize, config.hiddenSize,
                      /*withBias=*/false),
      projector_(root, "multi_modal_projector", config.outputSize(), textHiddenSize,
                 /*withBias=*/true),
      preTile_(*this, "pre_tile_positional_embedding.embedding",
               "pre_tile_positional_embedding.gate", config, config.maxTiles),
      postTile_(*this, "post_tile_positional_embedding.embedding",
                "post_tile_positional_embedding.gate", config, config.maxTiles),
      tilePlaces_(*this, "gated_positional_embedding.tile_embedding",
                  "gated_positional_embedding.gate", config, config.maxTiles * config.tokens()),
      preNorm_(*this, "layernorm_pre", config.hiddenSize, config.normEps),
      postNorm_(*this, "layernorm_post", config.hiddenSize, config.normEps) {
  const graph::Location where = graph::Location::current();
  classToken_ = parameter("class_embedding", {config.hiddenSize}, where);
  places_ = parameter("gated_positional_embedding.embedding", {config.tokens(), config.hiddenSize},
                      where);
  for (int64_t i = 0; i < config.layers; ++i)
    local_.emplace_back(*this, "transformer.layers." + std::to_string(i), config,
                        /*isGated=*/false);
  for (int64_t i = 0; i < config.globalLayers; ++i)
    global_.emplace_back(*this, "global_transformer.layers." + std::to_string(i), config,
                         /*isGated=*/true);
}

Tensor Tower::embedPatches(const ImageInputs &images) const {
  graph::Scope scope(graph(), nameOf("patch_embedding"));
  Tensor rows = patchEmbedding_(patches(images.pixels, config_.channels, config_.patchSize));
  rows = rows + preTile_(images.aspectRatio, config_.tokens() - 1);
  // The class token is the first row of every tile.
  rows = insertRow(rows, classToken_, /*at=*/0, config_.maxTiles);
  rows = gatedBias(rows, places_, tilePlaces_.gate());
  return rows + tilePlaces_(images.aspectRatio, 1);
}

/// The columns of the last layer, then those of the layers between: column c of each of them,
/// before column c + 1 of the first.
Tensor Tower::joinFeatures(Tensor last, const std::vector<Tensor> &between) const {
  auto withoutPadding = [&](Tensor x) { return fitRows(x, config_.maxTiles, config_.tokens()); };
  std::vector<Tensor> parts = {withoutPadding(last)}, others;
  for (Tensor x : between)
    others.push_back(withoutPadding(x));
  if (!others.empty())
    parts.push_back(concat(others, /*interleaved=*/true));
  return concat(parts, /*interleaved=*/false);
}

Tensor Tower::operator()(const ImageInputs &images) const {
  graph::Scope scope(graph(), path());
  const graph::Padding padding{images.tiles, config_.maxTiles, config_.tokens()};
  const int64_t padded = paddedTokens(config_);
  Tensor x = fitRows(preNorm_(embedPatches(images)), config_.maxTiles, padded);
  std::vector<Tensor> between;
  for (size_t i = 0; i < local_.size(); ++i) {
    // The input of a layer, not its output.
    if (std::binary_search(config_.intermediateLayers.begin(), config_.intermediateLayers.end(),
                           static_cast<int64_t>(i)))
      between.push_back(x);
    x = local_[i](x, padding);
  }
  x = postNorm_(x) + postTile_(images.aspectRatio, padded);
  for (const VisionLayer &layer : global_)
    x = layer(x, padding);
  return projector_(joinFeatures(x, between));
}

void declareEncodeImage(const Tower &tower, const VisionConfig &config, int64_t maxImages) {
  graph::Entry &entry = tower.graph().addEntry("encode_image", "N", maxImages);
  const int64_t side = config.imageSize;
  const graph::TensorType pixels = {Element::F32,
                                    {kSymbol, config.maxTiles * config.channels * side, side}};
  const graph::TensorType numbers = {Element::I32, {kSymbol}};
  ImageInputs images;
  images.pixels = entry.input("pixels", pixels, "pixels");
  images.aspectRatio = entry.input("aspect_ratio_ids", numbers, "aspect_ratio_ids");
  images.tiles = entry.input("tiles", numbers, "tiles");
  entry.output(tower(images));
}

} // namespace llama4::llama3_vision
