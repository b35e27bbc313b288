//===- Weights.cpp - names and layouts of Llama 4 weights -----------------===//

#include "models/llama4/Weights.h"

#include "models/GgufNames.h"

#include <algorithm>

namespace llama4::llama4text {

using graph::StoredTensor;

static constexpr std::string_view kExperts = ".feed_forward.experts.";
static constexpr std::string_view kVisionPrefixes[] = {"vision_model.", "multi_modal_projector.",
                                                       "model.vision_model."};
static constexpr models::GgufName kLayerNames[] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"feed_forward.gate_proj", "ffn_gate"},
    {"feed_forward.up_proj", "ffn_up"},
    {"feed_forward.down_proj", "ffn_down"},
    {"feed_forward.router", "ffn_gate_inp"},
    {"feed_forward.shared_expert.gate_proj", "ffn_gate_shexp"},
    {"feed_forward.shared_expert.up_proj", "ffn_up_shexp"},
    {"feed_forward.shared_expert.down_proj", "ffn_down_shexp"},
    {"feed_forward.experts.gate_proj", "ffn_gate_exps"},
    {"feed_forward.experts.up_proj", "ffn_up_exps"},
    {"feed_forward.experts.down_proj", "ffn_down_exps"},
};

Weights::Weights(const Checkpoint &checkpoint, const ModelConfig &config,
                 const models::ModelOptions &options)
    : isGguf_(checkpoint.isGguf()), config_(config),
      stored_(checkpoint, {config.storedType, config.quantization, options.compute == "float32"}) {}

Result<StoredTensor> Weights::resolve(const std::string &canonical, std::span<const int64_t> dims) {
  if (isGguf_)
    return stored_.take(models::ggufName(canonical, kLayerNames), dims);
  if (isVision(canonical))
    return stored_.take(canonical, dims);
  const std::string name = (config_.isMultimodal ? "language_model." : "") + canonical;
  if (name.find(kExperts) != std::string::npos)
    return resolveExperts(name, dims);
  return stored_.take(name, dims);
}

/// `name` is "...experts.gate_proj.weight"; dims are [E, outputs, inputs].
Result<StoredTensor> Weights::resolveExperts(const std::string &name,
                                             std::span<const int64_t> dims) {
  const size_t at = name.find(kExperts) + kExperts.size();
  const std::string module = name.substr(0, at), rest = name.substr(at); // "gate_proj.weight"
  if (stored_.has(module + "0." + rest))
    return stored_.takeEach(module + "*." + rest, dims);
  const bool isDown = rest.starts_with("down_proj");
  const std::vector<int64_t> fused = {dims[0], dims[2], isDown ? dims[1] : 2 * dims[1]};
  LLAMA4_ASSIGN_OR_RETURN(StoredTensor stored,
                          stored_.take(module + (isDown ? "down_proj" : "gate_up_proj"), fused));
  stored.transpose = true;
  stored.firstRow = rest.starts_with("up_proj") ? dims[1] : 0;
  return stored;
}

bool Weights::isVision(std::string_view source) const {
  return config_.isMultimodal &&
         std::any_of(std::begin(kVisionPrefixes), std::end(kVisionPrefixes),
                     [&](std::string_view prefix) { return source.starts_with(prefix); });
}

Status Weights::checkAllUsed() const {
  return stored_.checkAllUsed([this](std::string_view source) {
    return (isVision(source) && !config_.vision) ||
           (config_.tieWordEmbeddings && source.ends_with("lm_head.weight"));
  });
}

std::vector<std::string> Weights::remarks() const {
  std::vector<std::string> remarks = stored_.remarks();
  const int64_t vision =
      stored_.count([this](std::string_view source) { return isVision(source); });
  if (vision && !config_.vision)
    remarks.push_back(std::to_string(vision) +
                      " tensors of the vision part are left out (vision_model.*, "
                      "multi_modal_projector.*): only text is compiled");
  return remarks;
}

} // namespace llama4::llama4text
