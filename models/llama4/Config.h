//===- Config.h - the facts that make a Llama 4 text model ------*- C++ -*-===//
//
// Llama4ForCausalLM, or the text part of Llama4ForConditionalGeneration ("text_config"), in both
// layouts of config.json. The namespace is not called llama4: that is the project's.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_CONFIG_H
#define LLAMA4_MODELS_LLAMA4_CONFIG_H

#include "models/TextModel.h"
#include "models/llama4/VisionConfig.h"

#include <string>
#include <vector>

namespace llama4::llama4text {

/// What differs from layer to layer.
struct LayerFacts {
  bool usesRope = true;   ///< else NoPE: no rotary embedding, no qk norm, full attention
  bool usesMoe = true;    ///< else a dense feed-forward network of intermediateSizeMlp
  bool isChunked = false; ///< attention sees the query's own chunk only
  int64_t stateLayer = 0; ///< index among the layers of its kind of state
};

struct ModelConfig : models::TextConfig {
  int64_t intermediateSize = 0;    ///< of an expert and of the shared expert
  int64_t intermediateSizeMlp = 0; ///< of a dense layer; 0 where there is none
  int64_t experts = 0;
  int64_t expertsPerToken = 0;
  int64_t chunk = 0;             ///< attention_chunk_size of the RoPE layers; 0 = full attention
  bool usesQkNorm = false;       ///< on the RoPE layers
  bool tunesTemperature = false; ///< on the NoPE layers
  double attnScale = 0;
  int64_t floorScale = 1;
  RopeParameters rope;
  std::vector<LayerFacts> layers;
  bool isMultimodal = false;    ///< weights are called language_model.*
  int64_t visionParameters = 0; ///< of a vision part that is left out; 0 = not known
  std::optional<llama4vision::VisionConfig> vision; ///< where there is one and it was asked for
  std::vector<std::string> remarks; ///< choices the configuration leaves to the reader

  /// Layers with chunked, or with full, attention.
  int64_t countLayers(bool chunked) const;
};

/// Reads and checks every field. Errors: InvalidInput, naming file and field; also for fields that
/// contradict each other. `withVision` asks for the image part, if there is one.
Result<ModelConfig> readConfig(const Checkpoint &checkpoint, bool withVision);

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_CONFIG_H
