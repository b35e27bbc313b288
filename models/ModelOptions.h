//===- ModelOptions.h - what a compile fixes about a model ------*- C++ -*-===//
#ifndef LLAMA4_MODELS_MODELOPTIONS_H
#define LLAMA4_MODELS_MODELOPTIONS_H

#include "compiler/graph/Graph.h"

#include <cstdint>
#include <string>

namespace llama4::models {

/// Bounds and formats that shape the artifact; written to the graph's options.
struct ModelOptions {
  std::string compute = "float32"; ///< activations between kernels: "float32" or "bfloat16"
  lm::shape::Element kvType = lm::shape::Element::F32; ///< F32 or BF16
  int64_t maxLength = 0;       ///< tokens of a sequence; 0 = what the model was made for
  int64_t maxBatchSize = 64;   ///< sequences of a step, and rows of one call of `logits`
  int64_t maxStepTokens = 512; ///< tokens of a step
  bool vision = false;         ///< the image part too, where the checkpoint has one
  int64_t maxStepTiles = 4;    ///< tiles (images, where they are one) of a call of `encode_image`
  int64_t maxFeatureRows = 0;  ///< of the engine's pool; 0 = what five images of all tiles take
};

/// Errors: Usage, for bounds outside of what makes sense or above `maxPosition`, and for unknown
/// formats.
Status checkOptions(const ModelOptions &options, int64_t maxPosition);

/// Writes `options` to the graph's.
void writeOptions(const ModelOptions &options, int64_t maxPosition, graph::Graph &graph);

} // namespace llama4::models

#endif // LLAMA4_MODELS_MODELOPTIONS_H
