//===- TextLayers.cpp - decoder layers of Llama 3.2 Vision ----------------===//

#include "models/llama3_vision/TextLayers.h"

#include <cmath>

namespace llama4::llama3_vision {

using graph::Tensor;

CrossAttention::CrossAttention(const Module &parent, const std::string &name,
                               const ModelConfig &config)
    : Module(parent, name),
      qProj_(*this, "q_proj", config.hiddenSize, config.heads * config.headDim, /*withBias=*/false),
      kProj_(*this, "k_proj", config.hiddenSize, config.kvHeads * config.headDim,
             /*withBias=*/false),
      vProj_(*this, "v_proj", config.hiddenSize, config.kvHeads * config.headDim,
             /*withBias=*/false),
      oProj_(*this, "o_proj", config.heads * config.headDim, config.hiddenSize,
             /*withBias=*/false),
      heads_(config.heads), eps_(config.rmsNormEps),
      scale_(1.0 / std::sqrt(static_cast<double>(config.headDim))) {
  const graph::Location where = graph::Location::current();
  qNorm_ = parameter("q_norm.weight", {config.headDim}, where);
  kNorm_ = parameter("k_norm.weight", {config.headDim}, where);
}

CrossState CrossAttention::makeState(Tensor features) const {
  graph::Scope scope(graph(), path());
  return {headNorm(kProj_(features), kNorm_, eps_), vProj_(features)};
}

Tensor CrossAttention::operator()(Tensor x, const CrossState &state,
                                  const graph::ImageStates &images) const {
  graph::Scope scope(graph(), path());
  Tensor query = headNorm(qProj_(x), qNorm_, eps_);
  return oProj_(crossAttention(query, state.key, state.value, images, heads_, scale_));
}

CrossLayer::CrossLayer(const Module &parent, const std::string &name, const ModelConfig &config,
                       int64_t index)
    : Composite(parent, name),
      inputNorm_(*this, "input_layernorm", config.hiddenSize, config.rmsNormEps),
      attention_(*this, "cross_attn", config),
      postAttentionNorm_(*this, "post_attention_layernorm", config.hiddenSize, config.rmsNormEps),
      mlp_(*this, "mlp", config), index_(static_cast<size_t>(index)) {
  const graph::Location where = graph::Location::current();
  attentionGate_ = parameter("cross_attn_attn_gate", {1}, where);
  mlpGate_ = parameter("cross_attn_mlp_gate", {1}, where);
}

Tensor CrossLayer::forward(Tensor x, const StepInputs &step) const {
  Tensor attended = attention_(inputNorm_(x), step.cross[index_], step.images);
  Tensor h = x + tanhGate(attended, attentionGate_);
  Tensor fed = temperature(mlp_(postAttentionNorm_(h)), step.seesImage);
  return h + tanhGate(fed, mlpGate_);
}

DecoderLayer::DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
                           const LayerFacts &facts)
    : Composite(parent, name) {
  if (!facts.isCross)
    self_.emplace(parent, name, config, facts.stateLayer);
  else if (config.withVision)
    cross_.emplace(parent, name, config, facts.stateLayer);
}

Tensor DecoderLayer::forward(Tensor x, const StepInputs &step) const {
  if (cross_)
    return (*cross_)(x, step);
  return self_ ? (*self_)(x, static_cast<const llama3::StepInputs &>(step)) : x;
}

} // namespace llama4::llama3_vision
