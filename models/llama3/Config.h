//===- Config.h - the facts that make a Llama 3 text model ------*- C++ -*-===//
//
// LlamaForCausalLM as Hugging Face configures it (both layouts of the file), or the same fields
// from GGUF metadata. Every size comes from the configuration, none is guessed from another tensor.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_CONFIG_H
#define LLAMA4_MODELS_LLAMA3_CONFIG_H

#include "models/TokenIds.h"

#include <optional>
#include <vector>

namespace llama4::llama3 {

struct ModelConfig {
  int64_t vocabularySize = 0;
  int64_t hiddenSize = 0;
  int64_t intermediateSize = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kvHeads = 0; ///< divides heads; head h reads KV head h / (heads / kvHeads)
  int64_t headDim = 0; ///< even; explicit or hiddenSize / heads
  int64_t maxPosition = 0;
  double rmsNormEps = 0;
  bool tieWordEmbeddings = false; ///< lm_head uses the embedding table
  bool attentionBias = false;     ///< on q, k, v and o
  bool mlpBias = false;           ///< on gate, up and down
  models::TokenIds tokens;
  std::optional<DType> storedType; ///< what dtype says; only for checkpoints without weights
};

/// Reads and checks every field. Errors: InvalidInput, naming file and field.
Result<ModelConfig> readConfig(const Checkpoint &checkpoint);

/// The inverse frequencies of the rotary embedding, headDim / 2, computed step by step in float32
/// as transformers does: 1 / theta^(2i / headDim), then the scaling. Errors: InvalidInput.
Result<std::vector<float>> readInvFreq(const Checkpoint &checkpoint, int64_t headDim);

/// The same from parameters that are already read.
Result<std::vector<float>> computeInvFreq(const Checkpoint &checkpoint, const RopeParameters &rope,
                                          int64_t headDim);

/// The scaling "llama3" of frequencies: divided by `factor` where the wavelength exceeds
/// original / low, kept where it is below original / high, blended between. With low == high there
/// is no blend.
void scaleLlama3(const RopeParameters &rope, std::vector<float> &invFreq);

} // namespace llama4::llama3

#endif // LLAMA4_MODELS_LLAMA3_CONFIG_H
