//===- ServedModel.cpp - a program with its names and its texts -----------===//

#include "runtime/serve/ServedModel.h"

#include "runtime/engine/Engine.h"
#include "runtime/engine/Generator.h"

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace llama4::serve {

Result<ServedModel> ServedModel::create(std::shared_ptr<const Program> program,
                                        std::vector<std::string> names, ImageRules images) {
  ServedModel model;
  model.imageRules_ = std::move(images);
  model.program_ = std::move(program);
  const Program &file = *model.program_;
  if (file.tokenizer().empty())
    return Status::invalidInput(file.name() +
                                ": found no tokenizer, expected one; compile the checkpoint with "
                                "its tokenizer files.");
  LLAMA4_ASSIGN_OR_RETURN(model.tokenizer_, text::Tokenizer::fromSection(file.tokenizer()));
  if (!file.chatTemplate().empty()) {
    LLAMA4_ASSIGN_OR_RETURN(model.template_, text::ChatTemplate::fromSection(file.chatTemplate()));
  }
  if (file.desc().images.present()) {
    LLAMA4_ASSIGN_OR_RETURN(model.images_, ImagePreparer::create(file.desc().images));
  }
  model.anyName_ = std::erase(names, "*") != 0;
  if (names.empty())
    names.push_back(std::filesystem::path(file.name()).stem().string());
  model.names_ = std::move(names);
  model.created_ = static_cast<int64_t>(std::time(nullptr));
  return model;
}

bool ServedModel::answersTo(const std::string &name) const {
  return anyName_ || name == "default" ||
         std::find(names_.begin(), names_.end(), name) != names_.end();
}

std::vector<int32_t> ServedModel::stopIds() const {
  std::vector<int32_t> ids = stopIdsOf(program_->desc());
  for (int32_t id : tokenizer_->stopIds())
    ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

std::optional<ApiError> ServedModel::encodeChat(const Json &messages, ChatPrompt &out) const {
  ChatMessages chat;
  if (std::optional<ApiError> wrong = readChatMessages(messages, chat))
    return wrong;
  if (!template_)
    return ApiError{400, "the model has no chat template; use /v1/completions.", "messages", {}};
  if (!chat.images.empty() && !images_)
    return ApiError{400,
                    chat.images[0].param + ": found an image, but this model takes text only.",
                    chat.images[0].param,
                    {}};
  text::ChatInput input;
  input.messages = std::move(chat.messages);
  if (std::optional<int32_t> bos = tokenizer_->bosId())
    input.bosToken = tokenizer_->bytesOf(*bos);
  if (std::optional<int32_t> eos = tokenizer_->eosId())
    input.eosToken = tokenizer_->bytesOf(*eos);
  Result<std::vector<text::TextSegment>> segments = template_->render(input);
  if (!segments.ok())
    return ApiError{400, "messages: " + segments.status().message(), "messages", {}};
  if (!chat.begun.empty())
    segments->push_back({chat.begun, true});
  out.ids = tokenizer_->encodeSegments(*segments);
  return placeImages(chat.images, out);
}

/// Reads the pictures and makes room for them among the ids, which have no place for others.
std::optional<ApiError> ServedModel::placeImages(std::span<const ImageReference> references,
                                                 ChatPrompt &prompt) const {
  if (!images_)
    return std::nullopt;
  std::vector<PreparedImage> images;
  if (std::optional<ApiError> wrong = loadImages(imageRules_, *images_, references, images))
    return wrong;
  Result<ImagePrompt> placed = images_->place(prompt.ids, std::move(images));
  if (!placed.ok())
    return ApiError{400, "messages: " + placed.status().message(), "messages", {}};
  prompt = std::move(*placed);
  return std::nullopt;
}

Status ServedModel::checkPrompt(std::span<const int32_t> ids) const {
  for (int32_t id : ids)
    LLAMA4_RETURN_IF_ERROR(Engine::checkId(program_->desc(), id));
  return images_ ? images_->place(ids, {}).status() : Status();
}

std::vector<int32_t> ServedModel::encodePrompt(const std::string &text) const {
  std::vector<int32_t> ids = tokenizer_->encode(text, {.parseSpecial = true, .addBos = false});
  std::optional<int32_t> bos = tokenizer_->bosId();
  if (!tokenizer_->addsBosByDefault() || (bos && !ids.empty() && ids[0] == *bos))
    return ids;
  return tokenizer_->encode(text, {.parseSpecial = true, .addBos = true});
}

} // namespace llama4::serve
