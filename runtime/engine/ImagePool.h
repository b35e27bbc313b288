//===- ImagePool.h - the pictures that an engine holds -----------*- C++ -*-===//
//
// What a program makes of pictures lies in pools reserved at start: rows of features (Llama 4) or,
// for each picture, keys and values of every cross-attention layer (Llama 3.2 Vision). A pool is
// cut into units, one for a tile or for a picture; a picture has units side by side, and for Llama
// 3.2 Vision so have the pictures of one text, because a token sees a run of them.
//
// A picture that is still in the pool is not encoded again, whichever text brings it. The entries
// that encode run on at most as many tiles at a time as was compiled, so that their memory is that
// of the plan; what they make is written where it stays.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_ENGINE_IMAGEPOOL_H
#define LLAMA4_RUNTIME_ENGINE_IMAGEPOOL_H

#include "runtime/device/Device.h"
#include "runtime/engine/ImageRoom.h"
#include "runtime/engine/Images.h"
#include "runtime/program/Program.h"

#include <functional>
#include <string>

namespace llama4 {

class ImagePool {
public:
  /// Reserves everything. `device` must outlive the pool. Errors: OutOfMemory, InvalidInput (the
  /// program's entries don't fit together).
  static Result<std::unique_ptr<ImagePool>> create(const Program &program, Device &device);

  /// Runs an entry of the program for so many units.
  using RunEntry =
      std::function<Status(uint32_t entry, uint32_t symbol, std::span<void *const> inputs,
                           std::span<void *const> outputs)>;
  /// Brings the pictures of one text into the pool. Errors: OutOfMemory (no room beside those in
  /// use), InvalidInput (pixels of another size), and what `run` returns; nothing is held then.
  Result<std::shared_ptr<const PooledImages>> encode(std::span<const ImagePixels> images,
                                                     const RunEntry &run);
  /// True when encode() would find room; `alone`: if no other text used the pool.
  bool fits(std::span<const ImagePixels> images, bool alone = false) const;

  /// The pool that is this input of a step, or null. Errors: InvalidInput, a pool of another shape.
  Result<void *> stepInput(const EntryTensor &input) const;

  const ImageRoom &room() const { return room_; }
  /// Units that were encoded since the start.
  uint64_t encodedUnits() const { return encodedUnits_; }
  /// Bytes of pools and of what fills them.
  uint64_t bytes() const { return bytes_; }

private:
  friend class PooledImages;
  /// An input of the step that a text's pictures are in: so many bytes for each unit.
  struct Pool {
    EntryTensor tensor;
    uint64_t unitBytes = 0;
    std::byte *data = nullptr;
  };
  /// An entry that fills pools.
  struct Encoder {
    uint32_t entry = 0, bound = 0;
    std::vector<void *> inputs, outputs;
  };

  explicit ImagePool(const ImageInfo &info) : info_(info) {}
  Result<std::byte *> allocate(Device &device, uint64_t bytes);
  Status addPools(const Program &program, Device &device);
  Status addEncoder(const Program &program, Device &device);
  Result<std::byte *> encoderInput(const Program &program, const Entry &entry,
                                   const EntryTensor &input, Device &device);
  Status addCross(const Program &program, Device &device);
  Status checkPixels(const ImagePixels &image) const;

  bool isLlama4() const { return info_.family == ImageFamily::Llama4; }
  uint32_t unitsOf(const ImagePixels &image) const { return isLlama4() ? image.tiles : 1; }
  /// Calls `use` with each stretch of pictures that must lie side by side, until it returns false.
  template <typename Use> bool forRuns(std::span<const ImagePixels> images, Use &&use) const;
  Status bring(std::span<const ImagePixels> images, PooledImages &made, const RunEntry &run);
  void hold(std::span<const ImagePixels> images, uint32_t first, PooledImages &made);
  void release(const PooledImages &images);
  void copyUnits(uint32_t from, uint32_t to, uint32_t units);
  void fillPixels(const ImagePixels &image, uint32_t firstTile, uint32_t tiles);
  Status encodeTiles(const ImagePixels &image, uint32_t firstUnit, const RunEntry &run);
  Status encodeCross(const ImagePixels &image, uint32_t unit, const RunEntry &run);

  ImageInfo info_;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  uint64_t bytes_ = 0;
  std::vector<Pool> pools_; ///< Llama 4: features; else image_tiles, keys and values of each layer
  Encoder encoder_, cross_;
  std::byte *pixels_ = nullptr;
  int32_t *ratios_ = nullptr, *tiles_ = nullptr;
  std::byte *features_ = nullptr; ///< Llama 3.2 Vision: between its two entries
  ImageRoom room_;
  uint64_t encodedUnits_ = 0;
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_ENGINE_IMAGEPOOL_H
