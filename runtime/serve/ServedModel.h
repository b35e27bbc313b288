//===- ServedModel.h - a program with its names and its texts ----*- C++ -*-===//
#ifndef LLAMA4_RUNTIME_SERVE_SERVEDMODEL_H
#define LLAMA4_RUNTIME_SERVE_SERVEDMODEL_H

#include "runtime/program/Program.h"
#include "runtime/serve/ChatMessages.h"
#include "runtime/serve/ImageSources.h"
#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Tokenizer.h"

namespace llama4::serve {

/// A conversation as the model sees it.
using ChatPrompt = ImagePrompt;

/// What the API calls the model and how texts become ids. Thread-safe.
class ServedModel {
public:
  /// `names` that clients may give, "*" for any; "default" always stands for the model. Without
  /// names it is the program's file name. Errors: InvalidInput (the program has no tokenizer).
  static Result<ServedModel> create(std::shared_ptr<const Program> program,
                                    std::vector<std::string> names, ImageRules images = {});

  const Program &program() const { return *program_; }
  const text::Tokenizer &tokenizer() const { return *tokenizer_; }
  /// The first name.
  const std::string &name() const { return names_[0]; }
  /// Those that are shown: all but "*".
  const std::vector<std::string> &names() const { return names_; }
  bool answersTo(const std::string &name) const;
  /// Seconds since 1970 when it was loaded.
  int64_t created() const { return created_; }
  /// Ids that end an answer.
  std::vector<int32_t> stopIds() const;

  /// A conversation, checked: up to where the assistant begins, or goes on where the last message
  /// is its own. Images are read, decoded and put at their places; models that take none refuse
  /// them.
  std::optional<ApiError> encodeChat(const Json &messages, ChatPrompt &out) const;
  /// The ids of plain text as a whole prompt; control tokens in it are parsed, and BOS is put in
  /// front where the model wants it and the text has none.
  std::vector<int32_t> encodePrompt(const std::string &text) const;
  /// Of ids that are a whole prompt without pictures. Errors: InvalidInput (an id that the model
  /// doesn't know, a mark of a picture).
  Status checkPrompt(std::span<const int32_t> ids) const;

private:
  ServedModel() = default;
  std::optional<ApiError> placeImages(std::span<const ImageReference> references,
                                      ChatPrompt &prompt) const;

  std::shared_ptr<const Program> program_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> template_;
  ImageRules imageRules_;
  std::optional<ImagePreparer> images_; ///< of models that take them
  std::vector<std::string> names_;
  bool anyName_ = false;
  int64_t created_ = 0;
};

} // namespace llama4::serve

#endif // LLAMA4_RUNTIME_SERVE_SERVEDMODEL_H
