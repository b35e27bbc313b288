//===- TextSections.h - tokenizer, template, generation defaults *- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_TEXTSECTIONS_H
#define LLAMA4_COMPILER_DRIVER_TEXTSECTIONS_H

#include "compiler/checkpoint/Checkpoint.h"
#include "runtime/format/ProgramDesc.h"

#include <string>

namespace llama4 {

/// What a checkpoint says about text, as the file's sections; empty where it says nothing.
struct TextSections {
  std::string tokenizer, chatTemplate;
};

/// Builds both sections from tokenizer.json and its neighbours or from GGUF metadata. Errors name
/// the file and what in it is not supported.
Result<TextSections> buildTextSections(const Checkpoint &checkpoint, const ModelInfo &model);

/// The sampler's defaults from generation_config.json; not present without that file.
Result<GenerationDefaults> readGenerationDefaults(const Checkpoint &checkpoint);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_TEXTSECTIONS_H
