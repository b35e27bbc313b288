//===- ImageRoom.h - which picture lies where in a pool ----------*- C++ -*-===//
//
// The book-keeping of a pool of pictures: units in a row, pictures with units side by side, how
// many texts use each. It knows neither pixels nor memory.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_IMAGEROOM_H
#define LLAMA4_RUNTIME_ENGINE_IMAGEROOM_H

#include "runtime/engine/PrefixIndex.h"

#include <optional>
#include <span>
#include <vector>

namespace llama4 {

class ImageRoom {
public:
  explicit ImageRoom(uint32_t units = 0) : units_(units) {}

  /// The first unit of a picture that is here, or nothing.
  std::optional<uint32_t> find(const ContentKey &key) const;
  /// The first unit of pictures that lie side by side in this order, or nothing.
  std::optional<uint32_t> findRun(std::span<const ContentKey> keys) const;

  /// So many units side by side, which insert() has to fill. Pictures that nobody uses make room,
  /// the longest unused first, and no more of them than needed. Nothing, and nothing changed, where
  /// those in use leave no such room.
  std::optional<uint32_t> take(uint32_t units);
  /// A picture in units that take() gave; nobody uses it yet.
  void insert(const ContentKey &key, uint32_t first, uint32_t units);

  /// One more, and one less, text uses the picture that begins at `first`.
  void reference(uint32_t first) { ++at(first).references; }
  void release(uint32_t first);

  uint32_t units() const { return units_; }
  /// Units of pictures in use.
  uint32_t usedUnits() const;
  /// Pictures that are here, in use or not.
  size_t size() const { return held_.size(); }

private:
  struct Held {
    ContentKey key;
    uint32_t first = 0, units = 0, references = 0;
    uint64_t lastUse = 0;
  };

  Held &at(uint32_t first);
  /// The first gap of so many units; `usedOnly`: as if only pictures in use were here.
  std::optional<uint32_t> gap(uint32_t units, bool usedOnly) const;
  void dropLongestUnused();

  uint32_t units_;
  std::vector<Held> held_; ///< by first unit
  uint64_t clock_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_IMAGEROOM_H
