//===- Sequence.cpp - one text on its way through a model -----------------===//

#include "runtime/engine/Engine.h"

namespace llama4 {

Status Sequence::append(std::span<const int32_t> ids) {
  for (int32_t id : ids)
    if (id < 0 || (static_cast<uint32_t>(id) >= vocabSize_ && id != imageToken_))
      return Status::invalidInput("a token: found id " + std::to_string(id) + ", expected 0 to " +
                                  std::to_string(vocabSize_ - 1) + " of the model's vocabulary.");
  uint64_t length = tokens_.size() + ids.size();
  if (length > cache_->maxLength())
    return Status::error(StatusKind::Usage,
                         "a sequence: found " + std::to_string(length) +
                             " tokens, expected at most " + std::to_string(cache_->maxLength()) +
                             "; shorten the prompt, or allow a greater length or more memory.");
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  return {};
}

Status Sequence::truncate(uint64_t length) {
  if (length > tokens_.size())
    return Status::internal("a sequence: found a cut to " + std::to_string(length) +
                            " tokens, expected at most its " + std::to_string(tokens_.size()) +
                            ".");
  if (length < processed_) {
    LLAMA4_RETURN_IF_ERROR(cache_->truncate(slot_, length));
    processed_ = length;
  }
  tokens_.resize(length);
  std::erase_if(contents_, [&](const PromptContent &one) { return one.position >= length; });
  images_.truncate(length);
  return {};
}

void Sequence::setImages(SequenceImages images) {
  images_ = std::move(images);
  for (const PromptContent &content : images_.contents())
    addContent(content);
}

uint64_t Sequence::reusePrefix() {
  if (processed_ == 0)
    processed_ = cache_->reuse(slot_, {tokens_, contents_});
  return processed_;
}

void Sequence::advance(uint32_t tokens) {
  processed_ += tokens;
  cache_->publish(slot_, {tokens_, contents_}, processed_);
  cache_->retire(slot_, processed_);
}

Result<std::unique_ptr<Sequence>> Engine::fork(const Sequence &from, uint64_t expectedLength) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Sequence> made, createSequence(expectedLength));
  made->tokens_.assign(from.tokens_.begin(),
                       from.tokens_.begin() + static_cast<ptrdiff_t>(from.processed_));
  for (const PromptContent &content : from.contents_)
    if (content.position < from.processed_)
      made->contents_.push_back(content);
  made->images_ = from.images_;
  made->images_.truncate(from.processed_);
  cache_->share(from.slot_, made->slot_, from.processed_);
  made->processed_ = from.processed_;
  return made;
}

} // namespace llama4
