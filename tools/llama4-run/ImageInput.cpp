//===- ImageInput.cpp - pictures on the command line ----------------------===//

#include "tools/llama4-run/ImageInput.h"

#include "runtime/image/Source.h"

#include <string_view>

namespace llama4::run {

using nlohmann::ordered_json;

void addImageOptions(CLI::App &command, ImageOptions &options) {
  command
      .add_option("--image", options.sources,
                  "a picture (PNG, JPEG, WebP, GIF; a path or a URL); again for more. They stand "
                  "at the <|image|> marks of the prompt, or before a prompt without marks")
      ->allow_extra_args(false)
      ->group("Prompt");
  command
      .add_option("--image-alpha", options.alpha,
                  "what becomes of transparency: white, as Meta's code does, or drop, as "
                  "transformers does (default: white)")
      ->check(CLI::IsMember({"white", "drop"}))
      ->group("Prompt");
}

Result<std::vector<PreparedImage>> loadImages(const ImageOptions &options, const ImageInfo &info) {
  std::vector<PreparedImage> images;
  if (options.sources.empty())
    return images;
  LLAMA4_ASSIGN_OR_RETURN(ImagePreparer preparer,
                          ImagePreparer::create(info, options.sources.size()));
  image::DecodeOptions decode;
  decode.alpha = options.alpha == "drop" ? image::AlphaMode::Drop : image::AlphaMode::White;
  // Whoever gives the command may fetch from his own machine as well.
  const image::FetchRules fetch{.hosts = {}, .allowPrivate = true};
  for (const std::string &source : options.sources) {
    LLAMA4_ASSIGN_OR_RETURN(image::RgbImage picture, image::loadImage(source, decode, &fetch));
    LLAMA4_ASSIGN_OR_RETURN(PreparedImage prepared, preparer.prepare(picture));
    images.push_back(std::move(prepared));
  }
  return images;
}

/// The pieces of a text between its marks: one more than there are marks.
static std::vector<std::string> splitAtMarks(const std::string &text) {
  std::vector<std::string> pieces;
  size_t begin = 0;
  for (size_t mark; (mark = text.find(imageMark, begin)) != std::string::npos;) {
    pieces.push_back(text.substr(begin, mark - begin));
    begin = mark + std::string_view(imageMark).size();
  }
  pieces.push_back(text.substr(begin));
  return pieces;
}

size_t countMarks(const std::string &text) { return splitAtMarks(text).size() - 1; }

/// Pieces of text with a picture before each but the first; the first may be empty.
static Result<std::vector<std::string>> placeImages(const std::string &text, size_t images) {
  std::vector<std::string> pieces = splitAtMarks(text);
  const size_t marks = pieces.size() - 1;
  if (marks == 0) {
    pieces.insert(pieces.begin(), images, "");
    return pieces;
  }
  if (marks != images)
    return Status::invalidInput("found " + std::to_string(images) + " images for " +
                                std::to_string(marks) +
                                " marks <|image|> in the prompt, expected as many; give the " +
                                (marks > images ? "missing images" : "missing marks") + ".");
  return pieces;
}

Result<ordered_json> contentWithImages(const std::string &text, size_t images) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> pieces, placeImages(text, images));
  if (pieces.size() == 1)
    return ordered_json(text);
  ordered_json parts = ordered_json::array();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0)
      parts.push_back({{"type", "image"}});
    if (!pieces[i].empty())
      parts.push_back({{"type", "text"}, {"text", pieces[i]}});
  }
  return parts;
}

Result<std::vector<int32_t>> idsWithImages(const std::string &text, size_t images,
                                           const text::Tokenizer &tokenizer, int32_t mark,
                                           bool addBos) {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> pieces, placeImages(text, images));
  std::vector<int32_t> ids;
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (i > 0)
      ids.push_back(mark);
    const std::vector<int32_t> piece =
        tokenizer.encode(pieces[i], {.parseSpecial = false, .addBos = addBos && i == 0});
    ids.insert(ids.end(), piece.begin(), piece.end());
  }
  return ids;
}

} // namespace llama4::run
