//===- ImageModel.h - the test model with pictures ---------------*- C++ -*-===//
#ifndef LLAMA4_TEST_ENGINE_IMAGEMODEL_H
#define LLAMA4_TEST_ENGINE_IMAGEMODEL_H

#include "test/engine/TinyModel.h"

namespace llama4::test {

/// Units of the pools: tiles for Llama 4, else pictures.
inline constexpr uint32_t imageUnits = 9;
/// Tiles, or pictures, of one run of the entry that encodes.
inline constexpr uint32_t imageStepTiles = 2;
/// <|image|>; behind the vocabulary for Llama 3.2 Vision.
inline constexpr int32_t llama4ImageToken = 6, llama4PatchToken = 7, mllamaImageToken = tinyVocab;

ProgramDesc imageProgram(ImageFamily family);
std::shared_ptr<const Program> loadImageModel(ImageFamily family, const std::string &path);

/// A picture of so many tiles, the same for the same seed.
ImagePixels makePicture(uint32_t tiles, uint32_t seed);

/// The hidden rows of a text with pictures, computed without pools, pages or steps.
std::vector<Hidden> imageReference(ImageFamily family, std::span<const int32_t> ids,
                                   const PromptImages &images);

} // namespace llama4::test

#endif // LLAMA4_TEST_ENGINE_IMAGEMODEL_H
