//===- ImagePool.cpp - the pictures that an engine holds ------------------===//

#include "runtime/engine/ImagePool.h"

#include "runtime/engine/RopeInputs.h"
#include "runtime/format/Quoted.h"

#include <cassert>
#include <cstring>

namespace llama4 {

namespace {

constexpr uint32_t colours = 3;

} // namespace

//===----------------------------------------------------------------------===//
// Texts
//===----------------------------------------------------------------------===//

template <typename Use>
bool ImagePool::forRuns(std::span<const ImagePixels> images, Use &&use) const {
  const size_t length = isLlama4() ? 1 : std::max<size_t>(images.size(), 1);
  for (size_t begin = 0; begin < images.size(); begin += length)
    if (!use(images.subspan(begin, length)))
      return false;
  return true;
}

static std::vector<ContentKey> keysOf(std::span<const ImagePixels> images) {
  std::vector<ContentKey> keys;
  for (const ImagePixels &image : images)
    keys.push_back(image.key);
  return keys;
}

bool ImagePool::fits(std::span<const ImagePixels> images, bool alone) const {
  ImageRoom room = alone ? ImageRoom(room_.units()) : room_;
  return forRuns(images, [&](std::span<const ImagePixels> part) {
    std::optional<uint32_t> first = room.findRun(keysOf(part));
    uint32_t units = 0;
    for (const ImagePixels &image : part)
      units += unitsOf(image);
    if (!first && !(first = room.take(units)))
      return false;
    const bool known = room.findRun(keysOf(part)).has_value();
    for (const ImagePixels &image : part) {
      if (!known)
        room.insert(image.key, *first, unitsOf(image));
      room.reference(*first);
      *first += unitsOf(image);
    }
    return true;
  });
}

Status ImagePool::checkPixels(const ImagePixels &image) const {
  const uint64_t each = uint64_t{colours} * info_.imageSize * info_.imageSize;
  const uint64_t most = isLlama4() ? uint64_t{room_.units()} : info_.maxTiles;
  if (image.tiles < 1 || image.tiles > most || image.pixels.size() != image.tiles * each)
    return Status::invalidInput(
        "an image: found " + std::to_string(image.tiles) + " tiles and " +
        std::to_string(image.pixels.size()) + " values, expected 1 to " + std::to_string(most) +
        " tiles of " + std::to_string(colours) + " x " + std::to_string(info_.imageSize) + " x " +
        std::to_string(info_.imageSize) + "; give fewer or smaller images.");
  return {};
}

Result<std::shared_ptr<const PooledImages>> ImagePool::encode(std::span<const ImagePixels> images,
                                                              const RunEntry &run) {
  std::shared_ptr<PooledImages> made(
      new PooledImages(*this, static_cast<uint32_t>(info_.unitRows())));
  made->images_.reserve(images.size());
  for (const ImagePixels &image : images)
    LLAMA4_RETURN_IF_ERROR(checkPixels(image));
  Status status;
  forRuns(images, [&](std::span<const ImagePixels> part) {
    status = bring(part, *made, run);
    return status.ok();
  });
  LLAMA4_RETURN_IF_ERROR(status);
  return std::shared_ptr<const PooledImages>(std::move(made));
}

/// Says that a text uses pictures that lie side by side from unit `first` on.
void ImagePool::hold(std::span<const ImagePixels> images, uint32_t first, PooledImages &made) {
  for (const ImagePixels &image : images) {
    room_.reference(first);
    made.images_.push_back({image.key, first, unitsOf(image)});
    first += unitsOf(image);
  }
}

void ImagePool::release(const PooledImages &images) {
  for (const PooledImages::Image &image : images.images())
    room_.release(image.firstUnit);
}

/// Finds or makes pictures that must lie side by side.
Status ImagePool::bring(std::span<const ImagePixels> images, PooledImages &made,
                        const RunEntry &run) {
  if (std::optional<uint32_t> first = room_.findRun(keysOf(images))) {
    hold(images, *first, made);
    return {};
  }
  uint32_t units = 0;
  std::vector<uint32_t> pinned; // what is copied must not make room for its copy
  for (const ImagePixels &image : images) {
    units += unitsOf(image);
    if (std::optional<uint32_t> known = room_.find(image.key)) {
      room_.reference(*known);
      pinned.push_back(*known);
    }
  }
  std::optional<uint32_t> first = room_.take(units);
  for (uint32_t unit : pinned)
    room_.release(unit);
  if (!first && !pinned.empty())
    first = room_.take(units); // then all are encoded
  if (!first)
    return Status::error(StatusKind::OutOfMemory,
                         "images: found " + std::to_string(room_.units() - room_.usedUnits()) +
                             " of " + std::to_string(room_.units()) +
                             " places free in the pool of images, expected " +
                             std::to_string(units) + " side by side; give fewer images.");
  uint32_t unit = *first;
  for (const ImagePixels &image : images) {
    if (std::optional<uint32_t> known = room_.find(image.key))
      copyUnits(*known, unit, unitsOf(image));
    else
      LLAMA4_RETURN_IF_ERROR(isLlama4() ? encodeTiles(image, unit, run)
                                        : encodeCross(image, unit, run));
    room_.insert(image.key, unit, unitsOf(image));
    unit += unitsOf(image);
  }
  hold(images, *first, made);
  return {};
}

void ImagePool::copyUnits(uint32_t from, uint32_t to, uint32_t units) {
  for (const Pool &pool : pools_)
    std::memmove(pool.data + to * pool.unitBytes, pool.data + from * pool.unitBytes,
                 units * pool.unitBytes);
}

//===----------------------------------------------------------------------===//
// Pictures
//===----------------------------------------------------------------------===//

/// Puts tiles [firstTile, firstTile + tiles) where the entry reads them; those that are not there
/// are zero.
void ImagePool::fillPixels(const ImagePixels &image, uint32_t firstTile, uint32_t tiles) {
  const uint64_t side = info_.imageSize, rows = uint64_t{tiles} * colours * side;
  const uint64_t stride = rowBytes(ElementType::F32, info_.imageSize);
  const uint64_t there = uint64_t{std::min(image.tiles - firstTile, tiles)} * colours * side;
  const float *from = image.pixels.data() + uint64_t{firstTile} * colours * side * side;
  for (uint64_t row = 0; row < there; ++row)
    std::memcpy(pixels_ + row * stride, from + row * side, side * sizeof(float));
  std::memset(pixels_ + there * stride, 0, (rows - there) * stride);
}

Status ImagePool::encodeTiles(const ImagePixels &image, uint32_t firstUnit, const RunEntry &run) {
  for (uint32_t done = 0; done < image.tiles;) {
    const uint32_t tiles = std::min(image.tiles - done, encoder_.bound);
    fillPixels(image, done, tiles);
    encoder_.outputs[0] = pools_[0].data + (firstUnit + done) * pools_[0].unitBytes;
    LLAMA4_RETURN_IF_ERROR(run(encoder_.entry, tiles, encoder_.inputs, encoder_.outputs));
    done += tiles;
    encodedUnits_ += tiles;
  }
  return {};
}

Status ImagePool::encodeCross(const ImagePixels &image, uint32_t unit, const RunEntry &run) {
  fillPixels(image, 0, info_.maxTiles);
  ratios_[0] = static_cast<int32_t>(image.aspectRatioId);
  tiles_[0] = static_cast<int32_t>(image.tiles);
  LLAMA4_RETURN_IF_ERROR(run(encoder_.entry, 1, encoder_.inputs, encoder_.outputs));
  for (size_t i = 1; i < pools_.size(); ++i)
    cross_.outputs[i - 1] = pools_[i].data + unit * pools_[i].unitBytes;
  LLAMA4_RETURN_IF_ERROR(run(cross_.entry, 1, cross_.inputs, cross_.outputs));
  reinterpret_cast<int32_t *>(pools_[0].data)[unit] = static_cast<int32_t>(image.tiles);
  ++encodedUnits_;
  return {};
}

//===----------------------------------------------------------------------===//
// What a program asks for
//===----------------------------------------------------------------------===//

static Status unusable(const Entry &entry, const std::string &found, const std::string &expected) {
  return Status::invalidInput("entry " + quoteName(entry.name) + ": found " + found +
                              ", expected " + expected +
                              "; compile the model again with this version.");
}

static Status unusable(const Entry &entry, const EntryTensor &tensor) {
  return unusable(entry, "a tensor " + quoteName(tensor.name) + " of another shape",
                  "what the facts about images say");
}

static bool hasShape(const EntryTensor &tensor, ElementType type, uint64_t columns,
                     uint64_t rowsPerSymbol) {
  return tensor.type == type && tensor.columns == columns &&
         tensor.rowsPerSymbol == rowsPerSymbol && tensor.rowsFixed == 0;
}

Result<std::byte *> ImagePool::allocate(Device &device, uint64_t bytes) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> buffer,
                          device.allocate(std::max<uint64_t>(bytes, L4_ROW_ALIGN)));
  auto *data = static_cast<std::byte *>(buffer->data());
  bytes_ += buffer->bytes();
  buffers_.push_back(std::move(buffer));
  return data;
}

/// The index of the entry that every batch may use; nothing where there is none.
static std::optional<uint32_t> findEntry(const ProgramDesc &program, std::string_view function) {
  for (uint32_t i = 0; i < program.entries.size(); ++i)
    if (program.entries[i].function == function &&
        program.entries[i].specialization == Specialization::Any)
      return i;
  return std::nullopt;
}

static const EntryTensor *findInput(const Entry &entry, const std::string &name) {
  for (const EntryTensor &input : entry.inputs)
    if (input.name == name && input.role == InputRole::Tensor)
      return &input;
  return nullptr;
}

/// Features, or tiles, keys and values: memory for each, as many units as the step has rows for.
Status ImagePool::addPools(const Program &program, Device &device) {
  std::optional<uint32_t> index = findEntry(program.desc(), "step");
  if (!index)
    return Status::invalidInput(program.name() + ": found no entry for \"step\", expected one.");
  const Entry &step = program.desc().entries[*index];
  std::vector<std::string> names = {isLlama4() ? "features" : "image_tiles"};
  for (size_t layer = 0; !isLlama4() && findInput(step, "cross_key_" + std::to_string(layer));
       ++layer)
    for (const char *part : {"cross_key_", "cross_value_"})
      names.push_back(part + std::to_string(layer));
  uint64_t units = 0;
  for (const std::string &name : names) {
    const EntryTensor *tensor = findInput(step, name);
    if (!tensor)
      return unusable(step, "no input " + quoteName(name), "one");
    const bool isTiles = name == "image_tiles";
    const uint64_t unitRows = isTiles ? 1 : info_.unitRows();
    const uint64_t there = tensor->rowsFixed / unitRows;
    if (tensor->rowsPerSymbol != 0 || there == 0 || (units != 0 && there != units) ||
        (isTiles && (tensor->type != ElementType::I32 || tensor->columns != 0)))
      return unusable(step, *tensor);
    units = there;
    Pool pool = {*tensor, unitRows * rowBytes(tensor->type, tensor->columns), nullptr};
    LLAMA4_ASSIGN_OR_RETURN(pool.data, allocate(device, tensor->bytes(0)));
    pools_.push_back(std::move(pool));
  }
  room_ = ImageRoom(static_cast<uint32_t>(units));
  return {};
}

Result<std::byte *> ImagePool::encoderInput(const Program &program, const Entry &entry,
                                            const EntryTensor &input, Device &device) {
  const bool isGrid = input.role == InputRole::GridCos || input.role == InputRole::GridSin;
  LLAMA4_ASSIGN_OR_RETURN(std::byte * data, allocate(device, input.bytes(entry.bound)));
  const uint64_t rows = uint64_t{colours} * info_.imageSize * (isLlama4() ? 1 : info_.maxTiles);
  if (isGrid) {
    fillGridInput(program.desc().grids[input.grid], input.role == InputRole::GridSin,
                  reinterpret_cast<float *>(data));
  } else if (input.name == "pixels" && hasShape(input, ElementType::F32, info_.imageSize, rows)) {
    pixels_ = data;
  } else if (!isLlama4() && hasShape(input, ElementType::I32, 0, 1) &&
             (input.name == "aspect_ratio_ids" || input.name == "tiles")) {
    (input.name == "tiles" ? tiles_ : ratios_) = reinterpret_cast<int32_t *>(data);
  } else {
    return unusable(entry, "an input " + quoteName(input.name),
                    "pixels, grids and the tiles of images of the size that the facts say");
  }
  return data;
}

Status ImagePool::addEncoder(const Program &program, Device &device) {
  std::optional<uint32_t> index = findEntry(program.desc(), "encode_image");
  if (!index)
    return Status::invalidInput(program.name() +
                                ": found no entry \"encode_image\", expected one as the program "
                                "has facts about images; compile the model again.");
  const Entry &entry = program.desc().entries[*index];
  encoder_.entry = *index;
  encoder_.bound = entry.bound;
  for (const EntryTensor &input : entry.inputs) {
    LLAMA4_ASSIGN_OR_RETURN(std::byte * data, encoderInput(program, entry, input, device));
    encoder_.inputs.push_back(data);
  }
  if (!pixels_ || (!isLlama4() && (!ratios_ || !tiles_)))
    return unusable(entry, "inputs without the pixels or tiles of images", "those");
  if (entry.outputs.size() != 1)
    return unusable(entry, std::to_string(entry.outputs.size()) + " outputs", "one");
  const EntryTensor &output = entry.outputs[0];
  const EntryTensor &features = pools_[0].tensor;
  if (isLlama4() ? !hasShape(output, features.type, features.columns, info_.unitRows())
                 : output.rowsPerSymbol != info_.unitRows() || output.rowsFixed != 0)
    return unusable(entry, output);
  if (!isLlama4()) {
    LLAMA4_ASSIGN_OR_RETURN(features_, allocate(device, output.bytes(entry.bound)));
  }
  encoder_.outputs.push_back(features_);
  return {};
}

/// The entry that makes keys and values of features; its outputs are the pools in their order.
Status ImagePool::addCross(const Program &program, Device &) {
  std::optional<uint32_t> index = findEntry(program.desc(), "cross_kv");
  if (!index)
    return Status::invalidInput(program.name() + ": found no entry \"cross_kv\", expected one.");
  const Entry &entry = program.desc().entries[*index];
  const EntryTensor &features = program.desc().entries[encoder_.entry].outputs[0];
  cross_.entry = *index;
  cross_.bound = entry.bound;
  if (entry.inputs.size() != 1 ||
      !hasShape(entry.inputs[0], features.type, features.columns, features.rowsPerSymbol))
    return unusable(entry, "other inputs", "the features of an image");
  cross_.inputs.push_back(features_);
  if (entry.outputs.size() + 1 != pools_.size())
    return unusable(entry, std::to_string(entry.outputs.size()) + " outputs",
                    std::to_string(pools_.size() - 1));
  for (size_t i = 0; i < entry.outputs.size(); ++i) {
    const EntryTensor &pool = pools_[i + 1].tensor;
    if (!hasShape(entry.outputs[i], pool.type, pool.columns, info_.unitRows()))
      return unusable(entry, entry.outputs[i]);
    cross_.outputs.push_back(nullptr);
  }
  return {};
}

Result<std::unique_ptr<ImagePool>> ImagePool::create(const Program &program, Device &device) {
  std::unique_ptr<ImagePool> pool(new ImagePool(program.desc().images));
  LLAMA4_RETURN_IF_ERROR(pool->addPools(program, device));
  LLAMA4_RETURN_IF_ERROR(pool->addEncoder(program, device));
  if (!pool->isLlama4())
    LLAMA4_RETURN_IF_ERROR(pool->addCross(program, device));
  return pool;
}

Result<void *> ImagePool::stepInput(const EntryTensor &input) const {
  for (const Pool &pool : pools_) {
    if (pool.tensor.name != input.name)
      continue;
    if (pool.tensor.type != input.type || pool.tensor.columns != input.columns ||
        input.rowsPerSymbol != 0 || input.rowsFixed > pool.tensor.rowsFixed)
      return Status::invalidInput("input " + quoteName(input.name) +
                                  ": found another shape in another entry, expected one; compile "
                                  "the model again with this version.");
    return static_cast<void *>(pool.data);
  }
  return static_cast<void *>(nullptr);
}

} // namespace llama4
