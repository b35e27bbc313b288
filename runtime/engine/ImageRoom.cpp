//===- ImageRoom.cpp - which picture lies where in a pool -----------------===//

#include "runtime/engine/ImageRoom.h"

#include <algorithm>

namespace llama4 {

std::optional<uint32_t> ImageRoom::find(const ContentKey &key) const { return findRun({&key, 1}); }

std::optional<uint32_t> ImageRoom::findRun(std::span<const ContentKey> keys) const {
  for (size_t begin = 0; begin + keys.size() <= held_.size(); ++begin) {
    size_t same = 0;
    while (same < keys.size() && held_[begin + same].key == keys[same] &&
           (same == 0 || held_[begin + same].first ==
                             held_[begin + same - 1].first + held_[begin + same - 1].units))
      ++same;
    if (same == keys.size())
      return held_[begin].first;
  }
  return std::nullopt;
}

std::optional<uint32_t> ImageRoom::gap(uint32_t units, bool usedOnly) const {
  uint32_t end = 0; // of the picture before
  for (const Held &held : held_) {
    if (usedOnly && held.references == 0)
      continue;
    if (held.first - end >= units)
      return end;
    end = held.first + held.units;
  }
  return units_ - end >= units ? std::optional(end) : std::nullopt;
}

void ImageRoom::dropLongestUnused() {
  auto oldest = held_.end();
  for (auto it = held_.begin(); it != held_.end(); ++it)
    if (it->references == 0 && (oldest == held_.end() || it->lastUse < oldest->lastUse))
      oldest = it;
  if (oldest != held_.end())
    held_.erase(oldest);
}

std::optional<uint32_t> ImageRoom::take(uint32_t units) {
  if (!gap(units, /*usedOnly=*/true))
    return std::nullopt;
  std::optional<uint32_t> place = gap(units, /*usedOnly=*/false);
  for (; !place; place = gap(units, /*usedOnly=*/false))
    dropLongestUnused();
  return place;
}

void ImageRoom::insert(const ContentKey &key, uint32_t first, uint32_t units) {
  auto behind = std::find_if(held_.begin(), held_.end(),
                             [first](const Held &held) { return held.first > first; });
  held_.insert(behind, {key, first, units, 0, ++clock_});
}

ImageRoom::Held &ImageRoom::at(uint32_t first) {
  return *std::find_if(held_.begin(), held_.end(),
                       [first](const Held &held) { return held.first == first; });
}

void ImageRoom::release(uint32_t first) {
  Held &held = at(first);
  --held.references;
  held.lastUse = ++clock_;
}

uint32_t ImageRoom::usedUnits() const {
  uint32_t used = 0;
  for (const Held &held : held_)
    used += held.references ? held.units : 0;
  return used;
}

} // namespace llama4
