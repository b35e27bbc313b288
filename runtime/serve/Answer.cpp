//===- Answer.cpp - from a scheduler's events to a response ---------------===//

#include "runtime/serve/Answer.h"

#include "runtime/text/Utf8.h"

#include <new>

namespace llama4::serve {

namespace {

double seconds(Answer::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

ApiError errorOf(const Status &status) {
  switch (status.kind()) {
  case StatusKind::Usage:
  case StatusKind::InvalidInput:
    return {400, status.message(), {}, "invalid_value"};
  case StatusKind::Unavailable:
    return {503, status.message(), {}, "overloaded"};
  case StatusKind::OutOfMemory:
    return {503, "there is no memory for this request now; try again later.", {}, "overloaded"};
  default:
    return {500, "the engine failed.", {}, "internal_error"};
  }
}

} // namespace

static HttpResponse streamHead() {
  HttpResponse head;
  head.contentType = "text/event-stream; charset=utf-8";
  head.fields.emplace_back("Cache-Control", "no-cache");
  return head;
}

Answer::Answer(const AnswerHost &host, Call call, std::shared_ptr<Exchange> exchange)
    : host_(host), call_(std::move(call)), exchange_(std::move(exchange)) {}

Json Answer::finishText(std::optional<FinishReason> finish) {
  if (!finish)
    return nullptr;
  return *finish == FinishReason::Stop ? "stop" : "length";
}

std::string Answer::tokenText(int32_t id, bool &broken) const {
  const std::string_view bytes = model().tokenizer().bytesOf(id);
  broken = !text::isValidUtf8(bytes);
  return broken ? text::replaceInvalidUtf8(bytes, false) : std::string(bytes);
}

/// Of the scheduler's events of one request, whose choices begin at `first`. A lack of memory ends
/// this answer and no other.
RequestListener Answer::listener(uint32_t first) {
  return [self = shared_from_this(), first](const RequestEvent &event) {
    try {
      self->onEvent(first, event);
    } catch (const std::bad_alloc &) {
      try {
        self->fail(Status::error(StatusKind::OutOfMemory, "the answer: no memory."));
      } catch (const std::bad_alloc &) {
        // The exchange ends with the answer.
      }
    }
  };
}

void Answer::submit(std::vector<ScheduledRequest> requests) {
  uint32_t count = 0;
  for (const ScheduledRequest &request : requests) {
    count += request.choices;
    promptTokens_ += request.prompt.size();
  }
  choices_.resize(count);
  if (call_.stream)
    exchange_->prepare(streamHead());
  // Kept until the end of the exchange: it must not keep the answer, which keeps the exchange.
  exchange_->onGone([weak = weak_from_this()] {
    if (auto answer = weak.lock())
      answer->cancelAll("abort");
  });
  uint32_t first = 0;
  for (ScheduledRequest &request : requests) {
    const uint32_t choices = request.choices;
    Result<uint64_t> id = host_.scheduler->submit(std::move(request), listener(first));
    if (!id.ok())
      return fail(id.status());
    first += choices;
    std::lock_guard lock(mutex_);
    if (done_)
      host_.scheduler->cancel(*id);
    else
      ids_.push_back(*id);
  }
}

void Answer::cancelAll(const char *reason) {
  std::vector<uint64_t> ids;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(done_, true))
      return;
    ids.swap(ids_);
    report();
  }
  host_.metrics->countAnswer(reason);
  for (uint64_t id : ids)
    host_.scheduler->cancel(id);
}

void Answer::fail(const Status &status) {
  bool begun = false;
  {
    std::lock_guard lock(mutex_);
    if (done_)
      return;
    begun = begun_;
  }
  const ApiError error = errorOf(status);
  cancelAll("error");
  if (!begun)
    return exchange_->respond(errorResponse(error));
  exchange_->write("data: " + jsonText(errorJson(error)) + "\n\n");
  exchange_->end();
}

/// What is known of a choice from its first event on, and what each token tells.
void Answer::observe(Choice &choice, const RequestEvent &event) {
  if (!std::exchange(choice.heard, true)) {
    cachedTokens_ += event.choice == 0 ? event.cachedTokens : 0;
    choice.promptLogprobs.assign(event.promptLogprobs.begin(), event.promptLogprobs.end());
  }
  if (!event.token)
    return;
  const Clock::time_point now = Clock::now();
  if (!firstToken_) {
    firstToken_ = now;
    host_.metrics->observeFirstToken(seconds(now - call_.start));
  }
  if (choice.tokens != 0)
    host_.metrics->observeInterToken(seconds(now - choice.last));
  choice.last = now;
  ++choice.tokens;
  ++completionTokens_;
}

void Answer::onEvent(uint32_t first, RequestEvent event) {
  if (!event.status.ok())
    return fail(event.status);
  if (call_.scoresOnly) {
    event.token = std::nullopt;
    event.text = {};
    event.logprobs = nullptr;
    event.finish = FinishReason::Length;
  }
  std::lock_guard lock(mutex_);
  if (done_)
    return;
  const uint32_t index = first + event.choice;
  Choice &choice = choices_[index];
  observe(choice, event);
  choice.finish = event.finish;
  if (call_.stream) {
    stream(index, choice, event);
  } else {
    choice.text += event.text;
    if (event.logprobs)
      choice.logprobs.push_back(*event.logprobs);
  }
  if (event.finish) {
    host_.metrics->countAnswer(*event.finish == FinishReason::Stop ? "stop" : "length");
    if (++finished_ == choices_.size())
      complete();
  }
}

void Answer::stream(uint32_t index, Choice &choice, const RequestEvent &event) {
  if (!begun_) {
    exchange_->begin(streamHead());
    begun_ = true;
  }
  for (Json &piece : pieces(index, choice, event.text, event.logprobs, event.finish))
    sendChunk(Json::array({std::move(piece)}), nullptr);
  choice.begun = true;
}

/// One event of the stream. Where the usage was asked for, every chunk has the field.
void Answer::sendChunk(Json choices, Json usage) {
  Json chunk = head(true);
  chunk["choices"] = std::move(choices);
  if (call_.includeUsage)
    chunk["usage"] = std::move(usage);
  exchange_->write("data: " + jsonText(chunk) + "\n\n");
}

/// For the log.
void Answer::report() const {
  if (!call_.numbers)
    return;
  RequestNumbers &numbers = *call_.numbers;
  numbers.generates = true;
  numbers.streams = call_.stream;
  numbers.promptTokens = promptTokens_;
  numbers.cachedTokens = cachedTokens_;
  numbers.completionTokens = completionTokens_;
  if (firstToken_)
    numbers.firstTokenSeconds = seconds(*firstToken_ - call_.start);
}

Json Answer::usage() const {
  const Clock::time_point now = Clock::now(), first = firstToken_.value_or(now);
  auto rate = [](uint64_t tokens, Clock::duration time) {
    return time.count() <= 0 ? 0.0 : static_cast<double>(tokens) / seconds(time);
  };
  return {{"prompt_tokens", promptTokens_},
          {"completion_tokens", completionTokens_},
          {"total_tokens", promptTokens_ + completionTokens_},
          {"prompt_tokens_details", {{"cached_tokens", cachedTokens_}}},
          {"avg_prompt_tok_per_sec", rate(promptTokens_, first - call_.start)},
          {"avg_compl_tok_per_sec", rate(completionTokens_, now - first)}};
}

void Answer::complete() {
  done_ = true;
  report();
  host_.metrics->observeRequest(seconds(Clock::now() - call_.start));
  if (call_.stream) {
    if (call_.includeUsage)
      sendChunk(Json::array(), usage());
    exchange_->write("data: [DONE]\n\n");
    return exchange_->end();
  }
  Json body = head(false);
  body["choices"] = Json::array();
  for (uint32_t i = 0; i < choices_.size(); ++i)
    body["choices"].push_back(wholeChoice(i, choices_[i]));
  body["usage"] = usage();
  exchange_->respond(jsonResponse(body));
}

} // namespace llama4::serve
