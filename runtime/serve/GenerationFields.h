//===- GenerationFields.h - what requests say about answers ------*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_GENERATIONFIELDS_H
#define LLAMA4_RUNTIME_SERVE_GENERATIONFIELDS_H

#include "runtime/engine/ScheduledRequest.h"
#include "runtime/serve/ServedModel.h"

namespace llama4::serve {

/// The fields that both kinds of completion have in common.
struct GenerationFields {
  ScheduledRequest request; ///< without the prompt
  bool stream = false;
  bool includeUsage = false; ///< a last chunk with the usage
  bool isZeroTokens = false; ///< max_tokens is 0
};

/// Reads and checks them. What a request doesn't say is the model's own default; where that says
/// nothing either, tokens are drawn at temperature 1. max_tokens is `leastTokens` or more. Fields
/// that would change the answer and are not supported are refused.
void readGenerationFields(Fields &fields, const ServedModel &model, int64_t leastTokens,
                          GenerationFields &out);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_GENERATIONFIELDS_H
