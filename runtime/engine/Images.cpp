//===- Images.cpp - the pictures of a text --------------------------------===//

#include "runtime/engine/Images.h"

#include "runtime/engine/ImagePool.h"
#include "runtime/format/Checksum.h"

#include <cstring>

namespace llama4 {

void ImagePixels::makeKey() {
  // Texts with the same key share what was computed: nobody may be able to make another picture
  // with this key.
  const std::array<uint8_t, 32> hash = sha256(std::as_bytes(std::span(pixels)));
  const uint64_t shape = uint64_t{tiles} << 32 | aspectRatioId;
  std::memcpy(&key.low, hash.data(), sizeof(key.low));
  std::memcpy(&key.high, hash.data() + sizeof(key.low), sizeof(key.high));
  key.low ^= shape;
}

PooledImages::~PooledImages() { pool_->release(*this); }

static Status tooFew(uint64_t found, uint64_t there) {
  return Status::internal("images of a text: found a place of feature row or picture " +
                          std::to_string(found) + ", expected less than " + std::to_string(there) +
                          ".");
}

Result<SequenceImages> SequenceImages::create(std::shared_ptr<const PooledImages> images,
                                              const ImagePlaces &places) {
  SequenceImages made;
  made.pooled_ = std::move(images);
  if (places.first.size() != places.count.size())
    return tooFew(places.count.size(), places.first.size());
  LLAMA4_RETURN_IF_ERROR(made.mapRows(places.featureRows));
  LLAMA4_RETURN_IF_ERROR(made.mapRuns(places));
  std::sort(made.contents_.begin(), made.contents_.end(),
            [](const PromptContent &a, const PromptContent &b) {
              return a.position != b.position ? a.position < b.position : a.key.low < b.key.low;
            });
  return made;
}

Status SequenceImages::mapRows(const std::vector<int32_t> &rows) {
  std::vector<int32_t> poolRows; // of the text's rows
  std::vector<size_t> imageOf;
  for (size_t i = 0; i < pooled_->images().size(); ++i) {
    const PooledImages::Image &image = pooled_->images()[i];
    for (uint32_t r = 0; r < image.units * pooled_->unitRows(); ++r) {
      poolRows.push_back(static_cast<int32_t>(image.firstUnit * pooled_->unitRows() + r));
      imageOf.push_back(i);
    }
  }
  std::vector<bool> seen(pooled_->images().size());
  for (size_t t = 0; t < rows.size(); ++t) {
    const auto row = static_cast<size_t>(rows[t]);
    if (rows[t] >= 0 && row >= poolRows.size())
      return tooFew(row, poolRows.size());
    featureRows_.push_back(rows[t] < 0 ? -1 : poolRows[row]);
    if (rows[t] < 0 || seen[imageOf[row]])
      continue;
    seen[imageOf[row]] = true;
    contents_.push_back({t, pooled_->images()[imageOf[row]].key});
  }
  return {};
}

Status SequenceImages::mapRuns(const ImagePlaces &places) {
  const size_t there = pooled_->images().size();
  std::vector<bool> seen(there);
  for (size_t t = 0; t < places.first.size(); ++t) {
    const int32_t first = places.first[t], count = places.count[t];
    if (count < 0 || (count > 0 && (first < 0 || first + count > static_cast<int64_t>(there))))
      return tooFew(static_cast<uint64_t>(first + count), there);
    // Pictures of a text lie side by side.
    const auto base = static_cast<int32_t>(there ? pooled_->images()[0].firstUnit : 0);
    first_.push_back(count ? base + first : 0);
    count_.push_back(count);
    for (int32_t i = first; i < first + count; ++i) {
      const auto image = static_cast<size_t>(i);
      if (!seen[image])
        contents_.push_back({t, pooled_->images()[image].key});
      seen[image] = true;
    }
  }
  return {};
}

void SequenceImages::truncate(uint64_t length) {
  for (std::vector<int32_t> *values : {&featureRows_, &first_, &count_})
    if (values->size() > length)
      values->resize(length);
  std::erase_if(contents_, [&](const PromptContent &one) { return one.position >= length; });
}

} // namespace llama4
