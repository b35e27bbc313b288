//===- BatcherAnswers.cpp - from the logits of a step to events -----------===//

#include "runtime/engine/Batcher.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace llama4 {

namespace {

bool contains(const std::vector<int32_t> &ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

} // namespace

bool Batcher::stopsAt(const Choice &choice, int32_t token) const {
  const ScheduledRequest &request = choice.job->request;
  return contains(request.stopIds, token) ||
         (!request.ignoreStop && contains(options_.stopIds, token));
}

RequestEvent Batcher::eventOf(const Choice &choice) const {
  RequestEvent event;
  event.choice = choice.index;
  event.cachedTokens = choice.job->cachedTokens;
  if (choice.answer.empty())
    event.promptLogprobs = choice.job->promptLogprobs;
  return event;
}

void Batcher::end(Choice &choice, RequestEvent event) {
  std::string text(event.text);
  if (choice.decoder)
    choice.stops.add(choice.decoder->finish(), text);
  choice.stops.finish(text);
  event.text = text;
  choice.ended = true;
  choice.job->listener(event);
}

/// One answer's failure is its request's: the others of it hear nothing more.
void Batcher::fail(Job &job, uint32_t choice, const Status &why, bool timedOut) {
  if (std::exchange(job.isOver, true))
    return;
  RequestEvent event;
  event.choice = choice;
  event.cachedTokens = job.cachedTokens;
  event.status = why;
  event.timedOut = timedOut;
  job.listener(event);
  drop(job);
}

void Batcher::removeEnded() {
  size_t kept = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i]->ended) {
      queue_.leave(running_[i]->job->request.key);
      patience_ = 0;
      continue;
    }
    if (kept != i) {
      running_[kept] = std::move(running_[i]);
      sequences_[kept] = std::move(sequences_[i]);
    }
    ++kept;
  }
  running_.resize(kept);
  sequences_.resize(kept);
}

void Batcher::accept(Choice &choice, int32_t token, const TokenLogprobs *logprobs) {
  const ScheduledRequest &request = choice.job->request;
  RequestEvent event = eventOf(choice);
  const bool mayStop = choice.answer.size() >= request.minNewTokens;
  if (mayStop && stopsAt(choice, token)) {
    event.finish = FinishReason::Stop;
    return end(choice, event);
  }
  choice.answer.push_back(token);
  ++totals_.generatedTokens;
  queue_.charge(request.key, 1);
  event.token = token;
  event.logprobs = logprobs;
  std::string text;
  if (choice.decoder) {
    std::string piece = choice.decoder->add(token);
    if (choice.answer.size() < request.minNewTokens)
      text = std::move(piece);
    else
      choice.stops.add(piece, text);
  }
  event.text = text;
  if (choice.stops.matched()) {
    event.finish = FinishReason::Stop;
    return end(choice, event);
  }
  if ((request.maxNewTokens != 0 && choice.answer.size() >= request.maxNewTokens) ||
      choice.length() >= engine_.maxLength()) {
    event.finish = FinishReason::Length;
    return end(choice, event);
  }
  choice.job->listener(event);
}

void Batcher::sample(size_t index, std::span<const float> logits) {
  Choice &choice = *running_[index];
  const ScheduledRequest &request = choice.job->request;
  std::span<const float> allowed = logits;
  if (choice.answer.size() < request.minNewTokens) {
    masked_.assign(logits.begin(), logits.end());
    for (size_t id = 0; id < masked_.size(); ++id)
      if (stopsAt(choice, static_cast<int32_t>(id)))
        masked_[id] = -std::numeric_limits<float>::infinity();
    allowed = masked_;
  }
  std::optional<int32_t> token = choice.sampler->sample(allowed, scratch_);
  if (!token)
    return fail(*choice.job, choice.index,
                Status::internal("logits: found no number, expected one for each token; the "
                                 "program or its weights are broken."));
  TokenLogprobs logprobs;
  if (request.topLogprobs)
    logprobs = tokenLogprobs(logits, *token, *request.topLogprobs);
  accept(choice, *token, request.topLogprobs ? &logprobs : nullptr);
  if (choice.ended)
    return;
  if (Status status = sequences_[index]->append({&*token, 1}); !status.ok())
    fail(*choice.job, choice.index, status);
}

/// The lead has processed the prompt: the other answers take their first token from the same logits
/// and go on with its pages. Those for which there is no room wait as the first of their key.
void Batcher::follow(size_t lead, std::span<const float> logits) {
  std::vector<std::unique_ptr<Choice>> followers = std::exchange(running_[lead]->followers, {});
  if (followers.empty())
    return;
  const std::shared_ptr<Job> job = running_[lead]->job;
  size_t joined = 0;
  for (; joined < followers.size() && !job->isOver; ++joined) {
    std::unique_ptr<Choice> &choice = followers[joined];
    if (running_.size() >= engine_.maxSequences())
      break;
    Result<std::unique_ptr<Sequence>> sequence =
        engine_.fork(*sequences_[lead], sequences_[lead]->processed() + 1024);
    if (!sequence.ok() || !fits(*choice, **sequence))
      break;
    if (Status status = begin(*choice); !status.ok())
      return fail(*job, choice->index, status);
    choice->images = running_[lead]->images;
    join(std::move(choice), sequence.take());
    sample(running_.size() - 1, logits);
  }
  for (size_t i = followers.size(); i > joined && !job->isOver; --i)
    queue_.pushFront(job->request.key, std::move(followers[i - 1]));
}

void Batcher::takeRow(const Row &row, std::span<const float> logits) {
  Choice &choice = *running_[row.sequence];
  if (choice.ended)
    return;
  if (!row.promptToken) {
    sample(row.sequence, logits);
    return follow(row.sequence, logits);
  }
  Job &job = *choice.job;
  job.promptLogprobs.resize(job.request.prompt.size() - 1);
  job.promptLogprobs[*row.promptToken - 1] =
      tokenLogprobs(logits, job.request.prompt[*row.promptToken], *job.request.topLogprobs);
}

/// The last row of each sequence that has no pending tokens left, and those of prompts of which
/// logprobs are wanted.
void Batcher::wantRows() {
  rows_.clear();
  wanted_.clear();
  for (const PlannedChunk &chunk : planner_.planned()) {
    const Choice &choice = *running_[chunk.sequence];
    const ScheduledRequest &request = choice.job->request;
    const Sequence &sequence = *sequences_[chunk.sequence];
    if (sequence.length() <= request.prompt.size())
      totals_.promptTokens += chunk.tokens;
    const uint64_t first = sequence.processed() - chunk.tokens;
    if (request.promptLogprobs && request.topLogprobs && choice.answer.empty())
      for (uint64_t i = 0; i < chunk.tokens && first + i + 1 < request.prompt.size(); ++i) {
        rows_.push_back(chunk.firstRow + static_cast<uint32_t>(i));
        wanted_.push_back({chunk.sequence, first + i + 1});
      }
    if (!chunk.reachesEnd)
      continue;
    rows_.push_back(chunk.firstRow + chunk.tokens - 1);
    wanted_.push_back({chunk.sequence, std::nullopt});
  }
}

Status Batcher::takeTokens() {
  wantRows();
  LLAMA4_RETURN_IF_ERROR(engine_.logits(
      rows_, [&](size_t i, std::span<const float> logits) { takeRow(wanted_[i], logits); }));
  removeEnded();
  return {};
}

} // namespace llama4
