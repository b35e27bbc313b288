//===- Batcher.cpp - which requests run, and their tokens -----------------===//

#include "runtime/engine/Batcher.h"

#include "runtime/format/KvPages.h"

#include <algorithm>
#include <limits>

namespace llama4 {

namespace {

bool contains(const std::vector<int32_t> &ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

} // namespace

Batcher::Batcher(Engine &engine, BatcherOptions options)
    : engine_(engine), options_(std::move(options)), planner_(engine, options_.prefillChunk),
      scratch_(engine.vocabSize()) {
  masked_.reserve(engine.vocabSize());
  running_.reserve(engine.maxSequences());
  sequences_.reserve(engine.maxSequences());
  rows_.reserve(engine.maxSequences());
  rowOwners_.reserve(engine.maxSequences());
}

uint64_t Batcher::pagesOf(uint32_t kind, uint64_t length) const {
  return kvPagesOfSequence(engine_.program().desc().kvKinds[kind], length, engine_.maxStepTokens());
}

Status Batcher::check(const ScheduledRequest &request) const {
  const uint64_t prompt = request.prompt.size(), most = engine_.maxLength();
  if (prompt == 0)
    return Status::invalidInput("the prompt: found no tokens, expected at least one.");
  for (int32_t id : request.prompt)
    if (id < 0 || static_cast<uint32_t>(id) >= engine_.vocabSize())
      return Status::invalidInput("the prompt: found the token id " + std::to_string(id) +
                                  ", expected 0 to " + std::to_string(engine_.vocabSize() - 1) +
                                  " of the model's vocabulary.");
  if (prompt >= most || request.maxNewTokens > most - prompt)
    return Status::error(StatusKind::Usage,
                         "the request: found " + std::to_string(prompt) + " prompt tokens and " +
                             std::to_string(std::max<uint64_t>(request.maxNewTokens, 1)) +
                             " to generate, expected at most " + std::to_string(most) +
                             " together; shorten the prompt or ask for fewer tokens.");
  const uint64_t longest = request.maxNewTokens ? prompt + request.maxNewTokens : most;
  for (uint32_t kind = 0; kind < engine_.cache().kinds(); ++kind)
    if (pagesOf(kind, longest) > engine_.cache().pages(kind))
      return Status::error(StatusKind::Usage,
                           "the request: found a need for " +
                               std::to_string(pagesOf(kind, longest)) +
                               " pages of the cache, expected at most the " +
                               std::to_string(engine_.cache().pages(kind)) +
                               " that there are; shorten the prompt or ask for fewer tokens.");
  if (request.choices == 0 || request.minNewTokens > longest - prompt)
    return Status::error(StatusKind::Usage, "the request: found no answers to give, or more tokens "
                                            "at least than at most; expected one answer or more.");
  if (!request.stopStrings.empty() && !options_.tokenizer)
    return Status::error(StatusKind::Usage, "stop strings: found a program without a tokenizer, "
                                            "expected one; give stop ids.");
  LLAMA4_RETURN_IF_ERROR(request.sampling.check(engine_.vocabSize()));
  return StopStrings::create(request.stopStrings).status();
}

void Batcher::add(uint64_t id, ScheduledRequest request, RequestListener listener) {
  auto job = std::make_shared<const Job>(Job{id, std::move(request), std::move(listener)});
  for (uint32_t i = 0; i < job->request.choices; ++i) {
    auto choice = std::make_unique<Choice>();
    choice->job = job;
    choice->index = i;
    waiting_.push_back(std::move(choice));
  }
}

void Batcher::cancel(uint64_t id) {
  std::erase_if(waiting_, [id](const auto &choice) { return choice->job->id == id; });
  for (std::unique_ptr<Choice> &choice : running_)
    choice->ended = choice->ended || choice->job->id == id;
  removeEnded();
}

void Batcher::failAll(const Status &why) {
  while (!running_.empty())
    fail(*running_.front(), why), removeEnded();
  while (!waiting_.empty()) {
    std::unique_ptr<Choice> choice = std::move(waiting_.front());
    fail(*choice, why);
  }
}

uint64_t Batcher::waitingTokens() const {
  uint64_t tokens = 0;
  for (const std::unique_ptr<Choice> &choice : waiting_)
    tokens += choice->length();
  return tokens;
}

/// Pages for the choice's tokens and the next one, beside what the running ones have and need to
/// go on.
bool Batcher::fits(const Choice &choice) const {
  if (running_.size() >= engine_.maxSequences())
    return false;
  if (running_.empty())
    return true; // check() has seen to it
  for (uint32_t kind = 0; kind < engine_.cache().kinds(); ++kind) {
    uint64_t pages = pagesOf(kind, choice.length() + 1);
    for (const std::unique_ptr<Choice> &other : running_)
      pages += pagesOf(kind, other->length() + L4_PAGE_TOKENS);
    if (pages > engine_.cache().pages(kind))
      return false;
  }
  return true;
}

Status Batcher::start(std::unique_ptr<Choice> choice) {
  const ScheduledRequest &request = choice->job->request;
  const uint64_t room = engine_.maxLength() - request.prompt.size();
  const uint64_t most = request.maxNewTokens ? std::min(request.maxNewTokens, room) : room;
  // Memory for long answers is taken as they grow.
  LLAMA4_ASSIGN_OR_RETURN(
      std::unique_ptr<Sequence> sequence,
      engine_.createSequence(choice->length() + std::min<uint64_t>(most, 1024)));
  LLAMA4_RETURN_IF_ERROR(sequence->append(request.prompt));
  LLAMA4_RETURN_IF_ERROR(sequence->append(choice->answer));
  if (!choice->sampler) { // else it was preempted and goes on where it was
    SamplingParameters sampling = request.sampling;
    sampling.seed += choice->index;
    LLAMA4_ASSIGN_OR_RETURN(choice->sampler,
                            Sampler::create(std::move(sampling), engine_.vocabSize()));
    choice->sampler->addPrompt(request.prompt);
    LLAMA4_ASSIGN_OR_RETURN(choice->stops, StopStrings::create(request.stopStrings));
    if (options_.tokenizer)
      choice->decoder.emplace(*options_.tokenizer);
  }
  running_.push_back(std::move(choice));
  sequences_.push_back(std::move(sequence));
  return {};
}

void Batcher::admit() {
  while (!waiting_.empty() && fits(*waiting_.front())) {
    std::unique_ptr<Choice> choice = std::move(waiting_.front());
    waiting_.pop_front();
    std::shared_ptr<const Job> job = choice->job;
    if (Status status = start(std::move(choice)); !status.ok()) {
      RequestEvent event;
      event.status = status;
      job->listener(event);
      cancel(job->id);
    }
  }
}

void Batcher::preemptLast() {
  waiting_.push_front(std::move(running_.back()));
  running_.pop_back();
  sequences_.pop_back();
  ++preemptions_;
}

/// Runs the largest part of the batch that there are pages for.
Status Batcher::runPlanned() {
  while (true) {
    const bool decodes =
        std::any_of(sequences_.begin(), sequences_.end(),
                    [](const std::unique_ptr<Sequence> &s) { return s->pending() == 1; });
    const uint32_t most = decodes && options_.promptTokensBesideDecode
                              ? options_.promptTokensBesideDecode
                              : std::numeric_limits<uint32_t>::max();
    if (!planner_.plan(sequences_, most))
      return {};
    Status status = engine_.step(planner_.chunks());
    if (status.kind() != StatusKind::OutOfMemory)
      return status;
    if (running_.size() > 1) {
      preemptLast();
      continue;
    }
    fail(*running_.front(), status);
    removeEnded();
    return {};
  }
}

bool Batcher::stopsAt(const Choice &choice, int32_t token) const {
  const ScheduledRequest &request = choice.job->request;
  return contains(request.stopIds, token) ||
         (!request.ignoreStop && contains(options_.stopIds, token));
}

void Batcher::end(Choice &choice, RequestEvent event) {
  std::string text(event.text);
  if (choice.decoder)
    choice.stops.add(choice.decoder->finish(), text);
  choice.stops.finish(text);
  event.choice = choice.index;
  event.text = text;
  choice.ended = true;
  choice.job->listener(event);
}

/// One answer's failure is its request's: the others of it hear nothing more.
void Batcher::fail(Choice &choice, const Status &why) {
  RequestEvent event;
  event.choice = choice.index;
  event.status = why;
  std::shared_ptr<const Job> job = choice.job;
  choice.ended = true;
  job->listener(event);
  for (std::unique_ptr<Choice> &other : running_)
    other->ended = other->ended || other->job == job;
  std::erase_if(waiting_, [&](const auto &other) { return !other || other->job == job; });
}

void Batcher::removeEnded() {
  size_t kept = 0;
  for (size_t i = 0; i < running_.size(); ++i) {
    if (running_[i]->ended)
      continue;
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
  RequestEvent event;
  event.choice = choice.index;
  const bool mayStop = choice.answer.size() >= request.minNewTokens;
  if (mayStop && stopsAt(choice, token)) {
    event.finish = FinishReason::Stop;
    return end(choice, event);
  }
  choice.answer.push_back(token);
  ++generatedTokens_;
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
    return fail(choice,
                Status::internal("logits: found no number, expected one for each token; the "
                                 "program or its weights are broken."));
  TokenLogprobs logprobs;
  if (request.topLogprobs)
    logprobs = tokenLogprobs(logits, *token, *request.topLogprobs);
  accept(choice, *token, request.topLogprobs ? &logprobs : nullptr);
  if (choice.ended)
    return;
  if (Status status = sequences_[index]->append({&*token, 1}); !status.ok())
    fail(choice, status);
}

/// A token for each sequence of the step that has no pending ones left.
Status Batcher::takeTokens() {
  rows_.clear();
  rowOwners_.clear();
  for (const PlannedChunk &chunk : planner_.planned()) {
    if (sequences_[chunk.sequence]->length() <=
        running_[chunk.sequence]->job->request.prompt.size())
      promptTokens_ += chunk.tokens;
    if (!chunk.reachesEnd)
      continue;
    rows_.push_back(chunk.firstRow + chunk.tokens - 1);
    rowOwners_.push_back(chunk.sequence);
  }
  LLAMA4_RETURN_IF_ERROR(engine_.logits(rows_, [&](size_t i, std::span<const float> logits) {
    if (!running_[rowOwners_[i]]->ended)
      sample(rowOwners_[i], logits);
  }));
  removeEnded();
  return {};
}

Status Batcher::step() {
  admit();
  if (running_.empty())
    return {};
  LLAMA4_RETURN_IF_ERROR(runPlanned());
  if (running_.empty())
    return {};
  return takeTokens();
}

} // namespace llama4
