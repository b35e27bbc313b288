//===- Batcher.h - which requests run, and their tokens ----------*- C++ -*-===//
//
// The part of a scheduler that knows no threads: requests wait, those of different keys by turns
// (FairQueue.h), join the running batch when there are pages for what they have so far, and give
// one token a step once their prompt is processed. While some are generating, a step takes only so
// many prompt tokens, so that the time between tokens stays bounded. When pages run out, the
// youngest goes back to wait and is processed again later; its tokens stay the same, as do
// everyone's in any company.
//
// Several answers to one request share its prompt: one of them processes it, the others follow with
// the same pages. What the cache knows of a prompt's beginning is not processed at all.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_BATCHER_H
#define LLAMA4_RUNTIME_ENGINE_BATCHER_H

#include "runtime/engine/FairQueue.h"
#include "runtime/engine/ScheduledRequest.h"
#include "runtime/engine/StepBudget.h"
#include "runtime/engine/StepPlanner.h"
#include "runtime/engine/StopStrings.h"
#include "runtime/text/IncrementalDecoder.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace llama4 {

struct BatcherOptions {
  std::vector<int32_t> stopIds = {}; ///< end an answer and are not part of it
  uint32_t prefillChunk = 0;         ///< most prompt tokens of one request in a step; 0: all
  /// Most prompt tokens of all requests in a step in which others generate; 0: as many as fit.
  uint32_t promptTokensBesideDecode = 64;
  /// With a clock, such a step also takes only so many that it lasts at most this many times as
  /// long as one without prompt tokens; 1: no such limit.
  double stepCostFactor = 1.8;
  /// Seconds since any moment. Without one (null) nothing depends on time.
  std::function<double()> clock = {};
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
  /// Ends the requests whose deadline is `now` or earlier; their listeners hear of it.
  void expire(std::chrono::steady_clock::time_point now);
  /// Ends all requests; each listener hears of `why`.
  void failAll(const Status &why);

  /// Lets requests in and runs one batch; nothing happens when there are none. Errors: those of
  /// the engine other than a lack of pages; requests are as before then.
  Status step();

  bool idle() const { return running_.empty() && returning_.empty() && queue_.empty(); }
  size_t running() const { return running_.size(); } ///< answers
  size_t waiting() const;                            ///< answers
  size_t waitingKeys() const { return queue_.keys(); }
  /// Calls use(key, answers, tokens) for requests that wait, in parts.
  template <typename Use> void forEachWaiting(Use use) const {
    auto one = [&](const std::unique_ptr<Choice> &choice) {
      use(choice->job->request.key, choice->answers(), choice->answers() * choice->length());
    };
    queue_.forEach(one);
    std::for_each(returning_.begin(), returning_.end(), one);
  }

  /// Counted since the beginning.
  struct Totals {
    uint64_t preemptions = 0; ///< answers that had to go back to wait
    /// Tokens of prompts that steps have processed; again where a preemption came before the
    /// answer.
    uint64_t promptTokens = 0;
    uint64_t generatedTokens = 0;
    uint64_t prefixQueries = 0; ///< prompt tokens that were looked up in the cache
    uint64_t prefixHits = 0;    ///< those of them that were found
    uint64_t timeouts = 0;      ///< requests whose deadline has passed
  };
  const Totals &totals() const { return totals_; }

private:
  /// What the answers to one request share.
  struct Job {
    uint64_t id = 0;
    ScheduledRequest request;
    RequestListener listener;
    uint64_t cachedTokens = 0;
    bool isStarted = false;
    bool isOver = false; ///< failed or cancelled: its listener hears nothing more
    std::vector<TokenLogprobs> promptLogprobs;
  };
  struct Choice {
    std::shared_ptr<Job> job;
    uint32_t index = 0;
    std::optional<Sampler> sampler;
    StopStrings stops;
    std::optional<text::IncrementalDecoder> decoder;
    std::vector<int32_t> answer;
    std::shared_ptr<const PooledImages> images; ///< of the prompt, once encoded
    bool ended = false;
    /// Other answers to the request, which join when this one has processed the prompt.
    std::vector<std::unique_ptr<Choice>> followers;

    uint64_t length() const { return job->request.prompt.size() + answer.size(); }
    size_t answers() const { return 1 + followers.size(); }
  };
  /// A row of the step whose logits are wanted.
  struct Row {
    size_t sequence = 0;
    std::optional<size_t> promptToken; ///< the next token is known: its logprobs are wanted
  };

  void admit();
  const std::unique_ptr<Choice> *nextWaiting() const;
  std::unique_ptr<Choice> takeWaiting();
  /// A text on its way into the batch.
  struct Candidate {
    std::unique_ptr<Sequence> sequence;
    std::shared_ptr<const PooledImages> images;
  };
  Result<Candidate> makeCandidate(const Choice &choice);
  bool imagesFit(const Choice &choice) const;
  bool fits(const Choice &choice, const Sequence &sequence) const;
  Status begin(Choice &choice);
  Status start(std::unique_ptr<Choice> choice, Candidate candidate);
  void join(std::unique_ptr<Choice> choice, std::unique_ptr<Sequence> sequence);
  Status runPlanned();
  uint32_t promptTokensNow() const;
  void preemptLast();
  void wantRows();
  Status takeTokens();
  void takeRow(const Row &row, std::span<const float> logits);
  void follow(size_t lead, std::span<const float> logits);
  void sample(size_t index, std::span<const float> logits);
  RequestEvent eventOf(const Choice &choice) const;
  void accept(Choice &choice, int32_t token, const TokenLogprobs *logprobs);
  void end(Choice &choice, RequestEvent event);
  void fail(Job &job, uint32_t choice, const Status &why, bool timedOut = false);
  void drop(const Job &job);
  void removeEnded();
  std::vector<std::shared_ptr<Job>> jobs() const;
  bool stopsAt(const Choice &choice, int32_t token) const;

  Engine &engine_;
  const BatcherOptions options_;
  StepPlanner planner_;
  StepBudget budget_;
  Sampler::Scratch scratch_;
  std::vector<float> masked_; ///< logits without stop ids
  FairQueue<std::unique_ptr<Choice>> queue_;
  std::deque<std::unique_ptr<Choice>> returning_; ///< preempted ones, which go first
  /// In the order they came; the sequences beside them, as the planner takes them.
  std::vector<std::unique_ptr<Choice>> running_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<uint32_t> rows_;
  std::vector<Row> wanted_;         ///< beside rows_
  const Choice *blocked_ = nullptr; ///< found no room, and is asked again after so many steps
  uint32_t patience_ = 0;
  Totals totals_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_BATCHER_H
