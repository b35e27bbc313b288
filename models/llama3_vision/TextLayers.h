//===- TextLayers.h - decoder layers of Llama 3.2 Vision --------*- C++ -*-===//
#ifndef LLAMA4_MODELS_LLAMA3_VISION_TEXTLAYERS_H
#define LLAMA4_MODELS_LLAMA3_VISION_TEXTLAYERS_H

#include "compiler/graph/VisionOps.h"
#include "models/llama3/Layers.h"
#include "models/llama3_vision/Config.h"

#include <optional>

namespace llama4::llama3_vision {

/// Keys and values that one layer made of the images in the pool, f32[I, rows, kv heads * dim].
struct CrossState {
  graph::Tensor key, value;
};

/// What every layer of a step reads besides the residual stream.
struct StepInputs : llama3::StepInputs {
  graph::ImageStates images;
  graph::Tensor seesImage;       ///< f32[T, 1]: 1 for rows that see an image, else 0
  std::vector<CrossState> cross; ///< of each layer of cross-attention; empty: text alone
};

/// Attention of the text to images: no positions, queries and keys normalised in every head.
class CrossAttention : public graph::Module {
public:
  CrossAttention(const Module &parent, const std::string &name, const ModelConfig &config);
  /// Keys and values of features f32[?, rows, H].
  CrossState makeState(graph::Tensor features) const;
  /// x f32[T, H] -> f32[T, H]; zero for rows that see no image.
  graph::Tensor operator()(graph::Tensor x, const CrossState &state,
                           const graph::ImageStates &images) const;

private:
  graph::Linear qProj_, kProj_, vProj_, oProj_;
  const graph::Parameter *qNorm_, *kNorm_;
  int64_t heads_;
  double eps_, scale_;
};

/// A layer of cross-attention; attention and MLP go through learned gates, and neither touches rows
/// that see no image.
class CrossLayer : public graph::Composite<CrossLayer> {
public:
  CrossLayer(const Module &parent, const std::string &name, const ModelConfig &config,
             int64_t index);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;
  const CrossAttention &attention() const { return attention_; }

private:
  graph::RmsNorm inputNorm_;
  CrossAttention attention_;
  graph::RmsNorm postAttentionNorm_;
  llama3::Mlp mlp_;
  const graph::Parameter *attentionGate_, *mlpGate_;
  size_t index_;
};

/// One decoder layer on the residual stream f32[T, H]. In a model that is declared without images
/// the layers of cross-attention do nothing, and have no weights.
class DecoderLayer : public graph::Composite<DecoderLayer> {
public:
  DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
               const LayerFacts &facts);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;
  /// Null where the layer reads text.
  const CrossLayer *cross() const { return cross_ ? &*cross_ : nullptr; }

private:
  std::optional<CrossLayer> cross_; ///< at most one of the two
  std::optional<llama3::DecoderLayer> self_;
};

} // namespace llama4::llama3_vision

#endif // LLAMA4_MODELS_LLAMA3_VISION_TEXTLAYERS_H
