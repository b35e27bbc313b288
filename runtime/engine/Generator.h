//===- Generator.h - prompts in, generated tokens out ------------*- C++ -*-===//
//
// Runs any number of requests on an engine, as many at once as it takes, until each has met a stop
// token, a stop string or its limit; whenever one ends, the next one joins the running batch. The
// same request gives the same tokens in any company.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_GENERATOR_H
#define LLAMA4_RUNTIME_ENGINE_GENERATOR_H

#include "runtime/engine/Sampler.h"
#include "runtime/engine/StepPlanner.h"
#include "runtime/text/Tokenizer.h"

#include <functional>
#include <span>
#include <vector>

namespace llama4 {

struct GenerationRequest {
  std::vector<int32_t> prompt; ///< at least one id
  uint64_t maxNewTokens = 0;
  SamplingParameters sampling = {};
  std::vector<int32_t> stopIds = {}; ///< further ones, beside those of the options
  /// End the text where the first of them begins; their tokens stay in the list of tokens. They are
  /// compared with the text, in which control tokens don't show.
  std::vector<std::string> stopStrings = {};
  std::shared_ptr<const PromptImages> images = {}; ///< of the prompt; null: none
};

struct GenerationOptions {
  std::vector<int32_t> stopIds; ///< end a generation and are not part of it
  bool ignoreStop = false;      ///< stop ids are tokens like any other
  uint32_t prefillChunk = 0;    ///< most prompt tokens of one request in a step; 0: as many as fit
  /// Makes texts of the tokens; without one (null) there are neither texts nor stop strings.
  const text::Tokenizer *tokenizer = nullptr;
};

/// Why a generation ended.
enum class FinishReason { Stop, Length };

struct Generation {
  std::vector<int32_t> tokens;
  std::string text; ///< UTF-8; up to the stop string, if one was met
  FinishReason reason = FinishReason::Length;
};

/// Wall-clock seconds of a run of the generator.
struct GenerationTimings {
  double prompt = 0;          ///< until every request had its first token
  double decode = 0;          ///< after that
  uint64_t promptTokens = 0;  ///< of all requests
  uint64_t decodedTokens = 0; ///< in the decode time
  std::vector<double> steps;  ///< every step of the decode time
};

/// Told of each token as it comes, and of the text that is certain with it; the rest of the text,
/// if any was held back, is in the Generation only.
using TokenSink = std::function<void(size_t request, int32_t token, std::string_view text)>;

/// Stop ids of a program: the ends of text, turn and message that the model names.
std::vector<int32_t> stopIdsOf(const ProgramDesc &program);

/// One generation per request, in their order. Errors: InvalidInput (an empty prompt, an id outside
/// the vocabulary, logits that are not numbers), Usage (a prompt longer than the engine takes, bad
/// sampling parameters or stop strings), OutOfMemory (no pages left). A generation also ends when
/// its sequence has the engine's length.
Result<std::vector<Generation>> generate(Engine &engine,
                                         std::span<const GenerationRequest> requests,
                                         const GenerationOptions &options,
                                         const TokenSink &onToken = {},
                                         GenerationTimings *timings = nullptr);

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_GENERATOR_H
