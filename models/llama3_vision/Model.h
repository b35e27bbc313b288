//===- Model.h - Llama 3.2 Vision -------------------------------*- C++ -*-===//
//
// MllamaForConditionalGeneration (11B, 90B). Entries:
//
//   encode_image  pixels f32[N, tiles * channels * S, S], aspect_ratio_ids and tiles i32[N] of N
//                 images -> features f32[N, tiles * tokens, H]
//   cross_kv      features of N images -> for each layer of cross-attention its keys and values
//                 f32[N, tiles * tokens, kv heads * dim]
//   step          ids i32[T], cos and sin f32[T, headDim / 2], batch, kv; image_first and
//   image_count
//                 i32[T] and sees_image f32[T, 1], which images of the pool a row sees; image_tiles
//                 i32[I]; cross_key_L and cross_value_L, the pool -> hidden f32[T, H]
//   logits        hidden f32[?, H], rows i32[R] -> f32[R, V]
//
// Without ModelOptions::vision there are step and logits for text alone, which skip the layers of
// cross-attention.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_VISION_MODEL_H
#define LLAMA4_MODELS_LLAMA3_VISION_MODEL_H

#include "models/ModelOptions.h"

#include <memory>

namespace llama4 {
class Checkpoint;
}

namespace llama4::llama3_vision {

/// Declares the model; see models::buildModel.
Result<std::unique_ptr<graph::Graph>> build(const Checkpoint &checkpoint,
                                            const models::ModelOptions &options);

} // namespace llama4::llama3_vision

#endif // LLAMA4_MODELS_LLAMA3_VISION_MODEL_H
