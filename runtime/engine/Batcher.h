//===- Batcher.h - which requests run, and their tokens ----------*- C++ -*-===//
//
// The part of a scheduler that knows no threads: requests wait in the order they came, join the
// running batch when there are pages for what they have so far, and give one token a step once
// their prompt is processed. While some are generating, a step takes only so many prompt tokens, so
// that the time between tokens stays bounded. When pages run out, the youngest goes back to wait
// and is processed again later; its tokens stay the same, as do everyone's in any company.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_BATCHER_H
#define LLAMA4_RUNTIME_ENGINE_BATCHER_H

#include "runtime/engine/ScheduledRequest.h"
#include "runtime/engine/StepPlanner.h"
#include "runtime/engine/StopStrings.h"
#include "runtime/text/IncrementalDecoder.h"

#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace llama4 {

struct BatcherOptions {
  std::vector<int32_t> stopIds = {}; ///< end an answer and are not part of it
  uint32_t prefillChunk = 0;         ///< most prompt tokens of one request in a step; 0: all
  /// Most prompt tokens of all requests in a step in which others generate; 0: as many as fit.
  uint32_t promptTokensBesideDecode = 64;
  /// Makes texts of tokens, and outlives the batcher; without one (null) there are no texts.
  const text::Tokenizer *tokenizer = nullptr;
};

class Batcher {
public:
  /// `engine` must outlive the batcher, which is its only user.
  Batcher(Engine &engine, BatcherOptions options);

  /// What is wrong with a request, before it is added. Changes nothing and may be called by any
  /// thread at any time. Errors: InvalidInput and Usage: it is wrong in itself, or it can never
  /// fit.
  Status check(const ScheduledRequest &request) const;
  /// Takes a request that check() let pass; `id` is new.
  void add(uint64_t id, ScheduledRequest request, RequestListener listener);
  /// Ends a request; its listener hears nothing more. Unknown ids are ignored.
  void cancel(uint64_t id);
  /// Ends all requests; each listener hears of `why`.
  void failAll(const Status &why);

  /// Lets requests in and runs one batch; nothing happens when there are none. Errors: those of
  /// the engine other than a lack of pages; requests are as before then.
  Status step();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  size_t running() const { return running_.size(); } ///< answers
  size_t waiting() const { return waiting_.size(); } ///< answers
  uint64_t waitingTokens() const;
  /// Answers that had to go back to wait.
  uint64_t preemptions() const { return preemptions_; }
  /// Tokens of prompts that steps have processed; again where a preemption came before the answer.
  uint64_t promptTokens() const { return promptTokens_; }
  uint64_t generatedTokens() const { return generatedTokens_; }

private:
  /// What the answers to one request share.
  struct Job {
    uint64_t id = 0;
    ScheduledRequest request;
    RequestListener listener;
  };
  struct Choice {
    std::shared_ptr<const Job> job;
    uint32_t index = 0;
    std::optional<Sampler> sampler;
    StopStrings stops;
    std::optional<text::IncrementalDecoder> decoder;
    std::vector<int32_t> answer;
    bool ended = false;

    uint64_t length() const { return job->request.prompt.size() + answer.size(); }
  };

  void admit();
  bool fits(const Choice &choice) const;
  Status start(std::unique_ptr<Choice> choice);
  Status runPlanned();
  void preemptLast();
  Status takeTokens();
  void sample(size_t index, std::span<const float> logits);
  void accept(Choice &choice, int32_t token, const TokenLogprobs *logprobs);
  void end(Choice &choice, RequestEvent event);
  void fail(Choice &choice, const Status &why);
  void removeEnded();
  bool stopsAt(const Choice &choice, int32_t token) const;
  uint64_t pagesOf(uint32_t kind, uint64_t length) const;

  Engine &engine_;
  const BatcherOptions options_;
  StepPlanner planner_;
  Sampler::Scratch scratch_;
  std::vector<float> masked_; ///< logits without stop ids
  std::deque<std::unique_ptr<Choice>> waiting_;
  /// In the order they came; the sequences beside them, as the planner takes them.
  std::vector<std::unique_ptr<Choice>> running_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<uint32_t> rows_;
  std::vector<size_t> rowOwners_;
  uint64_t preemptions_ = 0, promptTokens_ = 0, generatedTokens_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_BATCHER_H
