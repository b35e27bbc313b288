//===- Layers.cpp - the pieces of a Llama 4 decoder -----------------------===//

#include "models/llama4/Layers.h"

#include <cmath>

namespace llama4::llama4text {

using graph::RotateStyle;
using graph::Tensor;

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

Attention::Attention(const Module &parent, const std::string &name, const ModelConfig &config,
                     const LayerFacts &facts)
    : Composite(parent, name), qProj_(*this, "q_proj", config.hiddenSize,
                                      config.heads * config.headDim, config.attentionBias),
      kProj_(*this, "k_proj", config.hiddenSize, config.kvHeads * config.headDim,
             config.attentionBias),
      vProj_(*this, "v_proj", config.hiddenSize, config.kvHeads * config.headDim,
             config.attentionBias),
      oProj_(*this, "o_proj", config.heads * config.headDim, config.hiddenSize,
             config.attentionBias),
      facts_(facts), headDim_(config.headDim), eps_(config.rmsNormEps),
      scale_(1.0 / std::sqrt(static_cast<double>(config.headDim))), usesQkNorm_(config.usesQkNorm),
      tunesTemperature_(config.tunesTemperature) {}

Tensor Attention::rotate(Tensor x, const StepInputs &step) const {
  Tensor rotated = rope(x, step.cos, step.sin, RotateStyle::Pairs);
  return usesQkNorm_ ? qkNorm(rotated, headDim_, eps_) : rotated;
}

Tensor Attention::forward(Tensor x, const StepInputs &step) const {
  Tensor query = qProj_(x), key = kProj_(x);
  if (facts_.usesRope) {
    query = rotate(query, step);
    key = rotate(key, step);
  } else if (tunesTemperature_) {
    query = temperature(query, step.temperature);
  }
  Tensor value = vProj_(x);
  graph::KvLayer kv = (facts_.isChunked ? step.chunked : step.full).layer(facts_.stateLayer);
  kvWrite(key, value, kv, step.batch);
  return oProj_(attention(query, kv, step.batch, scale_));
}

//===----------------------------------------------------------------------===//
// Feed-forward
//===----------------------------------------------------------------------===//

Mlp::Mlp(const Module &parent, const std::string &name, int64_t hiddenSize,
         int64_t intermediateSize)
    : Composite(parent, name),
      gateProj_(*this, "gate_proj", hiddenSize, intermediateSize, /*withBias=*/false),
      upProj_(*this, "up_proj", hiddenSize, intermediateSize, /*withBias=*/false),
      downProj_(*this, "down_proj", intermediateSize, hiddenSize, /*withBias=*/false) {}

Tensor Mlp::forward(Tensor x) const { return downProj_(silu(gateProj_(x)) * upProj_(x)); }

Experts::Experts(const Module &parent, const std::string &name, const ModelConfig &config)
    : Module(parent, name) {
  const graph::Location where = graph::Location::current();
  const int64_t count = config.experts, hidden = config.hiddenSize;
  const int64_t inner = config.intermediateSize;
  gate_ = parameter("gate_proj.weight", {count, inner, hidden}, where);
  up_ = parameter("up_proj.weight", {count, inner, hidden}, where);
  down_ = parameter("down_proj.weight", {count, hidden, inner}, where);
}

Tensor Experts::operator()(Tensor x, const graph::Routing &routing, graph::Location where) const {
  graph::Scope scope(graph(), path());
  return experts(x, routing, gate_, up_, down_, where);
}

Moe::Moe(const Module &parent, const std::string &name, const ModelConfig &config)
    : Composite(parent, name),
      router_(*this, "router", config.hiddenSize, config.experts, /*withBias=*/false),
      sharedExpert_(*this, "shared_expert", config.hiddenSize, config.intermediateSize),
      experts_(*this, "experts", config), expertsPerToken_(config.expertsPerToken) {}

Tensor Moe::forward(Tensor x) const {
  graph::Routing routing = route(router_(x), expertsPerToken_);
  Tensor routed = experts_(x, routing);
  return routed + sharedExpert_(x);
}

//===----------------------------------------------------------------------===//
// Layer
//===----------------------------------------------------------------------===//

DecoderLayer::DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
                           const LayerFacts &facts)
    : Composite(parent, name),
      inputNorm_(*this, "input_layernorm", config.hiddenSize, config.rmsNormEps),
      attention_(*this, "self_attn", config, facts),
      postAttentionNorm_(*this, "post_attention_layernorm", config.hiddenSize, config.rmsNormEps) {
  if (facts.usesMoe)
    moe_.emplace(*this, "feed_forward", config);
  else
    mlp_.emplace(*this, "feed_forward", config.hiddenSize, config.intermediateSizeMlp);
}

Tensor DecoderLayer::forward(Tensor x, const StepInputs &step) const {
  Tensor h = x + attention_(inputNorm_(x), step);
  Tensor normed = postAttentionNorm_(h);
  return h + (moe_ ? (*moe_)(normed) : (*mlp_)(normed));
}

} // namespace llama4::llama4text
