//===- HfPipeline.h - the steps around the model of tokenizer.json *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_TEXT_BUILD_HFPIPELINE_H
#define LLAMA4_RUNTIME_TEXT_BUILD_HFPIPELINE_H

#include "runtime/text/build/TokenizerWriter.h"

#include <nlohmann/json.hpp>

namespace llama4::text {

/// Reads normalizer, pre_tokenizer, post_processor and decoder of a tokenizer.json and sets split,
/// digits, prefixIds, suffixIds and addBos. content.tokens must be complete. Whatever is not one
/// of the supported combinations is an error naming it.
Status readHfPipeline(const nlohmann::json &root, TokenizerContent &content);

} // namespace llama4::text

#endif // LLAMA4_RUNTIME_TEXT_BUILD_HFPIPELINE_H
