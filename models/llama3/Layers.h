//===- Layers.h - the pieces of a Llama 3 decoder ---------------*- C++ -*-===//
#ifndef LLAMA4_MODELS_LLAMA3_LAYERS_H
#define LLAMA4_MODELS_LLAMA3_LAYERS_H

#include "compiler/graph/nn.h"
#include "models/llama3/Config.h"

namespace llama4::llama3 {

/// What every layer of a step reads besides the residual stream.
struct StepInputs {
  graph::Tensor cos, sin; ///< f32[T, headDim / 2]
  graph::Batch batch;
  graph::KvState kv;
};

/// Grouped-query attention with rotary positions; x f32[T, H] -> f32[T, H].
class Attention : public graph::Composite<Attention> {
public:
  Attention(const Module &parent, const std::string &name, const ModelConfig &config,
            int64_t layer);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;

private:
  graph::Linear qProj_, kProj_, vProj_, oProj_;
  int64_t layer_;
  double scale_; ///< 1 / sqrt(headDim)
};

/// The gated feed-forward network (SwiGLU); x f32[T, H] -> f32[T, H].
class Mlp : public graph::Composite<Mlp> {
public:
  Mlp(const Module &parent, const std::string &name, const ModelConfig &config);
  graph::Tensor forward(graph::Tensor x) const;

private:
  graph::Linear gateProj_, upProj_, downProj_;
};

/// One decoder layer on the residual stream f32[T, H].
class DecoderLayer : public graph::Composite<DecoderLayer> {
public:
  DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
               int64_t layer);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;

private:
  graph::RmsNorm inputNorm_;
  Attention attention_;
  graph::RmsNorm postAttentionNorm_;
  Mlp mlp_;
};

} // namespace llama4::llama3

#endif // LLAMA4_MODELS_LLAMA3_LAYERS_H
