//===- Layers.cpp - the pieces of a Llama 3 decoder -----------------------===//

#include "models/llama3/Layers.h"

#include <cmath>

namespace llama4::llama3 {

using graph::RotateStyle;
using graph::Tensor;

Attention::Attention(const Module &parent, const std::string &name, const ModelConfig &config,
                     int64_t layer)
    : Composite(parent, name), qProj_(*this, "q_proj", config.hiddenSize,
                                      config.heads * config.headDim, config.attentionBias),
      kProj_(*this, "k_proj", config.hiddenSize, config.kvHeads * config.headDim,
             config.attentionBias),
      vProj_(*this, "v_proj", config.hiddenSize, config.kvHeads * config.headDim,
             config.attentionBias),
      oProj_(*this, "o_proj", config.heads * config.headDim, config.hiddenSize,
             config.attentionBias),
      layer_(layer), scale_(1.0 / std::sqrt(static_cast<double>(config.headDim))) {}

Tensor Attention::forward(Tensor x, const StepInputs &step) const {
  Tensor query = rope(qProj_(x), step.cos, step.sin, RotateStyle::Half);
  Tensor key = rope(kProj_(x), step.cos, step.sin, RotateStyle::Half);
  Tensor value = vProj_(x);
  graph::KvLayer kv = step.kv.layer(layer_);
  kvWrite(key, value, kv, step.batch);
  return oProj_(attention(query, kv, step.batch, scale_));
}

Mlp::Mlp(const Module &parent, const std::string &name, const ModelConfig &config)
    : Composite(parent, name),
      gateProj_(*this, "gate_proj", config.hiddenSize, config.intermediateSize, config.mlpBias),
      upProj_(*this, "up_proj", config.hiddenSize, config.intermediateSize, config.mlpBias),
      downProj_(*this, "down_proj", config.intermediateSize, config.hiddenSize, config.mlpBias) {}

Tensor Mlp::forward(Tensor x) const { return downProj_(silu(gateProj_(x)) * upProj_(x)); }

DecoderLayer::DecoderLayer(const Module &parent, const std::string &name, const ModelConfig &config,
                           int64_t layer)
    : Composite(parent, name),
      inputNorm_(*this, "input_layernorm", config.hiddenSize, config.rmsNormEps),
      attention_(*this, "self_attn", config, layer),
      postAttentionNorm_(*this, "post_attention_layernorm", config.hiddenSize, config.rmsNormEps),
      mlp_(*this, "mlp", config) {}

Tensor DecoderLayer::forward(Tensor x, const StepInputs &step) const {
  Tensor h = x + attention_(inputNorm_(x), step);
  return h + mlp_(postAttentionNorm_(h));
}

} // namespace llama4::llama3
