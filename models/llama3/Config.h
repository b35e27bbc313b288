//===- Config.h - the facts that make a Llama 3 text model ------*- C++ -*-===//
//
// LlamaForCausalLM as Hugging Face configures it (both layouts of the file), or the same fields
// from GGUF metadata. Every size comes from the configuration, none is guessed from another tensor.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_CONFIG_H
#define LLAMA4_MODELS_LLAMA3_CONFIG_H

#include "models/TextModel.h"

namespace llama4::llama3 {

struct ModelConfig : models::TextConfig {
  int64_t intermediateSize = 0;
  int64_t layers = 0;
  bool mlpBias = false; ///< on gate, up and down
  RopeParameters rope;
};

/// Reads and checks every field. Errors: InvalidInput, naming file and field.
Result<ModelConfig> readConfig(const Checkpoint &checkpoint);

} // namespace llama4::llama3

#endif // LLAMA4_MODELS_LLAMA3_CONFIG_H
