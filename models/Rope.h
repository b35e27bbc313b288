//===- Rope.h - frequencies of the rotary embedding -------------*- C++ -*-===//
#ifndef LLAMA4_MODELS_ROPE_H
#define LLAMA4_MODELS_ROPE_H

#include "compiler/checkpoint/Checkpoint.h"

#include <vector>

namespace llama4::models {

/// The inverse frequencies of the rotary embedding, headDim / 2, computed step by step in float32
/// as transformers does: 1 / theta^(2i / headDim), then the scaling. Errors: InvalidInput, where
/// the checkpoint doesn't hold the stored factors that the parameters name.
Result<std::vector<float>> computeInvFreq(const Checkpoint &checkpoint, const RopeParameters &rope,
                                          int64_t headDim);

/// The scaling "llama3" of frequencies: divided by `factor` where the wavelength exceeds
/// original / low, kept where it is below original / high, blended between. With low == high there
/// is no blend.
void scaleLlama3(const RopeParameters &rope, std::vector<float> &invFreq);

} // namespace llama4::models

#endif // LLAMA4_MODELS_ROPE_H
