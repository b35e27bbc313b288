//===- ImagePrompt.h - from pictures and tokens to a prompt ------*- C++ -*-===//
//
// Scales and cuts pictures as a program wants them (runtime/image) and puts them where the prompt
// has its <|image|> marks. How many tokens and feature rows a picture has is known there alone.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_IMAGEPROMPT_H
#define LLAMA4_RUNTIME_ENGINE_IMAGEPROMPT_H

#include "runtime/engine/Images.h"
#include "runtime/image/Llama4Images.h"
#include "runtime/image/MllamaImages.h"

#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// A picture cut into the tiles of a program.
struct PreparedImage {
  image::ImageSize size; ///< of the picture as it was given
  image::Grid grid;      ///< of its tiles, the global one not counted
  ImagePixels pixels;
};

/// Token ids with their pictures.
struct ImagePrompt {
  std::vector<int32_t> ids;
  std::shared_ptr<const PromptImages> images; ///< null: none
};

class ImagePreparer {
public:
  /// For the pictures of a program. Errors: InvalidInput, `images` pictures for a model that takes
  /// none.
  static Result<ImagePreparer> create(const ImageInfo &info, size_t images = 1);

  /// The tiles of one picture, normalised. Errors: OutOfMemory.
  Result<PreparedImage> prepare(const image::RgbImage &image) const;

  /// `ids` with a picture at each <|image|>, in order. Ids that hold the feature places of Llama 4
  /// already (<|patch|>) are left as they are. Errors: InvalidInput (more marks than pictures or
  /// the reverse; a program that does not know the ids it needs).
  Result<ImagePrompt> place(std::span<const int32_t> ids, std::vector<PreparedImage> images) const;

  /// The places of pictures in ids that hold everything. `units`: tiles of Llama 4, else pictures.
  /// Errors: InvalidInput (more places than pictures have, or fewer).
  Result<ImagePlaces> findPlaces(std::span<const int32_t> ids, uint64_t units) const;

  const ImageInfo &info() const { return info_; }

private:
  explicit ImagePreparer(const ImageInfo &info);
  bool isLlama4() const { return info_.family == ImageFamily::Llama4; }
  Result<ImagePlaces> expand(std::span<const int32_t> ids, std::span<const PreparedImage> images,
                             std::vector<int32_t> &expanded) const;

  ImageInfo info_;
  image::Llama4ImageConfig llama4_;
  image::MllamaImageConfig mllama_;
  image::PixelTable table_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_IMAGEPROMPT_H
