//===- Generator.cpp - prompts in, generated tokens out -------------------===//

#include "runtime/engine/Generator.h"

#include "runtime/engine/StopStrings.h"
#include "runtime/text/IncrementalDecoder.h"

#include <algorithm>
#include <chrono>

namespace llama4 {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool contains(const std::vector<int32_t> &ids, int32_t id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// A request that is in the running batch.
struct Active {
  Sampler sampler;
  StopStrings stops;
  std::optional<text::IncrementalDecoder> decoder; ///< nothing: no text
};

/// The requests of one call. Everything the step loop needs is reserved by start().
class Run {
public:
  Run(Engine &engine, std::span<const GenerationRequest> requests, const GenerationOptions &options,
      const TokenSink &onToken, GenerationTimings &timings)
      : engine_(engine), requests_(requests), options_(options), onToken_(onToken),
        timings_(timings), planner_(engine, options.prefillChunk), scratch_(engine.vocabSize()) {}

  Status start();
  Status finish();
  std::vector<Generation> take() { return std::move(generations_); }

private:
  Status admit();
  Status step();
  void accept(size_t request, int32_t token);
  void end(size_t request, FinishReason reason);
  Status checkRequest(const GenerationRequest &request) const;
  bool addText(size_t request, int32_t token);
  bool stops(size_t request, int32_t token) const {
    return !options_.ignoreStop &&
           (contains(options_.stopIds, token) || contains(requests_[request].stopIds, token));
  }

  Engine &engine_;
  std::span<const GenerationRequest> requests_;
  const GenerationOptions &options_;
  const TokenSink &onToken_;
  GenerationTimings &timings_;
  StepPlanner planner_;
  Sampler::Scratch scratch_;
  std::vector<std::unique_ptr<Sequence>> sequences_; ///< per request; null before and after
  std::vector<std::optional<Active>> actives_;       ///< per request, likewise
  std::vector<Generation> generations_;
  std::vector<uint32_t> rows_;    ///< rows of the step that give a token
  std::vector<size_t> rowOwners_; ///< the requests they belong to
  Status failed_;                 ///< of accept()
  size_t admitted_ = 0, active_ = 0, waitingForFirst_ = 0;
};

Status Run::checkRequest(const GenerationRequest &request) const {
  if (request.prompt.empty())
    return Status::invalidInput("a prompt: found no tokens, expected at least one; give text, or "
                                "ids with --prompt-ids.");
  if (request.maxNewTokens == 0)
    return Status::error(StatusKind::Usage, "new tokens: found 0, expected at least 1.");
  if (!request.stopStrings.empty() && !options_.tokenizer)
    return Status::error(StatusKind::Usage, "stop strings: found a program without a tokenizer, "
                                            "expected one; give stop ids.");
  LLAMA4_RETURN_IF_ERROR(request.sampling.check(engine_.vocabSize()));
  if (request.images)
    LLAMA4_RETURN_IF_ERROR(engine_.checkImages(request.images->images));
  return StopStrings::create(request.stopStrings).status();
}

Status Run::start() {
  sequences_.resize(requests_.size());
  actives_.resize(requests_.size());
  generations_.resize(requests_.size());
  rows_.reserve(engine_.maxSequences());
  rowOwners_.reserve(engine_.maxSequences());
  for (size_t i = 0; i < requests_.size(); ++i) {
    const GenerationRequest &request = requests_[i];
    LLAMA4_RETURN_IF_ERROR(checkRequest(request));
    uint64_t room = engine_.maxLength() - std::min(engine_.maxLength(), request.prompt.size());
    generations_[i].tokens.reserve(std::min(request.maxNewTokens, room + 1));
    timings_.promptTokens += request.prompt.size();
  }
  uint64_t steps = 0;
  for (const GenerationRequest &request : requests_)
    steps = std::max(steps, request.maxNewTokens);
  timings_.steps.reserve(std::min<uint64_t>(steps, 1u << 16));
  waitingForFirst_ = requests_.size();
  return {};
}

/// Takes in requests while the engine has room for their sequences.
Status Run::admit() {
  while (admitted_ < requests_.size() && active_ < engine_.maxSequences()) {
    const GenerationRequest &request = requests_[admitted_];
    if (request.images && active_ > 0 && !engine_.imagesFit(request.images->images))
      return {}; // when another one has ended
    LLAMA4_ASSIGN_OR_RETURN(sequences_[admitted_],
                            engine_.createSequence(request.prompt.size() + request.maxNewTokens));
    LLAMA4_RETURN_IF_ERROR(sequences_[admitted_]->append(request.prompt));
    if (request.images)
      LLAMA4_RETURN_IF_ERROR(engine_.setImages(*sequences_[admitted_], *request.images).status());
    LLAMA4_ASSIGN_OR_RETURN(Sampler sampler,
                            Sampler::create(request.sampling, engine_.vocabSize()));
    sampler.addPrompt(request.prompt);
    LLAMA4_ASSIGN_OR_RETURN(StopStrings stops, StopStrings::create(request.stopStrings));
    actives_[admitted_].emplace(Active{std::move(sampler), std::move(stops), std::nullopt});
    if (options_.tokenizer)
      actives_[admitted_]->decoder.emplace(*options_.tokenizer);
    ++active_;
    ++admitted_;
  }
  return {};
}

void Run::end(size_t request, FinishReason reason) {
  Active &active = *actives_[request];
  std::string &text = generations_[request].text;
  if (active.decoder)
    active.stops.add(active.decoder->finish(), text);
  active.stops.finish(text);
  generations_[request].reason = reason;
  actives_[request].reset();
  sequences_[request].reset();
  --active_;
}

/// Adds a token to the text and tells of both; true when a stop string ends it.
bool Run::addText(size_t request, int32_t token) {
  Active &active = *actives_[request];
  std::string &text = generations_[request].text;
  const size_t before = text.size();
  if (active.decoder)
    active.stops.add(active.decoder->add(token), text);
  if (onToken_)
    onToken_(request, token, std::string_view(text).substr(before));
  return active.stops.matched();
}

void Run::accept(size_t request, int32_t token) {
  Generation &generation = generations_[request];
  if (generation.tokens.empty())
    --waitingForFirst_;
  if (stops(request, token))
    return end(request, FinishReason::Stop);
  generation.tokens.push_back(token);
  if (addText(request, token))
    return end(request, FinishReason::Stop);
  Sequence &sequence = *sequences_[request];
  if (generation.tokens.size() >= requests_[request].maxNewTokens ||
      sequence.length() >= engine_.maxLength())
    return end(request, FinishReason::Length);
  if (Status status = sequence.append({&token, 1}); !status.ok())
    failed_ = status;
}

Status Run::step() {
  LLAMA4_RETURN_IF_ERROR(engine_.step(planner_.chunks()));
  rows_.clear();
  rowOwners_.clear();
  for (const PlannedChunk &chunk : planner_.planned()) {
    if (!chunk.reachesEnd)
      continue;
    rows_.push_back(chunk.firstRow + chunk.tokens - 1);
    rowOwners_.push_back(chunk.sequence);
  }
  LLAMA4_RETURN_IF_ERROR(engine_.logits(rows_, [&](size_t i, std::span<const float> logits) {
    Sampler &sampler = actives_[rowOwners_[i]]->sampler;
    if (std::optional<int32_t> token = sampler.sample(logits, scratch_))
      accept(rowOwners_[i], *token);
    else
      failed_ = Status::internal("logits: found no number, expected one for each token; the "
                                 "program or its weights are broken.");
  }));
  return failed_;
}

Status Run::finish() {
  LLAMA4_RETURN_IF_ERROR(admit());
  Clock::time_point start = Clock::now();
  while (planner_.plan(sequences_)) {
    Clock::time_point stepStart = Clock::now();
    bool decoding = waitingForFirst_ == 0;
    LLAMA4_RETURN_IF_ERROR(step());
    if (decoding) {
      timings_.steps.push_back(secondsSince(stepStart));
      timings_.decodedTokens += planner_.chunks().size();
    } else if (waitingForFirst_ == 0) {
      timings_.prompt = secondsSince(start);
    }
    LLAMA4_RETURN_IF_ERROR(admit());
  }
  timings_.decode = secondsSince(start) - timings_.prompt;
  return {};
}

} // namespace

std::vector<int32_t> stopIdsOf(const ProgramDesc &program) {
  std::vector<int32_t> ids = program.model.eos;
  ids.insert(ids.end(), program.model.stop.begin(), program.model.stop.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

Result<std::vector<Generation>> generate(Engine &engine,
                                         std::span<const GenerationRequest> requests,
                                         const GenerationOptions &options, const TokenSink &onToken,
                                         GenerationTimings *timings) {
  GenerationTimings ignored;
  Run run(engine, requests, options, onToken, timings ? *timings : ignored);
  LLAMA4_RETURN_IF_ERROR(run.start());
  LLAMA4_RETURN_IF_ERROR(run.finish());
  return run.take();
}

} // namespace llama4
