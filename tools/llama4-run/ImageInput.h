//===- ImageInput.h - pictures on the command line ---------------*- C++ -*-===//
#ifndef LLAMA4_TOOLS_LLAMA4_RUN_IMAGEINPUT_H
#define LLAMA4_TOOLS_LLAMA4_RUN_IMAGEINPUT_H

#include "runtime/engine/ImagePrompt.h"
#include "runtime/text/Tokenizer.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace llama4::run {

/// What stands for a picture in a text.
inline constexpr const char *imageMark = "<|image|>";

/// --image and --image-alpha.
struct ImageOptions {
  std::vector<std::string> sources; ///< paths or URLs
  std::string alpha = "white";      ///< "white" or "drop"
};
void addImageOptions(CLI::App &command, ImageOptions &options);

/// Reads, decodes and cuts pictures for a program. Errors: InvalidInput (a text-only model; not a
/// picture), NotFound, Io, OutOfMemory; each names the picture.
Result<std::vector<PreparedImage>> loadImages(const ImageOptions &options, const ImageInfo &info);

/// The marks in a text.
size_t countMarks(const std::string &text);

/// The text of a user with `images` pictures: a string where there are none, else a list of parts
/// {"type": "image"} and {"type": "text"}. Pictures stand at the marks, or before a text that has
/// none. Errors: InvalidInput, other numbers of marks and pictures.
Result<nlohmann::ordered_json> contentWithImages(const std::string &text, size_t images);

/// The same as ids, for a model without a chat template. `addBos` puts BOS in front.
Result<std::vector<int32_t>> idsWithImages(const std::string &text, size_t images,
                                           const text::Tokenizer &tokenizer, int32_t mark,
                                           bool addBos);

} // namespace llama4::run

#endif // LLAMA4_TOOLS_LLAMA4_RUN_IMAGEINPUT_H
