//===- ScheduledRequest.h - what is asked of a scheduler, and what it tells *- C++ -*-===//
#ifndef LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H
#define LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H

#include "runtime/engine/Generator.h"
#include "runtime/engine/Logprobs.h"
#include "runtime/engine/PrefixIndex.h"

#include <chrono>
#include <functional>
#include <optional>
#include <span>
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
  std::shared_ptr<const PromptImages> images = {}; ///< of the prompt; null: none
  /// Logprobs of the prompt's tokens as well, where there are topLogprobs; the whole prompt is
  /// processed for them.
  bool promptLogprobs = false;
  /// Whose it is. Requests of different keys are let in by turns, those of one key as they came.
  std::string key = {};
  /// The request fails at the first step that begins then or later.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  /// Pages are shared only with requests of the same salt.
  std::optional<ContentKey> cacheSalt = {};
};

/// One step of one answer, or its end. What it points to lives until the listener returns.
struct RequestEvent {
  uint32_t choice = 0;
  std::optional<int32_t> token; ///< nothing where a stop id ended the answer, and in errors
  std::string_view text;        ///< UTF-8 that is certain now
  const TokenLogprobs *logprobs = nullptr; ///< of the token, where they were asked for
  /// In the first event of an answer, where it was asked for: element i is of prompt token i + 1.
  std::span<const TokenLogprobs> promptLogprobs;
  /// Tokens of the request's prompt that were known and not processed again.
  uint64_t cachedTokens = 0;
  std::optional<FinishReason> finish; ///< the answer is complete
  bool timedOut = false;              ///< the status is that the deadline has passed
  Status status;                      ///< not ok: the request failed, nothing follows
};

/// Told of each event of a request, in order, on the scheduler's thread: it must return at once
/// and throw nothing.
using RequestListener = std::function<void(const RequestEvent &)>;

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_SCHEDULEDREQUEST_H
