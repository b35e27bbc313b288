//===- Images.h - the pictures of a text -------------------------*- C++ -*-===//
//
// A picture on its way into a model: its pixels as the entry "encode_image" takes them, which
// tokens of the text it belongs to, and, once an engine has encoded it (ImagePool.h), where the
// result lies.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_IMAGES_H
#define LLAMA4_RUNTIME_ENGINE_IMAGES_H

#include "runtime/base/Status.h"
#include "runtime/engine/PrefixIndex.h"
#include "runtime/format/ProgramDesc.h"

#include <algorithm>
#include <memory>
#include <span>
#include <vector>

namespace llama4 {

/// One picture as the entry "encode_image" takes it.
struct ImagePixels {
  uint32_t tiles = 0;         ///< that are there
  uint32_t aspectRatioId = 0; ///< Llama 3.2 Vision: the number of its grid, from 1
  std::vector<float> pixels;  ///< f32[tiles, 3, side, side], normalised
  ContentKey key;             ///< of all this, by which it is known; see makeKey()

  void makeKey();
};

/// Where the pictures of one text are, token by token; rows and pictures are counted from the first
/// of that text. Tokens behind the last one take the place of no feature, and see what it sees.
struct ImagePlaces {
  std::vector<int32_t> featureRows; ///< Llama 4: the feature row in the token's place, or -1
  std::vector<int32_t> first;       ///< Llama 3.2 Vision: the first picture that the token sees
  std::vector<int32_t> count;       ///< and how many; 0: none

  bool operator==(const ImagePlaces &) const = default;
};

/// The pictures of one prompt.
struct PromptImages {
  std::vector<ImagePixels> images;
  ImagePlaces places;
};

class ImagePool;

/// Pictures of one text in a pool, where they stay as long as this exists. The pool outlives it.
class PooledImages {
public:
  ~PooledImages();
  PooledImages(const PooledImages &) = delete;
  PooledImages &operator=(const PooledImages &) = delete;

  struct Image {
    ContentKey key;
    uint32_t firstUnit = 0, units = 0;
  };
  std::span<const Image> images() const { return images_; }
  /// Feature rows of one unit.
  uint32_t unitRows() const { return unitRows_; }

private:
  friend class ImagePool;
  PooledImages(ImagePool &pool, uint32_t unitRows) : pool_(&pool), unitRows_(unitRows) {}

  ImagePool *pool_;
  uint32_t unitRows_;
  std::vector<Image> images_;
};

/// The places of one text's pictures in the pool. Empty: a text without pictures.
class SequenceImages {
public:
  SequenceImages() = default;
  /// Errors: Internal (places of more pictures than there are).
  static Result<SequenceImages> create(std::shared_ptr<const PooledImages> images,
                                       const ImagePlaces &places);

  /// The pool's row of features in place of the token at `position`, or -1.
  int32_t featureRow(uint64_t position) const {
    return position < featureRows_.size() ? featureRows_[position] : -1;
  }
  /// The run of the pool's pictures that the token sees.
  int32_t first(uint64_t position) const { return last(first_, position); }
  int32_t count(uint64_t position) const { return last(count_, position); }

  /// Forgets what is behind the first `length` tokens.
  void truncate(uint64_t length);
  /// The pictures and the tokens at which they come into the text, in order of these.
  std::span<const PromptContent> contents() const { return contents_; }

private:
  static int32_t last(const std::vector<int32_t> &values, uint64_t position) {
    return values.empty() ? 0 : values[std::min<uint64_t>(position, values.size() - 1)];
  }
  Status mapRows(const std::vector<int32_t> &rows);
  Status mapRuns(const ImagePlaces &places);

  std::shared_ptr<const PooledImages> pooled_;
  std::vector<int32_t> featureRows_, first_, count_;
  std::vector<PromptContent> contents_;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_IMAGES_H
