//===- VisionConfig.h - the facts that make a Llama 4 image tower *- C++ -*-===//
//
// vision_config of Llama4ForConditionalGeneration.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_VISIONCONFIG_H
#define LLAMA4_MODELS_LLAMA4_VISIONCONFIG_H

#include "compiler/checkpoint/Config.h"

namespace llama4::llama4vision {

struct VisionConfig {
  int64_t hiddenSize = 0;
  int64_t heads = 0; ///< divides hiddenSize into heads of a multiple of 4
  int64_t layers = 0;
  int64_t intermediateSize = 0; ///< of the layers' MLP, and the width behind the pixel shuffle
  int64_t channels = 0;
  int64_t imageSize = 0; ///< pixels of a tile's side; a multiple of patchSize
  int64_t patchSize = 0;
  int64_t shuffle = 0;      ///< side of the square of patches that becomes one token
  int64_t adapterSize = 0;  ///< of the MLP behind the shuffle
  int64_t featureSize = 0;  ///< of its output
  int64_t imageTokenId = 0; ///< the token whose places the features take
  double theta = 0;
  double normEps = 0;

  int64_t headDim() const { return hiddenSize / heads; }
  /// Patches of a line of a tile.
  int64_t grid() const { return imageSize / patchSize; }
  /// Feature rows of a tile.
  int64_t tokensPerTile() const { return grid() / shuffle * (grid() / shuffle); }
};

/// Reads and checks vision_config and image_token_index of `config`. Errors: InvalidInput, naming
/// file and field; also for fields that contradict each other.
Result<VisionConfig> readVisionConfig(const Config &config, int64_t vocabularySize);

} // namespace llama4::llama4vision

#endif // LLAMA4_MODELS_LLAMA4_VISIONCONFIG_H
