//===- Config.h - the facts that make a Llama 3.2 Vision model --*- C++ -*-===//
//
// MllamaForConditionalGeneration: text_config and vision_config, in both layouts of config.json.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA3_VISION_CONFIG_H
#define LLAMA4_MODELS_LLAMA3_VISION_CONFIG_H

#include "models/llama3/Config.h"

namespace llama4::llama3_vision {

struct VisionConfig {
  int64_t hiddenSize = 0;
  int64_t heads = 0;
  int64_t intermediateSize = 0;
  int64_t layers = 0, globalLayers = 0;
  std::vector<int64_t> intermediateLayers; ///< whose inputs are features too, ascending
  int64_t channels = 0;
  int64_t imageSize = 0; ///< pixels of a tile's side; a multiple of patchSize
  int64_t patchSize = 0;
  int64_t maxTiles = 0;     ///< tiles of every image, absent ones included
  int64_t aspectRatios = 0; ///< there are ids from 1 on; 0 means none
  double normEps = 0;

  /// Rows of a tile: its patches and the class token.
  int64_t tokens() const { return imageSize / patchSize * (imageSize / patchSize) + 1; }
  /// Columns of the features.
  int64_t outputSize() const {
    return hiddenSize * (1 + static_cast<int64_t>(intermediateLayers.size()));
  }
};

/// What differs from layer to layer of the decoder.
struct LayerFacts {
  bool isCross = false;   ///< attends to images instead of the text
  int64_t stateLayer = 0; ///< index among the layers of its kind
};

struct ModelConfig : llama3::ModelConfig {
  std::vector<LayerFacts> facts; ///< of each of `layers`
  VisionConfig vision;
  int64_t imageTokenId = 0;
  bool withVision = false; ///< as ModelOptions::vision

  int64_t crossLayers() const;
};

/// Reads and checks every field. Errors: InvalidInput, naming file and field.
Result<ModelConfig> readConfig(const Checkpoint &checkpoint);

} // namespace llama4::llama3_vision

#endif // LLAMA4_MODELS_LLAMA3_VISION_CONFIG_H
