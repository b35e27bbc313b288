//===- Vision.cpp - the pieces of a Llama 4 image tower -------------------===//

#include "models/llama4/Vision.h"

#include "compiler/graph/VisionOps.h"

#include <cmath>

namespace llama4::llama4vision {

using graph::Element;
using graph::kSymbol;
using graph::RotateStyle;
using graph::Tensor;

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

TileAttention::TileAttention(const Module &parent, const std::string &name,
                             const VisionConfig &config)
    : Composite(parent, name),
      qProj_(*this, "q_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/true),
      kProj_(*this, "k_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/true),
      vProj_(*this, "v_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/true),
      oProj_(*this, "o_proj", config.hiddenSize, config.hiddenSize, /*withBias=*/true),
      heads_(config.heads), scale_(1.0 / std::sqrt(static_cast<double>(config.headDim()))) {}

Tensor TileAttention::forward(Tensor x, const Angles &angles) const {
  Tensor query = rope(qProj_(x), angles.cos, angles.sin, RotateStyle::Pairs);
  Tensor key = rope(kProj_(x), angles.cos, angles.sin, RotateStyle::Pairs);
  return oProj_(unitAttention(query, key, vProj_(x), heads_, scale_));
}

TileMlp::TileMlp(const Module &parent, const std::string &name, const VisionConfig &config)
    : Composite(parent, name),
      fc1_(*this, "fc1", config.hiddenSize, config.intermediateSize, /*withBias=*/true),
      fc2_(*this, "fc2", config.intermediateSize, config.hiddenSize, /*withBias=*/true) {}

Tensor TileMlp::forward(Tensor x) const { return fc2_(gelu(fc1_(x))); }

TileLayer::TileLayer(const Module &parent, const std::string &name, const VisionConfig &config)
    : Composite(parent, name),
      inputNorm_(*this, "input_layernorm", config.hiddenSize, config.normEps),
      attention_(*this, "self_attn", config),
      postAttentionNorm_(*this, "post_attention_layernorm", config.hiddenSize, config.normEps),
      mlp_(*this, "mlp", config) {}

Tensor TileLayer::forward(Tensor x, const Angles &angles) const {
  Tensor h = x + attention_(inputNorm_(x), angles);
  return h + mlp_(postAttentionNorm_(h));
}

//===----------------------------------------------------------------------===//
// Both ends of the tower
//===----------------------------------------------------------------------===//

PatchEmbedding::PatchEmbedding(const Module &parent, const VisionConfig &config)
    : Module(parent),
      linear_(*this, "patch_embedding.linear",
              config.channels * config.patchSize * config.patchSize, config.hiddenSize,
              /*withBias=*/false),
      channels_(config.channels), patch_(config.patchSize),
      patches_(config.grid() * config.grid()) {
  const graph::Location where = graph::Location::current();
  classToken_ = parameter("class_embedding", {config.hiddenSize}, where);
  places_ = parameter("positional_embedding_vlm", {patches_ + 1, config.hiddenSize}, where);
}

Tensor PatchEmbedding::operator()(Tensor pixels) const {
  graph::Scope scope(graph(), nameOf("patch_embedding"));
  Tensor rows = linear_(patches(pixels, channels_, patch_));
  // The class token is the last row of a tile.
  return bias(insertRow(rows, classToken_, patches_, /*groups=*/1), places_);
}

Adapter::Adapter(const Module &parent, const std::string &name, const VisionConfig &config)
    : Composite(parent, name),
      fc1_(*this, "fc1", config.intermediateSize, config.adapterSize, /*withBias=*/false),
      fc2_(*this, "fc2", config.adapterSize, config.featureSize, /*withBias=*/false) {}

Tensor Adapter::forward(Tensor x) const { return gelu(fc2_(gelu(fc1_(x)))); }

//===----------------------------------------------------------------------===//
// Tower
//===----------------------------------------------------------------------===//

Tower::Tower(const Module &root, const VisionConfig &config, int64_t textHiddenSize)
    : Module(root, "vision_model"), embedding_(*this, config),
      preNorm_(*this, "layernorm_pre", config.hiddenSize, config.normEps),
      postNorm_(*this, "layernorm_post", config.hiddenSize, config.normEps),
      adapter_(*this, "vision_adapter.mlp", config),
      projector_(root, "multi_modal_projector.linear_1", config.featureSize, textHiddenSize,
                 /*withBias=*/false),
      grid_(config.grid()), shuffle_(config.shuffle) {
  for (int64_t i = 0; i < config.layers; ++i)
    layers_.emplace_back(*this, "model.layers." + std::to_string(i), config);
}

Tensor Tower::operator()(Tensor pixels, const Angles &angles) const {
  Tensor x = preNorm_(embedding_(pixels));
  for (const TileLayer &layer : layers_)
    x = layer(x, angles);
  graph::Scope scope(graph(), nameOf("vision_adapter"));
  // Only the patches are shuffled: the class token ends here.
  return projector_(adapter_(pixelShuffle(postNorm_(x), grid_, shuffle_)));
}

/// theta^(-2i / (headDim / 2)), every intermediate rounded to float32.
static std::vector<float> frequencies(const VisionConfig &config) {
  const int64_t half = config.headDim() / 2;
  const auto theta = static_cast<double>(static_cast<float>(config.theta));
  std::vector<float> invFreq;
  for (int64_t i = 0; i < half; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(half);
    invFreq.push_back(1.0f / static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return invFreq;
}

void declareEncodeImage(const graph::Module &root, const VisionConfig &config,
                        int64_t textHiddenSize, int64_t maxTiles) {
  graph::Graph &graph = root.graph();
  const Tower tower(root, config, textHiddenSize);
  graph.addRopeGrid(kVisionRope, config.grid(), config.grid(), frequencies(config));
  graph::Entry &entry = graph.addEntry("encode_image", "N", maxTiles);
  const int64_t side = config.imageSize;
  Tensor pixels =
      entry.input("pixels", {Element::F32, {kSymbol, config.channels * side, side}}, "pixels");
  const graph::TensorType angles = {Element::F32,
                                    {config.grid() * config.grid() + 1, config.headDim() / 2}};
  Tensor cos = entry.input("cos", angles, "cos", kVisionRope);
  Tensor sin = entry.input("sin", angles, "sin", kVisionRope);
  entry.output(tower(pixels, {cos, sin}));
}

} // namespace llama4::llama4vision
