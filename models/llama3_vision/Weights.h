//===- Weights.h - names and layouts of Llama 3.2 Vision weights *- C++ -*-===//
//
// Canonical names of the decoder are those of LlamaForCausalLM; the checkpoint has them behind
// "language_model.". Layers of cross-attention have "cross_attn" instead of "self_attn", and gates
// "cross_attn_attn_gate" and "cross_attn_mlp_gate". Names of the tower, "vision_model.*" and
// "multi_modal_projector.*", are those of the checkpoint; its patch convolution [H, C, p, p] is the
// matrix [H, C p p].
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_VISION_WEIGHTS_H
#define LLAMA4_MODELS_LLAMA3_VISION_WEIGHTS_H

#include "models/StoredWeights.h"
#include "models/llama3_vision/Config.h"

namespace llama4::llama3_vision {

/// Finds the parameters of the model in its checkpoint.
class Weights {
public:
  /// Refers to the checkpoint and to `config`; they must outlive the object.
  Weights(const Checkpoint &checkpoint, const ModelConfig &config,
          const models::ModelOptions &options);

  /// Where the values of `canonical` are, checked to have the extents `dims`.
  Result<graph::StoredTensor> resolve(const std::string &canonical, std::span<const int64_t> dims);
  /// See models::StoredWeights; a tower that nobody asked for and its layers are superfluous.
  Status checkAllUsed() const;
  /// As there, and what is left out.
  std::vector<std::string> remarks() const;

private:
  /// Part of the tower, or of a decoder layer that reads images.
  bool isVision(std::string_view source) const;

  const ModelConfig &config_;
  bool withVision_;
  models::StoredWeights stored_;
};

} // namespace llama4::llama3_vision

#endif // LLAMA4_MODELS_LLAMA3_VISION_WEIGHTS_H
