//===- ImageFacts.h - how a checkpoint wants its pictures --------*- C++ -*-===//
#ifndef LLAMA4_COMPILER_DRIVER_IMAGEFACTS_H
#define LLAMA4_COMPILER_DRIVER_IMAGEFACTS_H

#include "compiler/checkpoint/Checkpoint.h"
#include "runtime/format/ProgramDesc.h"

#include <string>

namespace llama4 {

/// Adds to `images` what is not in the model: scaling, tiles and normalisation from
/// preprocessor_config.json (or processor_config.json), else the family's own; ids of the tokens
/// around pictures from the tokenizer's section, which may be empty. Nothing where the program
/// takes no pictures. Errors: InvalidInput, naming file and field; also for a picture size or tiles
/// other than the model's, and for steps that are left out or done otherwise.
Status readImageFacts(const Checkpoint &checkpoint, const std::string &tokenizer,
                      ImageInfo &images);

} // namespace llama4

#endif // LLAMA4_COMPILER_DRIVER_IMAGEFACTS_H
