//===- Model.h - Llama 3 text models ----------------------------*- C++ -*-===//
//
// LlamaForCausalLM: Llama 3, 3.1, 3.2 (1B, 3B), 3.3, and models of the same architecture. Entries:
//
//   step    ids i32[T], cos and sin f32[T, headDim / 2], batch, kv -> hidden f32[T, H], the
//           residual stream after the last layer, before the final norm
//   logits  hidden f32[?, H], rows i32[R] -> f32[R, V]
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_MODEL_H
#define LLAMA4_MODELS_LLAMA3_MODEL_H

#include "models/llama3/Layers.h"

#include <memory>

namespace llama4::llama3 {

/// Declares the model; see models::buildModel.
Result<std::unique_ptr<graph::Graph>> build(const Checkpoint &checkpoint,
                                            const models::ModelOptions &options);

} // namespace llama4::llama3

#endif // LLAMA4_MODELS_LLAMA3_MODEL_H
