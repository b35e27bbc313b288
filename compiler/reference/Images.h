//===- Images.h - images in the reference interpreter -----------*- C++ -*-===//
//
// What the engine does around the entries of a model that sees: pixels in slices to features,
// features to the places of the image token or, over keys and values, to a pool of images.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REFERENCE_IMAGES_H
#define LLAMA4_COMPILER_REFERENCE_IMAGES_H

#include "compiler/reference/Interpreter.h"

namespace llama4::reference {

/// Runs entry `encode_image` on pixels f32[tiles, channels * S, S], as many at a time as its bound
/// allows. Returns the features of all tiles, f32[tiles, K, H]. Errors: InvalidInput, where the
/// module has no such entry or takes other inputs.
Result<HostTensor> encodeTiles(Interpreter &interpreter, const HostTensor &pixels);

/// The images of one sequence, for a model with cross-attention, from what its image processor
/// makes: pixel_values (n images of all their tiles), aspect_ratio_ids (n), aspect_ratio_mask (n
/// times the tiles of an image) and cross_attention_mask (for each token, image and tile whether it
/// is seen). Runs entries `encode_image` and `cross_kv`. Errors: InvalidInput, also for a mask that
/// is no run of whole images.
Result<StepImages> encodeImages(Interpreter &interpreter, const NamedTensors &processed);

/// For every token the row of its feature: -1, or for image tokens 0, 1, ... in order. Errors:
/// InvalidInput, where there are more or fewer image tokens than `features`.
Result<std::vector<int32_t>> featureRows(mlir::ModuleOp module, const std::vector<int32_t> &ids,
                                         int64_t features);

/// Adds what entry `step` takes of images, for tokens [first, last): rows of features, pools, what
/// each token sees. Pools that are not given have no images.
void addImageInputs(mlir::ModuleOp module, const StepImages &images,
                    const std::vector<int32_t> &featureRows, int64_t first, int64_t last,
                    NamedTensors &inputs);

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_IMAGES_H
