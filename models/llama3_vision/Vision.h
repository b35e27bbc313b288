//===- Vision.h - the image tower of Llama 3.2 Vision -----------*- C++ -*-===//
//
// A unit is an image of `maxTiles` tiles, absent ones included; its rows are those of its tiles,
// one tile after the other.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_VISION_VISION_H
#define LLAMA4_MODELS_LLAMA3_VISION_VISION_H

#include "compiler/graph/VisionOps.h"
#include "compiler/graph/nn.h"
#include "models/llama3_vision/Config.h"

namespace llama4::llama3_vision {

/// Images of a call of `encode_image`.
struct ImageInputs {
  graph::Tensor pixels;      ///< f32[?, maxTiles * channels * S, S]
  graph::Tensor aspectRatio; ///< i32[?]: ids from 1 on
  graph::Tensor tiles;       ///< i32[?]: how many of the tiles there are
};

/// One layer of the tower. Global layers have gates; local ones don't.
class VisionLayer : public graph::Composite<VisionLayer> {
public:
  VisionLayer(const Module &parent, const std::string &name, const VisionConfig &config,
              bool isGated);
  graph::Tensor forward(graph::Tensor x, const graph::Padding &padding) const;

private:
  graph::Tensor gated(graph::Tensor x, const graph::Parameter *gate) const;

  graph::LayerNorm inputNorm_;
  graph::Linear qProj_, kProj_, vProj_, oProj_;
  graph::LayerNorm postAttentionNorm_;
  graph::Linear fc1_, fc2_;
  const graph::Parameter *attentionGate_ = nullptr, *mlpGate_ = nullptr;
  int64_t heads_;
  double scale_; ///< 1 / sqrt(columns of a head)
  bool isGated_;
};

/// An embedding of the aspect ratio behind a learned gate: a vector for each of `rows` rows of an
/// image.
class RatioEmbedding : public graph::Module {
public:
  RatioEmbedding(const Module &parent, const std::string &name, const std::string &gate,
                 const VisionConfig &config, int64_t rows);
  /// f32[?, rows * times, H], every vector `times` times.
  graph::Tensor operator()(graph::Tensor ids, int64_t times) const;
  const graph::Parameter *gate() const { return gate_; }

private:
  graph::Embedding table_;
  const graph::Parameter *gate_;
  int64_t rows_, columns_;
};

/// The tower ("vision_model") and the projector behind it.
class Tower : public graph::Module {
public:
  Tower(const Module &root, const VisionConfig &config, int64_t textHiddenSize);
  /// f32[?, maxTiles * tokens, textHiddenSize]: rows of absent tiles included.
  graph::Tensor operator()(const ImageInputs &images) const;

private:
  graph::Tensor embedPatches(const ImageInputs &images) const;
  graph::Tensor joinFeatures(graph::Tensor last, const std::vector<graph::Tensor> &between) const;

  VisionConfig config_;
  graph::Linear patchEmbedding_, projector_;
  const graph::Parameter *classToken_, *places_;
  RatioEmbedding preTile_, postTile_, tilePlaces_;
  graph::LayerNorm preNorm_, postNorm_;
  std::vector<VisionLayer> local_, global_;
};

/// The entry `encode_image`: N images -> features f32[N, maxTiles * tokens, textHiddenSize].
void declareEncodeImage(const Tower &tower, const VisionConfig &config, int64_t maxImages);

} // namespace llama4::llama3_vision

#endif // LLAMA4_MODELS_LLAMA3_VISION_VISION_H
