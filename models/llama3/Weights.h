//===- Weights.h - names and layouts of Llama 3 weights ---------*- C++ -*-===//
//
// Canonical names are those of the Hugging Face layout; weights are [outputs, inputs] in both
// layouts. GGUF files have other names, and the rows of query and key projections permuted inside
// every head for interleaved RoPE:
//
//   model.embed_tokens.weight                        token_embd.weight          [V, H]
//   model.layers.N.input_layernorm.weight            blk.N.attn_norm.weight     [H]
//   model.layers.N.self_attn.q_proj.weight           blk.N.attn_q.weight        [heads * dim, H]
//   model.layers.N.self_attn.k_proj.weight           blk.N.attn_k.weight        [kv heads * dim, H]
//   model.layers.N.self_attn.v_proj.weight           blk.N.attn_v.weight        [kv heads * dim, H]
//   model.layers.N.self_attn.o_proj.weight           blk.N.attn_output.weight   [H, heads * dim]
//   model.layers.N.post_attention_layernorm.weight   blk.N.ffn_norm.weight      [H]
//   model.layers.N.mlp.gate_proj.weight              blk.N.ffn_gate.weight      [F, H]
//   model.layers.N.mlp.up_proj.weight                blk.N.ffn_up.weight        [F, H]
//   model.layers.N.mlp.down_proj.weight              blk.N.ffn_down.weight      [H, F]
//   model.norm.weight                                output_norm.weight         [H]
//   lm_head.weight (absent when tied)                output.weight              [V, H]
//
// Every projection may have a `bias` beside its `weight`.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_WEIGHTS_H
#define LLAMA4_MODELS_LLAMA3_WEIGHTS_H

#include "models/StoredWeights.h"
#include "models/llama3/Config.h"

namespace llama4::llama3 {

/// The GGUF name of a canonical name; empty where GGUF has none.
std::string ggufName(const std::string &canonical);

/// Finds the parameters of the model in its checkpoint.
class Weights {
public:
  /// Refers to the checkpoint and to `config`; they must outlive the object.
  Weights(const Checkpoint &checkpoint, const ModelConfig &config,
          const models::ModelOptions &options);

  /// The tensor behind `canonical`, checked to have the extents `dims`.
  Result<graph::StoredTensor> resolve(const std::string &canonical, std::span<const int64_t> dims);
  /// See models::StoredWeights; the head of a tied model is superfluous.
  Status checkAllUsed() const;
  std::vector<std::string> remarks() const { return stored_.remarks(); }

private:
  bool isGguf_;
  const ModelConfig &config_;
  models::StoredWeights stored_;
};

} // namespace llama4::llama3

#endif // LLAMA4_MODELS_LLAMA3_WEIGHTS_H
