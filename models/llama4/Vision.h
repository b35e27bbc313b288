//===- Vision.h - the pieces of a Llama 4 image tower -----------*- C++ -*-===//
//
// From the pixels of tiles to rows of the decoder's width. Names are those of the published
// checkpoints: vision_model.*, multi_modal_projector.*.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_VISION_H
#define LLAMA4_MODELS_LLAMA4_VISION_H

#include "compiler/graph/nn.h"
#include "models/llama4/VisionConfig.h"

namespace llama4::llama4vision {

/// Name of the table of frequencies over a tile.
inline constexpr const char *kVisionRope = "vision_rope";

/// Angles of the rows of a tile, f32[P + 1, headDim / 2].
struct Angles {
  graph::Tensor cos, sin;
};

/// Attention of all rows of a tile to each other; x f32[?, P + 1, H] -> the same.
class TileAttention : public graph::Composite<TileAttention> {
public:
  TileAttention(const Module &parent, const std::string &name, const VisionConfig &config);
  graph::Tensor forward(graph::Tensor x, const Angles &angles) const;

private:
  graph::Linear qProj_, kProj_, vProj_, oProj_;
  int64_t heads_;
  double scale_; ///< 1 / sqrt(headDim)
};

/// fc2(gelu(fc1(x))).
class TileMlp : public graph::Composite<TileMlp> {
public:
  TileMlp(const Module &parent, const std::string &name, const VisionConfig &config);
  graph::Tensor forward(graph::Tensor x) const;

private:
  graph::Linear fc1_, fc2_;
};

class TileLayer : public graph::Composite<TileLayer> {
public:
  TileLayer(const Module &parent, const std::string &name, const VisionConfig &config);
  graph::Tensor forward(graph::Tensor x, const Angles &angles) const;

private:
  graph::LayerNorm inputNorm_;
  TileAttention attention_;
  graph::LayerNorm postAttentionNorm_;
  TileMlp mlp_;
};

/// Patches of pixels as rows, the class token behind them, their places.
class PatchEmbedding : public graph::Module {
public:
  PatchEmbedding(const Module &parent, const VisionConfig &config);
  /// pixels f32[?, channels * S, S] -> f32[?, P + 1, H].
  graph::Tensor operator()(graph::Tensor pixels) const;

private:
  graph::Linear linear_;
  const graph::Parameter *classToken_, *places_;
  int64_t channels_, patch_, patches_;
};

/// gelu(fc2(gelu(fc1(x)))) on the shuffled rows.
class Adapter : public graph::Composite<Adapter> {
public:
  Adapter(const Module &parent, const std::string &name, const VisionConfig &config);
  graph::Tensor forward(graph::Tensor x) const;

private:
  graph::Linear fc1_, fc2_;
};

/// The whole tower ("vision_model") and the projector behind it.
class Tower : public graph::Module {
public:
  Tower(const Module &root, const VisionConfig &config, int64_t textHiddenSize);
  /// pixels f32[?, channels * S, S] -> f32[?, tokens per tile, textHiddenSize].
  graph::Tensor operator()(graph::Tensor pixels, const Angles &angles) const;

private:
  PatchEmbedding embedding_;
  graph::LayerNorm preNorm_;
  std::vector<TileLayer> layers_;
  graph::LayerNorm postNorm_;
  Adapter adapter_;
  graph::Linear projector_;
  int64_t grid_, shuffle_;
};

/// The entry `encode_image`: pixels f32[N, channels * S, S] of N tiles -> features f32[N, tokens
/// per tile, textHiddenSize]; and the table of its angles.
void declareEncodeImage(const graph::Module &root, const VisionConfig &config,
                        int64_t textHiddenSize, int64_t maxTiles);

} // namespace llama4::llama4vision

#endif // LLAMA4_MODELS_LLAMA4_VISION_H
