//===- Engine.cpp - runs steps of many sequences --------------------------===//

#include "runtime/engine/Engine.h"

#include "runtime/engine/SystemMemory.h"
#include "runtime/format/Quoted.h"

namespace llama4 {

namespace {

/// Largest symbol of the entries of `function` that take any batch; 0: there is none.
uint32_t boundOf(const ProgramDesc &program, std::string_view function) {
  uint32_t bound = 0;
  for (const Entry &entry : program.entries)
    if (entry.function == function && entry.specialization == Specialization::Any)
      bound = std::max(bound, entry.bound);
  return bound;
}

/// `asked`, or what was compiled where nothing is asked.
template <typename T> Result<T> lowered(const char *what, T asked, T compiled) {
  if (asked > compiled)
    return Status::error(StatusKind::Usage,
                         std::string(what) + ": found " + std::to_string(asked) +
                             ", expected at most " + std::to_string(compiled) +
                             " as compiled; lower it or compile with a larger one.");
  return asked == 0 ? compiled : asked;
}

/// Bytes for the cache. Buffers are reserved and not yet written; of the weights `mapped` bytes are
/// a file's: what is available includes the room that both will take. Made-up weights are written
/// by now.
Result<uint64_t> cacheMemory(uint64_t asked, uint64_t weights, uint64_t mapped, uint64_t buffers) {
  uint64_t others = weights + buffers;
  if (asked == 0) {
    uint64_t available = availableMemory() / 10 * 9;
    return available - std::min(mapped + buffers, available / 2);
  }
  if (asked <= others)
    return Status::error(StatusKind::OutOfMemory,
                         "memory: found " + std::to_string(asked) + " bytes, expected more than " +
                             std::to_string(others) +
                             " for weights, transients and step buffers; give more memory.");
  return asked - others;
}

} // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<const Program> program,
                                               Device &device, const EngineOptions &options) {
  const ProgramDesc &desc = program->desc();
  std::unique_ptr<Engine> engine(new Engine);
  engine->maxStepTokens_ = boundOf(desc, "step");
  engine->maxLogitsRows_ = boundOf(desc, "logits");
  if (engine->maxStepTokens_ == 0 || engine->maxLogitsRows_ == 0)
    return Status::invalidInput(program->name() +
                                ": found no entries for \"step\" and \"logits\", expected a model "
                                "that generates text; run its entries with invoke --entry.");
  LLAMA4_ASSIGN_OR_RETURN(engine->maxSequences_,
                          lowered("sequences", options.maxSequences, desc.options.maxBatchSize));
  LLAMA4_ASSIGN_OR_RETURN(uint64_t maxLength,
                          lowered("length", options.maxLength, desc.options.maxLength));
  uint64_t weights = program->weightsBytes();
  LLAMA4_ASSIGN_OR_RETURN(engine->executable_, Executable::create(program, device));
  if (desc.images.present()) {
    LLAMA4_ASSIGN_OR_RETURN(engine->images_, ImagePool::create(*program, device));
  }
  LLAMA4_ASSIGN_OR_RETURN(engine->buffers_,
                          StepBuffers::create(*program, device, engine->images_.get(),
                                              engine->maxStepTokens_, engine->maxSequences_,
                                              engine->maxLogitsRows_));
  LLAMA4_ASSIGN_OR_RETURN(
      uint64_t memory,
      cacheMemory(options.memory, weights, desc.weightSource.isStored() ? weights : 0,
                  engine->executable_->arenaBytes() + engine->buffers_->bytes() +
                      (engine->images_ ? engine->images_->bytes() : 0)));
  LLAMA4_ASSIGN_OR_RETURN(engine->cache_,
                          KvCache::create(desc, device,
                                          {maxLength, engine->maxSequences_, engine->maxStepTokens_,
                                           memory, options.prefixCache}));
  LLAMA4_RETURN_IF_ERROR(
      engine->buffers_->addTables(*engine->cache_, device, engine->maxSequences_));
  engine->slots_.reserve(engine->maxSequences_);
  engine->kvTokens_.resize(desc.kvKinds.size());
  if (options.profile)
    engine->profile_ = Profile(desc);
  const Memory reserved = engine->memory();
  LLAMA4_RETURN_IF_ERROR(
      placeWeights(*program, options.weights,
                   reserved.arena + reserved.step + reserved.cache + reserved.images));
  return engine;
}

Result<std::unique_ptr<Sequence>> Engine::createSequence(uint64_t expectedLength) {
  std::optional<uint32_t> slot = cache_->acquire();
  if (!slot)
    return Status::error(StatusKind::OutOfMemory, "sequences: found " +
                                                      std::to_string(maxSequences_) +
                                                      " in use, expected fewer; end one first.");
  std::unique_ptr<Sequence> sequence(
      new Sequence(*cache_, *slot, vocabSize(), program().desc().images.imageToken));
  sequence->tokens_.reserve(std::min(expectedLength, maxLength()));
  return sequence;
}

Status Engine::checkId(const ProgramDesc &program, int64_t id) {
  const uint32_t vocabSize = program.model.vocabSize;
  if (id >= 0 && (id < int64_t{vocabSize} || id == program.images.imageToken))
    return {};
  return Status::invalidInput("found the token id " + std::to_string(id) + ", expected 0 to " +
                              std::to_string(vocabSize - 1) +
                              " of the model's vocabulary; give ids of its own tokenizer.");
}

Status Engine::checkChunks(std::span<const SequenceChunk> chunks, uint32_t &tokens) const {
  auto wrong = [](const char *what, uint64_t found, uint64_t most) {
    return Status::internal(std::string("a step: found ") + std::to_string(found) + " " + what +
                            ", expected 1 to " + std::to_string(most) + ".");
  };
  if (chunks.empty() || chunks.size() > maxSequences_)
    return wrong("sequences", chunks.size(), maxSequences_);
  uint64_t sum = 0;
  for (const SequenceChunk &chunk : chunks) {
    if (chunk.tokens == 0 || chunk.tokens > chunk.sequence->pending())
      return wrong("tokens of a sequence", chunk.tokens, chunk.sequence->pending());
    sum += chunk.tokens;
  }
  if (sum > maxStepTokens_)
    return wrong("tokens", sum, maxStepTokens_);
  tokens = static_cast<uint32_t>(sum);
  for (size_t a = 0; a < chunks.size(); ++a)
    for (size_t b = 0; b < a; ++b)
      if (chunks[a].sequence == chunks[b].sequence)
        return Status::internal("a step: found a sequence twice, expected each once.");
  return {};
}

/// Pages for all chunks, or for none.
Status Engine::reservePages(std::span<const SequenceChunk> chunks) {
  for (size_t i = 0; i < chunks.size(); ++i) {
    const Sequence &sequence = *chunks[i].sequence;
    Status status = cache_->reserve(sequence.slot_, sequence.processed_ + chunks[i].tokens,
                                    sequence.processed_);
    if (status.ok())
      continue;
    for (size_t done = 0; done < i; ++done)
      // Cutting back to where the sequence stands needs no page that was dropped.
      (void)cache_->truncate(chunks[done].sequence->slot_, chunks[done].sequence->processed_);
    return status;
  }
  return {};
}

/// Keys that a step's tokens see, and those that it writes. The tokens of a chunk see what lies
/// before it together, each key once.
void Engine::countKv(std::span<const SequenceChunk> chunks) {
  for (size_t i = 0; i < kvTokens_.size(); ++i) {
    kvTokens_[i] = {};
    uint64_t border = program().desc().kvKinds[i].chunkTokens;
    for (const SequenceChunk &chunk : chunks) {
      uint64_t begin = chunk.sequence->processed(), end = begin + chunk.tokens;
      kvTokens_[i].read += end - (border == 0 ? 0 : begin / border * border);
      kvTokens_[i].written += chunk.tokens;
    }
  }
}

Status Engine::execute(uint32_t entry, const l4_step &step, std::span<const KvTokens> kv) {
  LLAMA4_RETURN_IF_ERROR(executable_->execute(
      entry, step, buffers_->inputs(entry), buffers_->outputs(entry), cache_->pools(),
      profile_.nanoseconds(entry), profile_.weightBytes(entry)));
  profile_.record(entry, step.symbol, kv);
  return {};
}

Status Engine::step(std::span<const SequenceChunk> chunks) {
  uint32_t tokens = 0;
  LLAMA4_RETURN_IF_ERROR(checkChunks(chunks, tokens));
  LLAMA4_RETURN_IF_ERROR(reservePages(chunks));
  slots_.clear();
  for (const SequenceChunk &chunk : chunks)
    slots_.push_back(chunk.sequence->slot_);
  l4_step step;
  buffers_->fillStep(slots_, chunks, *cache_, step);
  std::optional<uint32_t> entry = program().entryFor("step", tokens, tokens == chunks.size());
  if (!entry)
    return Status::internal("a step: found no entry for " + std::to_string(tokens) +
                            " tokens, expected one.");
  lastTokens_ = 0;
  if (profile_.measures())
    countKv(chunks);
  LLAMA4_RETURN_IF_ERROR(execute(*entry, step, kvTokens_));
  lastTokens_ = tokens;
  for (const SequenceChunk &chunk : chunks)
    chunk.sequence->advance(chunk.tokens);
  return {};
}

Status Engine::runLogits(std::span<const uint32_t> rows) {
  for (uint32_t row : rows)
    if (row >= lastTokens_)
      return Status::internal("logits: found row " + std::to_string(row) + ", expected less than " +
                              std::to_string(lastTokens_) + ", the tokens of the last step.");
  std::optional<uint32_t> entry =
      program().entryFor("logits", static_cast<uint32_t>(rows.size()), false);
  if (!entry)
    return Status::internal("logits: found no entry for " + std::to_string(rows.size()) +
                            " rows, expected one.");
  l4_step step;
  buffers_->fillRows(rows, step);
  return execute(*entry, step);
}

Status Engine::checkImages(std::span<const ImagePixels> images) const {
  if (images.empty())
    return {};
  if (!images_)
    return Status::invalidInput("images: found " + std::to_string(images.size()) +
                                " for a model of text alone, expected none; take a model that was "
                                "compiled with its image part.");
  if (!images_->fits(images, /*alone=*/true))
    return Status::error(
        StatusKind::Usage,
        "images: found " + std::to_string(images.size()) +
            " in one prompt, expected no more than the " + std::to_string(images_->room().units()) +
            (program().desc().images.family == ImageFamily::Llama4 ? " tiles" : " images") +
            " that the model was compiled for; give fewer or smaller ones.");
  return {};
}

Result<std::shared_ptr<const PooledImages>> Engine::setImages(Sequence &sequence,
                                                              const PromptImages &images) {
  LLAMA4_RETURN_IF_ERROR(checkImages(images.images));
  LLAMA4_ASSIGN_OR_RETURN(std::shared_ptr<const PooledImages> pooled, encodeImages(images.images));
  LLAMA4_ASSIGN_OR_RETURN(SequenceImages places, SequenceImages::create(pooled, images.places));
  sequence.setImages(std::move(places));
  return pooled;
}

Result<std::shared_ptr<const PooledImages>>
Engine::encodeImages(std::span<const ImagePixels> images) {
  LLAMA4_RETURN_IF_ERROR(checkImages(images));
  return images_->encode(images,
                         [this](uint32_t entry, uint32_t symbol, std::span<void *const> inputs,
                                std::span<void *const> outputs) -> Status {
                           l4_step step = {};
                           step.symbol = symbol;
                           LLAMA4_RETURN_IF_ERROR(executable_->execute(
                               entry, step, inputs, outputs, cache_->pools(),
                               profile_.nanoseconds(entry), profile_.weightBytes(entry)));
                           profile_.record(entry, symbol);
                           return {};
                         });
}

Engine::Memory Engine::memory() const {
  return {program().weightsBytes(), executable_->arenaBytes(), buffers_->bytes(), cache_->bytes(),
          images_ ? images_->bytes() : 0};
}

} // namespace llama4
