//===- InvokeImages.cpp - pictures of sequences from given tensors --------===//

#include "runtime/engine/ImagePrompt.h"
#include "runtime/engine/Invoke.h"
#include "runtime/format/Half.h"

#include <cstring>

namespace llama4 {

namespace {

/// The tensors of a file that an image processor makes, and how they belong to sequences.
class ImageReader {
public:
  ImageReader(const SafetensorsFile &file, const ImageInfo &info, TokenInput &input)
      : file_(file), info_(info), input_(input) {}

  Status read();

private:
  Status wrong(const char *tensor, const std::string &found, const std::string &expected) const {
    return Status::invalidInput(file_.path() + ": " + tensor + ": found " + found + ", expected " +
                                expected + ".");
  }
  Status readPixels(const SafetensorsTensor &tensor);
  Result<std::vector<int64_t>> integers(const char *name, uint64_t count) const;
  Status readLlama4();
  Status readMllama();
  Status readShapes();
  Status readMask(const std::vector<int64_t> &mask);
  ImagePixels cut(uint64_t firstTile, uint64_t tiles) const;

  const SafetensorsFile &file_;
  const ImageInfo &info_;
  TokenInput &input_;
  std::vector<float> pixels_;
  uint64_t tileValues_ = 0, units_ = 0; ///< of the pixels: tiles of Llama 4, else pictures
  std::vector<ImagePixels> images_;     ///< Llama 3.2 Vision: of all sequences
  std::vector<uint64_t> firstImage_;    ///< of each sequence, and their number at the end
};

/// All pixels as one list of tiles or of pictures with all their tiles.
Status ImageReader::readPixels(const SafetensorsTensor &tensor) {
  const uint64_t side = info_.imageSize, tiles = info_.maxTiles;
  const bool isMllama = info_.family == ImageFamily::Mllama;
  tileValues_ = 3 * side * side;
  const std::vector<uint64_t> wanted =
      isMllama ? std::vector<uint64_t>{tiles, 3, side, side} : std::vector<uint64_t>{3, side, side};
  bool fits = tensor.shape.size() > wanted.size();
  const size_t leading = fits ? tensor.shape.size() - wanted.size() : 0;
  for (size_t i = 0; fits && i < wanted.size(); ++i)
    fits = static_cast<uint64_t>(tensor.shape[leading + i]) == wanted[i];
  if (!fits || (tensor.dtype != DType::F32 && tensor.dtype != DType::BF16))
    return wrong("pixel_values", std::string(dtypeName(tensor.dtype)) + " of another shape",
                 std::string("f32 [.., ") + (isMllama ? std::to_string(tiles) + ", " : "") + "3, " +
                     std::to_string(side) + ", " + std::to_string(side) + "] as the model takes");
  const bool isWide = tensor.dtype == DType::F32;
  pixels_.resize(tensor.bytes.size() / (isWide ? sizeof(float) : sizeof(uint16_t)));
  if (isWide)
    std::memcpy(pixels_.data(), tensor.bytes.data(), tensor.bytes.size());
  for (size_t i = 0; !isWide && i < pixels_.size(); ++i) {
    uint16_t narrow = 0;
    std::memcpy(&narrow, tensor.bytes.data() + i * sizeof(narrow), sizeof(narrow));
    pixels_[i] = bfloat16ToFloat(narrow);
  }
  units_ = pixels_.size() / (tileValues_ * (isMllama ? tiles : 1));
  return {};
}

Result<std::vector<int64_t>> ImageReader::integers(const char *name, uint64_t count) const {
  const SafetensorsTensor *tensor = file_.find(name);
  if (!tensor || tensor->dtype != DType::I64 || tensor->bytes.size() != count * sizeof(int64_t))
    return wrong(name, tensor ? "another shape or type" : "no such tensor",
                 std::to_string(count) + " numbers of type i64 beside pixel_values of " +
                     std::to_string(units_) + " images");
  std::vector<int64_t> values(count);
  std::memcpy(values.data(), tensor->bytes.data(), tensor->bytes.size());
  return values;
}

ImagePixels ImageReader::cut(uint64_t firstTile, uint64_t tiles) const {
  ImagePixels image;
  image.tiles = static_cast<uint32_t>(tiles);
  const float *from = pixels_.data() + firstTile * tileValues_;
  image.pixels.assign(from, from + tiles * tileValues_);
  return image;
}

/// The tiles belong to the sequences whose <|patch|> tokens they are for.
Status ImageReader::readLlama4() {
  LLAMA4_ASSIGN_OR_RETURN(ImagePreparer preparer, ImagePreparer::create(info_));
  uint64_t begin = 0, tile = 0;
  for (uint64_t length : input_.lengths) {
    const auto ids = std::span(input_.ids).subspan(begin, length);
    const auto rows = static_cast<uint64_t>(std::count(ids.begin(), ids.end(), info_.patchToken));
    const uint64_t tiles = rows / info_.tokensPerTile;
    if (tiles * info_.tokensPerTile != rows || tile + tiles > units_)
      return wrong("input_ids", std::to_string(rows) + " tokens <|patch|> in a sequence",
                   std::to_string(info_.tokensPerTile) + " for each tile, of which " +
                       std::to_string(units_ - tile) + " are left");
    PromptImages images;
    if (tiles) {
      LLAMA4_ASSIGN_OR_RETURN(images.places, preparer.findPlaces(ids, tiles));
      images.images.push_back(cut(tile, tiles));
      images.images.back().makeKey();
    }
    input_.images.push_back(std::move(images));
    tile += tiles;
    begin += length;
  }
  if (tile != units_)
    return wrong("pixel_values", std::to_string(units_) + " tiles",
                 std::to_string(tile) + ", those of the tokens <|patch|>");
  return {};
}

/// Tiles and grid of each picture.
Status ImageReader::readShapes() {
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> ratios, integers("aspect_ratio_ids", units_));
  LLAMA4_ASSIGN_OR_RETURN(std::vector<int64_t> there,
                          integers("aspect_ratio_mask", units_ * info_.maxTiles));
  const auto most = static_cast<int64_t>(image::aspectRatios(info_.maxTiles).size());
  for (uint64_t i = 0; i < units_; ++i) {
    const auto begin = there.begin() + static_cast<ptrdiff_t>(i * info_.maxTiles);
    const auto end = begin + info_.maxTiles;
    const auto tiles = static_cast<uint64_t>(std::count(begin, end, 1));
    if (tiles == 0 || !std::is_sorted(begin, end, std::greater<>()) || *begin != 1)
      return wrong("aspect_ratio_mask", "no tiles of an image or gaps between them",
                   "ones before zeros");
    if (ratios[i] < 1 || ratios[i] > most)
      return wrong("aspect_ratio_ids", std::to_string(ratios[i]), "1 to " + std::to_string(most));
    images_.push_back(cut(i * info_.maxTiles, tiles));
    images_.back().aspectRatioId = static_cast<uint32_t>(ratios[i]);
    images_.back().makeKey();
  }
  return {};
}

/// For each token a run of whole pictures of its sequence.
Status ImageReader::readMask(const std::vector<int64_t> &mask) {
  uint64_t token = 0;
  for (size_t s = 0; s < input_.lengths.size(); ++s) {
    ImagePlaces &places = input_.images[s].places;
    places.first.assign(input_.lengths[s], 0);
    places.count.assign(input_.lengths[s], 0);
    for (uint64_t t = 0; t < input_.lengths[s]; ++t, ++token)
      for (uint64_t i = 0; i < units_; ++i) {
        const auto begin =
            mask.begin() + static_cast<ptrdiff_t>((token * units_ + i) * info_.maxTiles);
        const auto end = begin + info_.maxTiles;
        const auto visible = static_cast<uint64_t>(std::count(begin, end, 1));
        if (std::all_of(begin, end, [](int64_t one) { return one == 0; }))
          continue;
        const bool own = i >= firstImage_[s] && i < firstImage_[s + 1];
        const uint64_t first =
            places.count[t] ? static_cast<uint64_t>(places.first[t]) : i - firstImage_[s];
        const uint64_t next = first + static_cast<uint64_t>(places.count[t]) + firstImage_[s];
        if (!own || visible != images_[i].tiles || next != i ||
            !std::is_sorted(begin, end, std::greater<>()) || *begin != 1)
          return wrong("cross_attention_mask",
                       "token " + std::to_string(token) +
                           " to see part of an image, images apart "
                           "or one of another sequence",
                       "one run of whole images of its own");
        places.first[t] = static_cast<int32_t>(first);
        ++places.count[t];
      }
  }
  return {};
}

Status ImageReader::readMllama() {
  LLAMA4_RETURN_IF_ERROR(readShapes());
  LLAMA4_ASSIGN_OR_RETURN(ImagePreparer preparer, ImagePreparer::create(info_));
  uint64_t begin = 0, image = 0;
  const bool hasMask = file_.find("cross_attention_mask") != nullptr;
  for (uint64_t length : input_.lengths) {
    const auto ids = std::span(input_.ids).subspan(begin, length);
    const auto count = static_cast<uint64_t>(std::count(ids.begin(), ids.end(), info_.imageToken));
    if (image + count > units_)
      return wrong("input_ids", "more tokens <|image|>",
                   std::to_string(units_) + ", one for each image of pixel_values");
    firstImage_.push_back(image);
    PromptImages images;
    for (uint64_t i = image; i < image + count; ++i)
      images.images.push_back(images_[i]);
    if (!hasMask && count) {
      LLAMA4_ASSIGN_OR_RETURN(images.places, preparer.findPlaces(ids, count));
    }
    input_.images.push_back(std::move(images));
    image += count;
    begin += length;
  }
  firstImage_.push_back(image);
  if (image != units_)
    return wrong("pixel_values", std::to_string(units_) + " images",
                 std::to_string(image) + ", one for each token <|image|>");
  if (!hasMask)
    return {};
  LLAMA4_ASSIGN_OR_RETURN(
      std::vector<int64_t> mask,
      integers("cross_attention_mask", input_.ids.size() * units_ * info_.maxTiles));
  return readMask(mask);
}

Status ImageReader::read() {
  const SafetensorsTensor *pixels = file_.find("pixel_values");
  if (!pixels)
    return {};
  LLAMA4_RETURN_IF_ERROR(ImagePreparer::create(info_).status());
  LLAMA4_RETURN_IF_ERROR(readPixels(*pixels));
  return info_.family == ImageFamily::Llama4 ? readLlama4() : readMllama();
}

} // namespace

Status readImageInput(const SafetensorsFile &file, const ImageInfo &info, TokenInput &input) {
  return ImageReader(file, info, input).read();
}

} // namespace llama4
