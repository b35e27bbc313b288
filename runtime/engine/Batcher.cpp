//===- Batcher.cpp - which requests run, and their tokens -----------------===//

#include "runtime/engine/Batcher.h"

#include <algorithm>
#include <limits>

namespace llama4 {

namespace {

/// Steps after which a request that found no room is looked at again, if nobody went.
constexpr uint32_t patience = 16;

/// Pages that `tokens` of one step begin at most, when so many texts divide them, beyond those that
/// one token of each would begin.
uint64_t pagesOfLargeStep(uint64_t tokens, uint64_t texts) {
  if (tokens <= 2 * texts)
    return tokens / 2;
  return texts + (tokens - 2 * texts) / L4_PAGE_TOKENS;
}

} // namespace

Batcher::Batcher(Engine &engine, BatcherOptions options)
    : engine_(engine), options_(std::move(options)), planner_(engine, options_.prefillChunk),
      budget_(options_.clock ? options_.stepCostFactor : 1,
              options_.promptTokensBesideDecode ? options_.promptTokensBesideDecode
                                                : std::numeric_limits<uint32_t>::max(),
              engine.maxSequences()),
      scratch_(engine.vocabSize()) {
  masked_.reserve(engine.vocabSize());
  running_.reserve(engine.maxSequences());
  sequences_.reserve(engine.maxSequences());
  rows_.reserve(engine.maxSequences());
  wanted_.reserve(engine.maxSequences());
}

Status Batcher::check(const ScheduledRequest &request) const {
  const uint64_t prompt = request.prompt.size(), most = engine_.maxLength();
  if (prompt == 0)
    return Status::invalidInput("the prompt: found no tokens, expected at least one.");
  for (int32_t id : request.prompt)
    LLAMA4_RETURN_IF_ERROR(Engine::checkId(engine_.program().desc(), id).in("the prompt"));
  if (prompt >= most || request.maxNewTokens > most - prompt)
    return Status::error(StatusKind::Usage,
                         "the request: found " + std::to_string(prompt) + " prompt tokens and " +
                             std::to_string(std::max<uint64_t>(request.maxNewTokens, 1)) +
                             " to generate, expected at most " + std::to_string(most) +
                             " together; shorten the prompt or ask for fewer tokens.");
  const uint64_t longest = request.maxNewTokens ? prompt + request.maxNewTokens : most;
  if (request.choices == 0 || request.minNewTokens > longest - prompt)
    return Status::error(StatusKind::Usage, "the request: found no answers to give, or more tokens "
                                            "at least than at most; expected one answer or more.");
  if (!request.stopStrings.empty() && !options_.tokenizer)
    return Status::error(StatusKind::Usage, "stop strings: found a program without a tokenizer, "
                                            "expected one; give stop ids.");
  LLAMA4_RETURN_IF_ERROR(request.sampling.check(engine_.vocabSize()));
  if (request.images)
    LLAMA4_RETURN_IF_ERROR(engine_.checkImages(request.images->images));
  return StopStrings::create(request.stopStrings).status();
}

void Batcher::add(uint64_t id, ScheduledRequest request, RequestListener listener) {
  auto job = std::make_shared<Job>();
  job->id = id;
  job->request = std::move(request);
  job->listener = std::move(listener);
  auto lead = std::make_unique<Choice>();
  lead->job = job;
  for (uint32_t i = 1; i < job->request.choices; ++i) {
    auto follower = std::make_unique<Choice>();
    follower->job = job;
    follower->index = i;
    lead->followers.push_back(std::move(follower));
  }
  queue_.push(job->request.key, std::move(lead));
}

/// Takes everything of a job out; nobody is told.
void Batcher::drop(const Job &job) {
  auto isOfJob = [&](const std::unique_ptr<Choice> &choice) { return choice->job.get() == &job; };
  for (std::unique_ptr<Choice> &choice : running_)
    choice->ended = choice->ended || isOfJob(choice);
  std::erase_if(returning_, isOfJob);
  queue_.eraseIf(isOfJob);
}

std::vector<std::shared_ptr<Batcher::Job>> Batcher::jobs() const {
  std::vector<std::shared_ptr<Job>> all;
  auto add = [&](const std::unique_ptr<Choice> &choice) {
    if (std::find(all.begin(), all.end(), choice->job) == all.end())
      all.push_back(choice->job);
  };
  std::for_each(running_.begin(), running_.end(), add);
  std::for_each(returning_.begin(), returning_.end(), add);
  queue_.forEach(add);
  return all;
}

void Batcher::cancel(uint64_t id) {
  for (const std::shared_ptr<Job> &job : jobs())
    if (job->id == id) {
      job->isOver = true;
      drop(*job);
    }
  removeEnded();
}

void Batcher::expire(std::chrono::steady_clock::time_point now) {
  for (const std::shared_ptr<Job> &job : jobs()) {
    if (!job->request.deadline || *job->request.deadline > now)
      continue;
    ++totals_.timeouts;
    fail(*job, 0,
         Status::error(StatusKind::Unavailable, "the request: found no end at its deadline, "
                                                "expected one; give it more time."),
         true);
  }
  removeEnded();
}

void Batcher::failAll(const Status &why) {
  for (const std::shared_ptr<Job> &job : jobs())
    fail(*job, 0, why);
  removeEnded();
}

size_t Batcher::waiting() const {
  size_t answers = 0;
  forEachWaiting([&](const std::string &, size_t count, uint64_t) { answers += count; });
  for (const std::unique_ptr<Choice> &choice : running_)
    answers += choice->followers.size();
  return answers;
}

/// Whether the pool takes the pictures of the choice; what is in use is of running answers, or of
/// preempted ones before this.
bool Batcher::imagesFit(const Choice &choice) const {
  const PromptImages *images = choice.job->request.images.get();
  return !images || choice.images || engine_.imagesFit(images->images);
}

/// Whether there are pages for all tokens of the choice, whose sequence holds some by now, and the
/// next one, beside what the running ones need to go on. What is let in then processes its prompt
/// without taking anyone's pages. In full attention that is a sum; where chunks end, steps of many
/// tokens hold pages for a while that the same tokens one by one would not, and all prompts divide
/// the tokens of a step.
bool Batcher::fits(const Choice &choice, const Sequence &sequence) const {
  if (running_.empty())
    return true; // what is not too long fits alone
  for (uint32_t kind = 0; kind < engine_.cache().kinds(); ++kind) {
    uint64_t pages = 0, ofLargeSteps = 0, prompts = 0;
    auto add = [&](const Sequence &one, uint64_t wanted) {
      const uint64_t length = std::min(wanted, engine_.maxLength());
      const uint64_t bySteps = one.demand(kind, length, 1);
      pages += bySteps;
      if (one.pending() <= 1)
        return;
      ++prompts;
      ofLargeSteps += one.demand(kind, length, planner_.chunkTokens()) - bySteps;
    };
    add(sequence, choice.length() + 1);
    for (size_t i = 0; i < running_.size(); ++i)
      add(*sequences_[i], running_[i]->length() + L4_PAGE_TOKENS);
    pages += std::min(ofLargeSteps, pagesOfLargeStep(engine_.maxStepTokens(), prompts));
    if (pages > engine_.cache().freePages(kind))
      return false;
  }
  return true;
}

/// The tokens of the choice, with the pages that are known of them.
Result<Batcher::Candidate> Batcher::makeCandidate(const Choice &choice) {
  const ScheduledRequest &request = choice.job->request;
  const uint64_t room = engine_.maxLength() - request.prompt.size();
  const uint64_t most = request.maxNewTokens ? std::min(request.maxNewTokens, room) : room;
  Candidate made;
  // Memory for long answers is taken as they grow.
  LLAMA4_ASSIGN_OR_RETURN(made.sequence,
                          engine_.createSequence(choice.length() + std::min<uint64_t>(most, 1024)));
  Sequence &sequence = *made.sequence;
  LLAMA4_RETURN_IF_ERROR(sequence.append(request.prompt));
  LLAMA4_RETURN_IF_ERROR(sequence.append(choice.answer));
  if (request.cacheSalt)
    sequence.addContent({0, *request.cacheSalt});
  if (request.images) {
    LLAMA4_ASSIGN_OR_RETURN(made.images, engine_.setImages(sequence, *request.images));
  }
  if (!request.promptLogprobs || !choice.answer.empty())
    sequence.reusePrefix();
  return made;
}

/// Makes ready what belongs to the answer alone.
Status Batcher::begin(Choice &choice) {
  if (choice.sampler)
    return {}; // it was preempted and goes on where it was
  const ScheduledRequest &request = choice.job->request;
  SamplingParameters sampling = request.sampling;
  sampling.seed += choice.index;
  LLAMA4_ASSIGN_OR_RETURN(choice.sampler,
                          Sampler::create(std::move(sampling), engine_.vocabSize()));
  choice.sampler->addPrompt(request.prompt);
  LLAMA4_ASSIGN_OR_RETURN(choice.stops, StopStrings::create(request.stopStrings));
  if (options_.tokenizer)
    choice.decoder.emplace(*options_.tokenizer);
  return {};
}

void Batcher::join(std::unique_ptr<Choice> choice, std::unique_ptr<Sequence> sequence) {
  queue_.enter(choice->job->request.key);
  running_.push_back(std::move(choice));
  sequences_.push_back(std::move(sequence));
}

Status Batcher::start(std::unique_ptr<Choice> choice, Candidate candidate) {
  Job &job = *choice->job;
  const bool isNew = !choice->sampler;
  LLAMA4_RETURN_IF_ERROR(begin(*choice));
  choice->images = std::move(candidate.images);
  if (!job.isStarted) {
    job.isStarted = true;
    job.cachedTokens = candidate.sequence->processed();
    totals_.prefixQueries += job.request.promptLogprobs ? 0 : job.request.prompt.size();
    totals_.prefixHits += job.cachedTokens;
  }
  const uint64_t cost = candidate.sequence->pending();
  join(std::move(choice), std::move(candidate.sequence));
  if (isNew)
    queue_.charge(job.request.key, cost);
  return {};
}

const std::unique_ptr<Batcher::Choice> *Batcher::nextWaiting() const {
  return returning_.empty() ? queue_.next() : &returning_.front();
}

std::unique_ptr<Batcher::Choice> Batcher::takeWaiting() {
  if (returning_.empty())
    return queue_.pop();
  std::unique_ptr<Choice> choice = std::move(returning_.front());
  returning_.pop_front();
  return choice;
}

void Batcher::admit() {
  if (patience_ > 0)
    --patience_;
  while (const std::unique_ptr<Choice> *next = nextWaiting()) {
    if (running_.size() >= engine_.maxSequences())
      return;
    const Choice &choice = **next;
    if (&choice == blocked_ && patience_ > 0)
      return;
    auto wait = [&] {
      blocked_ = &choice;
      patience_ = patience;
    };
    if (!imagesFit(choice))
      return wait();
    Result<Candidate> candidate = makeCandidate(choice);
    if (candidate.ok() && !fits(choice, *candidate->sequence))
      return wait();
    const std::shared_ptr<Job> job = choice.job;
    std::unique_ptr<Choice> taken = takeWaiting();
    Status status = candidate.ok() ? start(std::move(taken), candidate.take()) : candidate.status();
    if (!status.ok())
      fail(*job, 0, status);
  }
}

void Batcher::preemptLast() {
  queue_.leave(running_.back()->job->request.key);
  returning_.push_front(std::move(running_.back()));
  running_.pop_back();
  sequences_.pop_back();
  patience_ = 0;
  ++totals_.preemptions;
}

/// How many tokens of prompts the next step may take.
uint32_t Batcher::promptTokensNow() const {
  uint32_t answers = 0, prompts = 0;
  for (const std::unique_ptr<Sequence> &sequence : sequences_)
    ++(sequence->pending() == 1 ? answers : prompts);
  return answers == 0 || prompts == 0 ? std::numeric_limits<uint32_t>::max()
                                      : budget_.promptTokens(answers, prompts);
}

/// Runs the largest part of the batch that there are pages for.
Status Batcher::runPlanned() {
  while (true) {
    if (!planner_.plan(sequences_, promptTokensNow()))
      return {};
    Status status = engine_.step(planner_.chunks());
    if (status.kind() != StatusKind::OutOfMemory)
      return status;
    if (running_.size() > 1) {
      preemptLast();
      continue;
    }
    fail(*running_.front()->job, running_.front()->index, status);
    removeEnded();
    return {};
  }
}

Status Batcher::step() {
  admit();
  if (running_.empty())
    return {};
  const double start = options_.clock ? options_.clock() : 0;
  LLAMA4_RETURN_IF_ERROR(runPlanned());
  if (running_.empty())
    return {};
  const uint32_t answers = planner_.answers();
  LLAMA4_RETURN_IF_ERROR(takeTokens());
  if (options_.clock && answers != 0)
    budget_.record(answers, planner_.tokens() - answers, options_.clock() - start);
  return {};
}

} // namespace llama4
