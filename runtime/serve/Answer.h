//===- Answer.h - from a scheduler's events to a response --------*- C++ -*-===//
//
// One per request of the API: collects what its answers become and sends them, piece by piece or
// whole. What a chat and a plain completion look like is in their own files.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_SERVE_ANSWER_H
#define LLAMA4_RUNTIME_SERVE_ANSWER_H

#include "runtime/engine/Scheduler.h"
#include "runtime/serve/GenerationFields.h"
#include "runtime/serve/Log.h"
#include "runtime/serve/Metrics.h"

#include <chrono>
#include <mutex>

namespace llama4::serve {

/// What answers are made with; outlives them.
struct AnswerHost {
  const ServedModel *model = nullptr;
  Scheduler *scheduler = nullptr;
  Metrics *metrics = nullptr;
};

class Answer : public std::enable_shared_from_this<Answer> {
public:
  using Clock = std::chrono::steady_clock;
  struct Call {
    std::string requestId; ///< part of the answer's id
    std::string model;     ///< as the client named it
    bool stream = false, includeUsage = false;
    bool scoresOnly = false; ///< of the prompt; the one token that is generated is dropped
    std::shared_ptr<RequestNumbers> numbers; ///< may be null
    Clock::time_point start = Clock::now();
  };

  Answer(const AnswerHost &host, Call call, std::shared_ptr<Exchange> exchange);
  virtual ~Answer() = default;

  /// Hands the requests to the scheduler; they share nothing but the response. What goes wrong is
  /// told to the client.
  void submit(std::vector<ScheduledRequest> requests);

protected:
  /// An answer so far.
  struct Choice {
    std::string text;
    std::vector<TokenLogprobs> promptLogprobs; ///< of its tokens but the first
    std::vector<TokenLogprobs> logprobs;
    std::optional<FinishReason> finish;
    uint64_t tokens = 0;
    bool begun = false; ///< something was streamed
    bool heard = false; ///< of an event
    Clock::time_point last;
  };

  /// The fields before the choices.
  virtual Json head(bool chunk) const = 0;
  /// An item of "choices" of a whole response.
  virtual Json wholeChoice(uint32_t index, const Choice &choice) = 0;
  /// Items of chunks, in order: for a piece of text (perhaps empty) with logprobs (perhaps none),
  /// and for the end where `finish` is set.
  virtual std::vector<Json> pieces(uint32_t index, const Choice &choice, std::string_view text,
                                   const TokenLogprobs *logprobs,
                                   std::optional<FinishReason> finish) = 0;

  const ServedModel &model() const { return *host_.model; }
  const Call &call() const { return call_; }
  static Json finishText(std::optional<FinishReason> finish);
  /// The text of a token by itself; `broken` where it is no UTF-8.
  std::string tokenText(int32_t id, bool &broken) const;
  /// A number that JSON can hold.
  static double finite(float logprob) { return logprob > -9999.0f ? logprob : -9999.0; }

private:
  RequestListener listener(uint32_t first);
  void onEvent(uint32_t first, RequestEvent event);
  void observe(Choice &choice, const RequestEvent &event);
  void stream(uint32_t index, Choice &choice, const RequestEvent &event);
  void sendChunk(Json choices, Json usage);
  void complete();
  void fail(const Status &status);
  void cancelAll(const char *reason);
  void report() const;
  Json usage() const;

  AnswerHost host_;
  Call call_;
  std::shared_ptr<Exchange> exchange_;

  std::mutex mutex_; ///< guards what follows
  std::vector<uint64_t> ids_;
  std::vector<Choice> choices_;
  uint64_t promptTokens_ = 0, cachedTokens_ = 0, completionTokens_ = 0;
  size_t finished_ = 0;
  bool done_ = false, begun_ = false;
  std::optional<Clock::time_point> firstToken_;
};

std::shared_ptr<Answer> makeChatAnswer(const AnswerHost &host, Answer::Call call,
                                       std::shared_ptr<Exchange> exchange);

/// The prompt that a choice begins with.
struct Echo {
  std::string text;
  std::vector<int32_t> ids; ///< empty where no logprobs are asked for
};

/// `echoes`: one for each prompt, whose choices follow each other; or none.
std::shared_ptr<Answer> makeCompletionAnswer(const AnswerHost &host, Answer::Call call,
                                             std::shared_ptr<Exchange> exchange,
                                             std::vector<Echo> echoes, uint32_t choicesPerPrompt);

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_ANSWER_H
