//===- Gguf.cpp - reading GGUF files --------------------------------------===//
//
// Layout: "GGUF" | u32 version | u64 tensors | u64 metadata | metadata | tensor infos | padding to
// the alignment | data. Everything is little-endian.
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Gguf.h"

#include "runtime/base/Checked.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <numeric>

namespace llama4 {

/// Longest metadata key, longest tensor name and most dimensions, as the format says.
static constexpr uint64_t kMaxKey = 65535, kMaxTensorName = 64, kMaxDimensions = 4;
/// Most entries of each kind. The real ones have some tens of keys and at most some thousand
/// tensors.
static constexpr uint64_t kMaxKeys = 65536, kMaxTensors = 1'000'000;
/// Smallest encodings: key length, key, value type, value; name length, dimensions, extent, type,
/// offset.
static constexpr uint64_t kMinKeyBytes = 8 + 1 + 4 + 1, kMinTensorBytes = 8 + 1 + 4 + 4 + 8;
static constexpr uint64_t kMaxAlignment = 1 << 20;

/// Bytes of a scalar of `type`; 0 for strings and arrays, which have none of their own.
static uint64_t scalarBytes(GgufType type) {
  switch (type) {
  case GgufType::U8:
  case GgufType::I8:
  case GgufType::Bool:
    return 1;
  case GgufType::U16:
  case GgufType::I16:
    return 2;
  case GgufType::U32:
  case GgufType::I32:
  case GgufType::F32:
    return 4;
  case GgufType::U64:
  case GgufType::I64:
  case GgufType::F64:
    return 8;
  case GgufType::String:
  case GgufType::Array:
    return 0;
  }
  return 0;
}

static Status refuse(std::string sentence) { return Status::invalidInput(std::move(sentence)); }

/// Reads the header front to back. `where_` names the key or tensor being read, for errors.
class GgufParser {
public:
  explicit GgufParser(std::span<const std::byte> file) : file_(file) {}
  Result<Gguf> run();

private:
  /// What a tensor info says, before the place of the data section is known.
  struct Info {
    SourceTensor tensor;
    uint64_t offset = 0;
  };

  uint64_t remaining() const { return file_.size() - position_; }
  Status cut(const std::string &what) const;
  template <typename T> Status read(T &value, const char *what);
  Status readBytes(uint64_t length, std::span<const std::byte> &bytes, const char *what);
  Status readString(std::string_view &text, uint64_t limit, const char *what);
  Status readType(GgufType &type);
  Status readHeader(uint64_t &tensors, uint64_t &keys);
  Status readEntry(Gguf &gguf);
  Status readScalar(GgufType type, std::optional<GgufValue> &value);
  Status readArray(std::optional<GgufValue> &value);
  Status readMetadata(uint64_t count, Gguf &gguf);
  Status readAlignment(Gguf &gguf);
  Status readInfo(Info &tensor);
  Status readShape(SourceTensor &tensor);
  Status place(std::vector<Info> &infos, Gguf &gguf);

  std::span<const std::byte> file_;
  uint64_t position_ = 0;
  std::string where_ = "header";
};

Status GgufParser::cut(const std::string &what) const {
  return refuse(where_ + ": found the end of the file inside " + what +
                ", expected a complete file; fetch the file again.");
}

Status GgufParser::readBytes(uint64_t length, std::span<const std::byte> &bytes, const char *what) {
  if (length > remaining())
    return cut(what);
  bytes = file_.subspan(position_, length);
  position_ += length;
  return {};
}

template <typename T> Status GgufParser::read(T &value, const char *what) {
  std::span<const std::byte> bytes;
  LLAMA4_RETURN_IF_ERROR(readBytes(sizeof(T), bytes, what));
  std::memcpy(&value, bytes.data(), sizeof(T));
  return {};
}

Status GgufParser::readString(std::string_view &text, uint64_t limit, const char *what) {
  uint64_t length = 0;
  LLAMA4_RETURN_IF_ERROR(read(length, what));
  if (length > limit)
    return refuse(where_ + ": found " + what + " of " + std::to_string(length) +
                  " bytes, expected at most " + std::to_string(limit) + "; fetch the file again.");
  std::span<const std::byte> bytes;
  LLAMA4_RETURN_IF_ERROR(readBytes(length, bytes, what));
  text = {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
  return {};
}

Status GgufParser::readType(GgufType &type) {
  uint32_t id = 0;
  LLAMA4_RETURN_IF_ERROR(read(id, "a value type"));
  if (id > static_cast<uint32_t>(GgufType::F64))
    return refuse(where_ + ": found value type " + std::to_string(id) +
                  ", expected 0 to 12; fetch the file again.");
  type = static_cast<GgufType>(id);
  return {};
}

Status GgufParser::readHeader(uint64_t &tensors, uint64_t &keys) {
  char magic[4] = {};
  uint32_t version = 0;
  LLAMA4_RETURN_IF_ERROR(read(magic, "the magic"));
  if (std::memcmp(magic, "GGUF", 4) != 0)
    return refuse("header: found magic " + quoteName({magic, 4}) +
                  ", expected \"GGUF\"; this is not a GGUF file.");
  LLAMA4_RETURN_IF_ERROR(read(version, "the version"));
  if (version >= 0x01000000)
    return refuse("header: found a big-endian GGUF file, expected little-endian; convert it with "
                  "gguf-py's gguf_convert_endian.");
  if (version != 2 && version != 3)
    return refuse("header: found GGUF version " + std::to_string(version) +
                  ", expected 2 or 3; convert the checkpoint again.");
  LLAMA4_RETURN_IF_ERROR(read(tensors, "the tensor count"));
  LLAMA4_RETURN_IF_ERROR(read(keys, "the metadata count"));
  if (keys > kMaxKeys || keys > remaining() / kMinKeyBytes)
    return refuse("header: found a metadata count of " + std::to_string(keys) +
                  ", expected no more than the file can hold; fetch the file again.");
  if (tensors > kMaxTensors || tensors > remaining() / kMinTensorBytes)
    return refuse("header: found a tensor count of " + std::to_string(tensors) +
                  ", expected no more than the file can hold; fetch the file again.");
  return {};
}

Status GgufParser::readScalar(GgufType type, std::optional<GgufValue> &value) {
  std::span<const std::byte> bytes;
  if (type == GgufType::String) {
    std::string_view text;
    LLAMA4_RETURN_IF_ERROR(readString(text, file_.size(), "a string"));
    bytes = std::as_bytes(std::span(text.data(), text.size()));
  } else {
    LLAMA4_RETURN_IF_ERROR(readBytes(scalarBytes(type), bytes, "a value"));
  }
  if (type == GgufType::Bool && bytes[0] > std::byte{1})
    return refuse(where_ + ": found a boolean of " +
                  std::to_string(std::to_integer<int>(bytes[0])) +
                  ", expected 0 or 1; fetch the file again.");
  value.emplace(type, type, 1, bytes);
  return {};
}

Status GgufParser::readArray(std::optional<GgufValue> &value) {
  GgufType type = GgufType::U8;
  uint64_t count = 0;
  LLAMA4_RETURN_IF_ERROR(readType(type));
  LLAMA4_RETURN_IF_ERROR(read(count, "an array's count"));
  if (type == GgufType::Array)
    return refuse(where_ + ": found an array of arrays, expected an array of plain values; remove "
                           "the key.");
  const uint64_t least = type == GgufType::String ? sizeof(uint64_t) : scalarBytes(type);
  if (count > remaining() / least)
    return refuse(where_ + ": found an array of " + std::to_string(count) +
                  " elements, expected no more than the file can hold; fetch the file again.");
  const uint64_t start = position_;
  if (type != GgufType::String) {
    position_ += count * least;
  } else {
    std::string_view text;
    for (uint64_t i = 0; i < count; ++i)
      LLAMA4_RETURN_IF_ERROR(readString(text, file_.size(), "a string of an array"));
  }
  value.emplace(GgufType::Array, type, count, file_.subspan(start, position_ - start));
  return {};
}

Status GgufParser::readEntry(Gguf &gguf) {
  where_ = "metadata key number " + std::to_string(gguf.metadata_.size());
  std::string_view key;
  LLAMA4_RETURN_IF_ERROR(readString(key, kMaxKey, "a key"));
  if (key.empty())
    return refuse(where_ + ": found an empty key, expected a name; fetch the file again.");
  where_ = "metadata key " + quoteName(key);
  GgufType type = GgufType::U8;
  LLAMA4_RETURN_IF_ERROR(readType(type));
  std::optional<GgufValue> value;
  LLAMA4_RETURN_IF_ERROR(type == GgufType::Array ? readArray(value) : readScalar(type, value));
  gguf.metadata_.emplace_back(key, *value);
  return {};
}

Status GgufParser::readMetadata(uint64_t count, Gguf &gguf) {
  gguf.metadata_.reserve(count);
  for (uint64_t i = 0; i < count; ++i)
    LLAMA4_RETURN_IF_ERROR(readEntry(gguf));
  gguf.byKey_.resize(count);
  std::iota(gguf.byKey_.begin(), gguf.byKey_.end(), 0u);
  auto key = [&](uint32_t index) { return gguf.metadata_[index].first; };
  std::sort(gguf.byKey_.begin(), gguf.byKey_.end(),
            [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  auto twice = std::adjacent_find(gguf.byKey_.begin(), gguf.byKey_.end(),
                                  [&](uint32_t a, uint32_t b) { return key(a) == key(b); });
  if (twice != gguf.byKey_.end())
    return refuse("metadata key " + quoteName(key(*twice)) +
                  ": found it twice, expected it once; fetch the file again.");
  return {};
}

Status GgufParser::readAlignment(Gguf &gguf) {
  const GgufValue *value = gguf.find("general.alignment");
  if (!value)
    return {};
  const std::optional<int64_t> found = value->integer();
  if (value->type() != GgufType::U32 || !found || *found < 8 ||
      *found > static_cast<int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<uint64_t>(*found)))
    return refuse("metadata key \"general.alignment\": found " +
                  (found ? std::to_string(*found) : std::string("another type")) +
                  ", expected a u32 power of two from 8 to " + std::to_string(kMaxAlignment) +
                  "; fetch the file again.");
  gguf.alignment_ = static_cast<uint64_t>(*found);
  return {};
}

Status GgufParser::readShape(SourceTensor &tensor) {
  uint32_t dimensions = 0;
  LLAMA4_RETURN_IF_ERROR(read(dimensions, "the number of dimensions"));
  if (dimensions > kMaxDimensions)
    return refuse(where_ + ": found " + std::to_string(dimensions) +
                  " dimensions, expected at most 4; fetch the file again.");
  tensor.shape.resize(dimensions);
  // The file lists the innermost dimension first.
  for (uint32_t i = 0; i < dimensions; ++i) {
    uint64_t extent = 0;
    LLAMA4_RETURN_IF_ERROR(read(extent, "the shape"));
    if (extent == 0 || extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return refuse(where_ + ": found an extent of " + std::to_string(extent) +
                    ", expected 1 to 2^63 - 1; fetch the file again.");
    tensor.shape[dimensions - 1 - i] = static_cast<int64_t>(extent);
  }
  return {};
}

Status GgufParser::readInfo(Info &tensor) {
  std::string_view name;
  LLAMA4_RETURN_IF_ERROR(readString(name, kMaxTensorName, "a tensor name"));
  tensor.tensor.name = name;
  where_ = "tensor " + quoteName(name);
  if (name.empty())
    return refuse(where_ + ": found an empty name, expected one; fetch the file again.");
  LLAMA4_RETURN_IF_ERROR(readShape(tensor.tensor));
  uint32_t type = 0;
  LLAMA4_RETURN_IF_ERROR(read(type, "the tensor type"));
  std::optional<DType> dtype = dtypeFromGgml(type);
  if (!dtype)
    return refuse(
        where_ + ": found ggml type " + std::to_string(type) +
        ", expected F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K or a plain "
        "number type; requantize the checkpoint to one of these.");
  tensor.tensor.dtype = *dtype;
  return read(tensor.offset, "the tensor offset");
}

/// Gives every tensor its bytes: aligned, inside the file, none overlapping another.
Status GgufParser::place(std::vector<Info> &infos, Gguf &gguf) {
  std::optional<uint64_t> start = checkedAlign(position_, gguf.alignment_);
  // A file without tensors may end right after its header.
  gguf.dataOffset_ = std::min<uint64_t>(start.value_or(file_.size()), file_.size());
  std::span<const std::byte> data = file_.subspan(gguf.dataOffset_);
  std::sort(infos.begin(), infos.end(),
            [](const Info &a, const Info &b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (Info &entry : infos) {
    SourceTensor &tensor = entry.tensor;
    const std::string at = "tensor " + quoteName(tensor.name) + ": found ";
    std::optional<uint64_t> bytes = tensorBytes(tensor.dtype, tensor.shape);
    if (!bytes)
      return refuse(
          at + "shape " + shapeText(tensor.shape) + " of type " +
          std::string(dtypeName(tensor.dtype)) +
          ", expected whole blocks in a row and a size below 2^64; fetch the file again.");
    if (entry.offset % gguf.alignment_ != 0)
      return refuse(at + "offset " + std::to_string(entry.offset) + ", expected a multiple of " +
                    std::to_string(gguf.alignment_) + "; fetch the file again.");
    if (!rangeInside(entry.offset, *bytes, data.size()))
      return refuse(at + std::to_string(*bytes) + " bytes at offset " +
                    std::to_string(entry.offset) + ", expected them inside the " +
                    std::to_string(data.size()) + " bytes of data; the file is cut short.");
    if (entry.offset < end)
      return refuse(at + "offset " + std::to_string(entry.offset) +
                    " inside another tensor, expected at least " + std::to_string(end) +
                    "; fetch the file again.");
    end = entry.offset + *bytes;
    tensor.bytes = data.subspan(entry.offset, *bytes);
    gguf.tensors_.push_back(std::move(tensor));
  }
  return {};
}

Result<Gguf> GgufParser::run() {
  Gguf gguf;
  uint64_t tensorCount = 0, keyCount = 0;
  LLAMA4_RETURN_IF_ERROR(readHeader(tensorCount, keyCount));
  std::memcpy(&gguf.version_, file_.data() + 4, sizeof(gguf.version_));
  LLAMA4_RETURN_IF_ERROR(readMetadata(keyCount, gguf));
  LLAMA4_RETURN_IF_ERROR(readAlignment(gguf));
  std::vector<Info> infos(tensorCount);
  for (size_t i = 0; i < infos.size(); ++i) {
    where_ = "tensor number " + std::to_string(i);
    LLAMA4_RETURN_IF_ERROR(readInfo(infos[i]));
  }
  LLAMA4_RETURN_IF_ERROR(place(infos, gguf));
  auto byName = [](const SourceTensor &a, const SourceTensor &b) { return a.name < b.name; };
  std::sort(gguf.tensors_.begin(), gguf.tensors_.end(), byName);
  auto sameName = [](const SourceTensor &a, const SourceTensor &b) { return a.name == b.name; };
  auto twice = std::adjacent_find(gguf.tensors_.begin(), gguf.tensors_.end(), sameName);
  if (twice != gguf.tensors_.end())
    return refuse("tensor " + quoteName(twice->name) +
                  ": found the name twice, expected it once; fetch the file again.");
  return gguf;
}

Result<Gguf> Gguf::parse(std::span<const std::byte> file) { return GgufParser(file).run(); }

const GgufValue *Gguf::find(std::string_view key) const {
  auto it = std::lower_bound(
      byKey_.begin(), byKey_.end(), key,
      [&](uint32_t index, std::string_view wanted) { return metadata_[index].first < wanted; });
  return it != byKey_.end() && metadata_[*it].first == key ? &metadata_[*it].second : nullptr;
}

const SourceTensor *Gguf::findTensor(std::string_view name) const {
  auto it = std::lower_bound(
      tensors_.begin(), tensors_.end(), name,
      [](const SourceTensor &tensor, std::string_view wanted) { return tensor.name < wanted; });
  return it != tensors_.end() && it->name == name ? &*it : nullptr;
}

std::string shapeText(std::span<const int64_t> shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i)
    text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

} // namespace llama4
