//===- Weights.cpp - names and layouts of Llama 3 weights -----------------===//

#include "models/llama3/Weights.h"

#include "models/GgufNames.h"

namespace llama4::llama3 {

static constexpr models::GgufName kLayerNames[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

std::string ggufName(const std::string &canonical) {
  return models::ggufName(canonical, kLayerNames);
}

/// Heads whose rows GGUF permutes in the parameter; 0 for all but queries and keys.
static int64_t permutedHeads(const std::string &canonical, const ModelConfig &config) {
  if (canonical.find(".self_attn.q_proj.") != std::string::npos)
    return config.heads;
  return canonical.find(".self_attn.k_proj.") != std::string::npos ? config.kvHeads : 0;
}

Weights::Weights(const Checkpoint &checkpoint, const ModelConfig &config,
                 const models::ModelOptions &options)
    : isGguf_(checkpoint.isGguf()), config_(config),
      stored_(checkpoint, {config.storedType, config.quantization, options.compute == "float32"}) {}

Result<graph::StoredTensor> Weights::resolve(const std::string &canonical,
                                             std::span<const int64_t> dims) {
  LLAMA4_ASSIGN_OR_RETURN(graph::StoredTensor stored,
                          stored_.take(isGguf_ ? ggufName(canonical) : canonical, dims));
  stored.unpermuteHeads = isGguf_ ? permutedHeads(canonical, config_) : 0;
  return stored;
}

Status Weights::checkAllUsed() const {
  return stored_.checkAllUsed([this](std::string_view source) {
    return !isGguf_ && config_.tieWordEmbeddings && source == "lm_head.weight";
  });
}

} // namespace llama4::llama3
