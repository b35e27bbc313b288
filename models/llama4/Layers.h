//===- Layers.h - the pieces of a Llama 4 decoder ---------------*- C++ -*-===//
#ifndef LLAMA4_MODELS_LLAMA4_LAYERS_H
#define LLAMA4_MODELS_LLAMA4_LAYERS_H

#include "compiler/graph/nn.h"
#include "models/llama4/Config.h"

#include <optional>

namespace llama4::llama4text {

/// What every layer of a step reads besides the residual stream.
struct StepInputs {
  graph::Tensor cos, sin;    ///< f32[T, headDim / 2]
  graph::Tensor temperature; ///< f32[T, 1]; poisoned where no layer reads it
  graph::Batch batch;
  graph::KvState chunked, full; ///< poisoned where no layer is of the kind
};

/// Grouped-query attention, with rotary positions inside a chunk or without any over everything
/// (iRoPE); x f32[T, H] -> f32[T, H].
class Attention : public graph::Composite<Attention> {
public:
  Attention(const Module &parent, const std::string &name, const ModelConfig &config,
            const LayerFacts &facts);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;

private:
  /// Projection, rotation, norm: what RoPE layers do to queries and keys.
  graph::Tensor rotate(graph::Tensor x, const StepInputs &step) const;

  graph::Linear qProj_, kProj_, vProj_, oProj_;
  LayerFacts facts_;
  int64_t headDim_;
  double eps_, scale_; ///< of the qk norm; 1 / sqrt(headDim)
  bool usesQkNorm_, tunesTemperature_;
};

/// A gated feed-forward network (SwiGLU); x f32[T, H] -> f32[T, H].
class Mlp : public graph::Composite<Mlp> {
public:
  Mlp(const Module &parent, const std::string &name, int64_t hiddenSize, int64_t intermediateSize);
  graph::Tensor forward(graph::Tensor x) const;

private:
  graph::Linear gateProj_, upProj_, downProj_;
};

/// The routed experts' weights: gate and up [E, F, H], down [E, H, F].
class Experts : public graph::Module {
public:
  Experts(const Module &parent, const std::string &name, const ModelConfig &config);
  graph::Tensor operator()(graph::Tensor x, const graph::Routing &routing,
                           graph::Location where = graph::Location::current()) const;

private:
  const graph::Parameter *gate_, *up_, *down_;
};

/// A mixture of experts: the shared expert plus the chosen ones, whose input their score scales.
class Moe : public graph::Composite<Moe> {
public:
  Moe(const Module &parent, const std::string &name, const ModelConfig &config);
  graph::Tensor forward(graph::Tensor x) const;

private:
  graph::Linear router_;
  Mlp sharedExpert_;
  Experts experts_;
  int64_t expertsPerToken_;
};

/// One decoder layer on the residual stream f32[T, H].
class DecoderLayer : public graph::Composite<DecoderLayer> {
public:
  DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
               const LayerFacts &facts);
  graph::Tensor forward(graph::Tensor x, const StepInputs &step) const;

private:
  graph::RmsNorm inputNorm_;
  Attention attention_;
  graph::RmsNorm postAttentionNorm_;
  std::optional<Moe> moe_; ///< exactly one of the two
  std::optional<Mlp> mlp_;
};

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_LAYERS_H
