//===- Weights.h - names and layouts of Llama 4 weights ---------*- C++ -*-===//
//
// Canonical names are those of the Hugging Face layout of Llama4ForCausalLM, weights [outputs,
// inputs]; a multimodal checkpoint has them behind "language_model.", and
// those of the image tower, vision_model.* and multi_modal_projector.*, as they are. The routed
// experts of a layer are three parameters of rank 3,
// "...feed_forward.experts.{gate,up,down}_proj.weight", stored
//
//   fused        experts.gate_up_proj [E, H, 2 F] (gate first), experts.down_proj [E, F, H],
//                both [inputs, outputs]
//   per expert   experts.N.gate_proj.weight [F, H] and so on, [outputs, inputs]
//   GGUF         blk.N.ffn_{gate,up,down}_exps.weight, [E, outputs, inputs]
//
// GGUF files call the others as follows, without a permutation of rows:
//
//   self_attn.{q,k,v,o}_proj                attn_{q,k,v,output}
//   input_layernorm                         attn_norm
//   post_attention_layernorm                ffn_norm
//   feed_forward.router                     ffn_gate_inp
//   feed_forward.shared_expert.gate_proj    ffn_gate_shexp (and up, down)
//   feed_forward.gate_proj                  ffn_gate       (and up, down; dense layers)
//
// Any weight may be stored as FP8 numbers with a scale per row beside it, or as packed integers
// (CompressedTensors.h).
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_WEIGHTS_H
#define LLAMA4_MODELS_LLAMA4_WEIGHTS_H

#include "models/StoredWeights.h"
#include "models/llama4/Config.h"

namespace llama4::llama4text {

/// Finds the parameters of the model in its checkpoint.
class Weights {
public:
  /// Refers to the checkpoint and to `config`; they must outlive the object.
  Weights(const Checkpoint &checkpoint, const ModelConfig &config,
          const models::ModelOptions &options);

  /// Where the values of `canonical` are, checked to have the extents `dims`.
  Result<graph::StoredTensor> resolve(const std::string &canonical, std::span<const int64_t> dims);
  /// See models::StoredWeights; a vision part that nobody asked for and the head of a tied
  /// model are superfluous.
  Status checkAllUsed() const;
  /// As there, and what is left out.
  std::vector<std::string> remarks() const;

private:
  Result<graph::StoredTensor> resolveExperts(const std::string &name,
                                             std::span<const int64_t> dims);
  bool isVision(std::string_view source) const;

  bool isGguf_;
  const ModelConfig &config_;
  models::StoredWeights stored_;
};

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_WEIGHTS_H
