//===- Conversation.cpp - the turns of a chat -----------------------------===//

#include "tools/llama4-run/Conversation.h"

#include <iterator>

namespace llama4::run {

using nlohmann::ordered_json;

void Conversation::reset() {
  turns_ = ordered_json::array();
  images_.clear();
  waiting_.clear();
  lastImages_ = 0;
}

Status Conversation::addImage(const std::string &source, const std::string &alpha) {
  ImageOptions options;
  options.sources = {source};
  options.alpha = alpha;
  LLAMA4_ASSIGN_OR_RETURN(std::vector<PreparedImage> images,
                          loadImages(options, program_.desc().images));
  std::move(images.begin(), images.end(), std::back_inserter(waiting_));
  return {};
}

Status Conversation::ask(const std::string &text) {
  ordered_json content = text;
  if (program_.desc().images.present()) {
    LLAMA4_ASSIGN_OR_RETURN(content, contentWithImages(text, waiting_.size()));
  }
  turns_.push_back({{"role", "user"}, {"content", std::move(content)}});
  lastImages_ = waiting_.size();
  std::move(waiting_.begin(), waiting_.end(), std::back_inserter(images_));
  waiting_.clear();
  return {};
}

void Conversation::answer(const std::string &text) {
  turns_.push_back({{"role", "assistant"}, {"content", text}});
}

void Conversation::takeBack() {
  turns_.erase(turns_.size() - 1);
  const auto first = images_.end() - static_cast<ptrdiff_t>(lastImages_);
  waiting_.assign(std::make_move_iterator(first), std::make_move_iterator(images_.end()));
  images_.erase(first, images_.end());
  lastImages_ = 0;
}

ordered_json Conversation::messages() const {
  ordered_json messages = ordered_json::array();
  if (!system_.empty())
    messages.push_back({{"role", "system"}, {"content", system_}});
  messages.insert(messages.end(), turns_.begin(), turns_.end());
  return messages;
}

Result<ImagePrompt> Conversation::prompt() const {
  ImagePrompt prompt;
  LLAMA4_ASSIGN_OR_RETURN(prompt.ids, encodeChat(program_, tokenizer_, messages()));
  const ImageInfo &info = program_.desc().images;
  if (!info.present())
    return prompt;
  LLAMA4_ASSIGN_OR_RETURN(ImagePreparer preparer, ImagePreparer::create(info));
  return preparer.place(prompt.ids, images_);
}

ordered_json Conversation::json() const { return {{"messages", messages()}}; }

} // namespace llama4::run
