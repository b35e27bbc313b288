//===- ScheduledRequest.h - what is asked of a scheduler, and what it tells *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H
#define LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H

#include "runtime/engine/Generator.h"
#include "runtime/engine/Logprobs.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llama4 {

/// A prompt and how to continue it.
struct ScheduledRequest {
  std::vector<int32_t> prompt; ///< at least one id
  uint64_t maxNewTokens = 0;   ///< 0: until the engine's longest sequence is full
  uint64_t minNewTokens = 0; ///< before it, neither stop ids are chosen nor stop strings looked for
  uint32_t choices = 1;      ///< answers; number i is drawn with the seed plus i
  SamplingParameters sampling = {};
  std::vector<int32_t> stopIds = {};         ///< further ones; they stop whatever ignoreStop says
  std::vector<std::string> stopStrings = {}; ///< as in GenerationRequest
  bool ignoreStop = false;                   ///< the model's own stop ids are tokens like any other
  std::optional<uint32_t> topLogprobs = {};  ///< report logprobs, with so many alternatives
};

/// One step of one answer, or its end. What it points to lives until the listener returns.
struct RequestEvent {
  uint32_t choice = 0;
  std::optional<int32_t> token; ///< nothing where a stop id ended the answer, and in errors
  std::string_view text;        ///< UTF-8 that is certain now
  const TokenLogprobs *logprobs = nullptr; ///< of the token, where they were asked for
  std::optional<FinishReason> finish;      ///< the answer is complete
  Status status;                           ///< not ok: the request failed, nothing follows
};

/// Told of each event of a request, in order, on the scheduler's thread: it must return at once
/// and throw nothing.
using RequestListener = std::function<void(const RequestEvent &)>;

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H
