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

#include "models/llama4/Layers.h"

#include <memory>

namespace llama4::llama4text {

/// Declares the model; see models::buildModel.
Result<std::unique_ptr<graph::Graph>> build(const Checkpoint &checkpoint,
                                            const models::ModelOptions &options);

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_MODEL_H
