//===- Model.h - Llama 4 text models ----------------------------*- C++ -*-===//
//
// Llama4ForCausalLM and the text part of Llama4ForConditionalGeneration (Scout, Maverick). Entries:
//
//   step    ids i32[T], cos and sin f32[T, headDim / 2], temperature f32[T, 1] (where NoPE layers
//           tune it), batch, kv per kind of layer -> hidden f32[T, H], the residual stream after
//           the last layer, before the final norm
//   logits  hidden f32[?, H], rows i32[R] -> f32[R, V]
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_MODEL_H
#define LLAMA4_MODELS_LLAMA4_MODEL_H

#include "models/ModelOptions.h"
#include "models/llama4/Layers.h"

#include <memory>

namespace llama4::llama4text {

/// Token embedding, decoder layers and the final norm ("model").
class Decoder : public graph::Module {
public:
  Decoder(const Module &parent, const std::string &name, const ModelConfig &config);
  /// ids i32[T] -> the residual stream f32[T, H].
  graph::Tensor hidden(graph::Tensor ids, const StepInputs &step) const;
  const graph::RmsNorm &norm() const { return norm_; }
  const graph::Embedding &embedding() const { return embedding_; }

private:
  graph::Embedding embedding_;
  std::vector<DecoderLayer> layers_;
  graph::RmsNorm norm_;
};

/// Declares the model; see models::buildModel.
Result<std::unique_ptr<graph::Graph>> build(const Checkpoint &checkpoint,
                                            const models::ModelOptions &options);

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_MODEL_H
