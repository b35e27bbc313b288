//===- Safetensors.cpp - reading safetensors files ------------------------===//
//
// The header is read by a SAX handler that knows the one shape it may have, so depth and memory are
// bounded by construction; the rules that need all tensors (order, holes, sizes) are checked after.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/Safetensors.h"

#include "runtime/base/Checked.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>

namespace llama4 {
namespace {

/// A tensor as the header describes it, before any rule that needs the file.
struct Entry {
  SafetensorsTensor tensor;
  uint64_t begin = 0, end = 0; ///< bytes relative to the end of the header
};

std::string nameOf(const Entry &entry) { return "tensor " + quoteName(entry.tensor.name); }

/// Events of the JSON header. Every handler returns false after `fail`, which ends the parse.
class HeaderHandler final : public nlohmann::json_sax<nlohmann::json> {
public:
  std::vector<Entry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
  bool sawMetadata = false;
  Status status;

  bool key(string_t &value) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool string(string_t &value) override;
  bool number_unsigned(number_unsigned_t value) override;
  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t &) override {
    return unexpected("a number that is not an integer below 2^64");
  }
  bool binary(binary_t &) override { return unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string &,
                   const nlohmann::detail::exception &) override {
    return fail("found a header that is not valid JSON near byte " + std::to_string(position) +
                ", expected a safetensors header; fetch the file again.");
  }

private:
  /// Where in the header the next event lies.
  enum class Place { Start, Root, Metadata, Tensor, Shape, Offsets, End };
  enum Field : unsigned { None = 0, DTypeField = 1, ShapeField = 2, OffsetsField = 4 };

  bool fail(std::string message) {
    if (status.ok())
      status = Status::invalidInput(std::move(message));
    return false;
  }
  bool unexpected(const std::string &what);
  bool tensorField(const std::string &name);

  Place place_ = Place::Start;
  bool rootKeyIsMetadata_ = false;
  std::string key_;       ///< the last key of the metadata object
  unsigned field_ = None; ///< the last key of a tensor object
  unsigned seen_ = None;  ///< fields of the current tensor already read
  unsigned offsetCount_ = 0;
};

bool HeaderHandler::unexpected(const std::string &what) {
  std::string where = place_ == Place::Metadata ? "in __metadata__" : "in the header";
  if (!entries.empty() && place_ >= Place::Tensor && place_ < Place::End)
    where = "in " + nameOf(entries.back());
  return fail("found " + what + " " + where +
              ", expected {dtype: text, shape: [sizes], data_offsets: [begin, end]} per tensor and "
              "text in __metadata__; fetch the file again.");
}

bool HeaderHandler::key(string_t &value) {
  if (place_ == Place::Metadata) {
    key_ = value;
    return true;
  }
  if (place_ == Place::Tensor)
    return tensorField(value);
  rootKeyIsMetadata_ = value == "__metadata__";
  if (rootKeyIsMetadata_) {
    if (std::exchange(sawMetadata, true))
      return fail("found __metadata__ twice, expected it once; fetch the file again.");
    return true;
  }
  if (entries.size() == kSafetensorsMaxTensors)
    return fail("found more than " + std::to_string(kSafetensorsMaxTensors) +
                " tensors in one file, expected at most that many; split the file into shards.");
  entries.emplace_back().tensor.name = value;
  return true;
}

bool HeaderHandler::tensorField(const std::string &name) {
  field_ = name == "dtype"          ? DTypeField
           : name == "shape"        ? ShapeField
           : name == "data_offsets" ? OffsetsField
                                    : None;
  if (field_ == None)
    return fail(nameOf(entries.back()) + ": found the field " + quoteName(name) +
                ", expected dtype, shape and data_offsets; fetch the file again.");
  if (seen_ & field_)
    return fail(nameOf(entries.back()) + ": found the field " + quoteName(name) +
                " twice, expected it once; fetch the file again.");
  seen_ |= field_;
  return true;
}

bool HeaderHandler::start_object(std::size_t) {
  if (place_ == Place::Start) {
    place_ = Place::Root;
    return true;
  }
  if (place_ != Place::Root)
    return unexpected("an object");
  place_ = rootKeyIsMetadata_ ? Place::Metadata : Place::Tensor;
  field_ = seen_ = None;
  return true;
}

bool HeaderHandler::end_object() {
  if (place_ == Place::Tensor && seen_ != (DTypeField | ShapeField | OffsetsField))
    return fail(nameOf(entries.back()) +
                ": found a tensor without all of dtype, shape and data_offsets, expected these "
                "three; fetch the file again.");
  place_ = place_ == Place::Root ? Place::End : Place::Root;
  return true;
}

bool HeaderHandler::start_array(std::size_t) {
  if (place_ != Place::Tensor || (field_ != ShapeField && field_ != OffsetsField))
    return unexpected("an array");
  place_ = field_ == ShapeField ? Place::Shape : Place::Offsets;
  offsetCount_ = 0;
  return true;
}

bool HeaderHandler::end_array() {
  if (place_ == Place::Offsets && offsetCount_ != 2)
    return unexpected("fewer than two data_offsets");
  place_ = Place::Tensor;
  return true;
}

bool HeaderHandler::string(string_t &value) {
  if (place_ == Place::Metadata) {
    metadata.emplace_back(key_, value);
    return true;
  }
  if (place_ != Place::Tensor || field_ != DTypeField)
    return unexpected("text");
  std::optional<DType> dtype = dtypeFromSafetensors(value);
  if (!dtype)
    return fail(nameOf(entries.back()) + ": found dtype " + quoteName(value) +
                ", expected one such as F32, F16, BF16, F8_E4M3, I8, I32, I64 or BOOL; convert the "
                "tensor.");
  entries.back().tensor.dtype = *dtype;
  return true;
}

bool HeaderHandler::number_unsigned(number_unsigned_t value) {
  if (place_ == Place::Shape) {
    std::vector<int64_t> &shape = entries.back().tensor.shape;
    if (shape.size() == kSafetensorsMaxRank)
      return unexpected("more than " + std::to_string(kSafetensorsMaxRank) + " dimensions");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return unexpected("an extent above 2^63");
    shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  if (place_ == Place::Offsets) {
    if (offsetCount_ == 2)
      return unexpected("more than two data_offsets");
    (offsetCount_++ == 0 ? entries.back().begin : entries.back().end) = value;
    return true;
  }
  return unexpected("a number");
}

/// The header's text, after the rules about lengths.
Result<std::string_view> headerText(std::span<const std::byte> file) {
  uint64_t length = 0;
  if (file.size() < sizeof(length))
    return Status::invalidInput(
        "found " + std::to_string(file.size()) +
        " bytes, expected a header length of 8 bytes; fetch the file again.");
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > kSafetensorsMaxHeader)
    return Status::invalidInput(
        "found a header of " + std::to_string(length) + " bytes, expected at most " +
        std::to_string(kSafetensorsMaxHeader) + "; this is not a safetensors file.");
  if (length > file.size() - sizeof(length))
    return Status::invalidInput("found a header of " + std::to_string(length) +
                                " bytes in a file of " + std::to_string(file.size()) +
                                ", expected it inside the file; fetch the file again.");
  std::string_view text(reinterpret_cast<const char *>(file.data()) + sizeof(length), length);
  if (text.empty() || text.front() != '{')
    return Status::invalidInput("found a header that doesn't start with '{', expected JSON; this "
                                "is not a safetensors file.");
  // The JSON library takes a NUL byte for the end of its input.
  if (text.find('\0') != std::string_view::npos)
    return Status::invalidInput(
        "found a NUL byte in the header, expected JSON; fetch the file again.");
  return text;
}

/// Sorts the tensors as they lie in the file and checks that they fill `dataBytes` exactly.
Status checkLayout(std::vector<Entry> &entries, uint64_t dataBytes) {
  std::sort(entries.begin(), entries.end(), [](const Entry &a, const Entry &b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry &entry : entries) {
    auto at = [&] {
      return nameOf(entry) + ": found data_offsets [" + std::to_string(entry.begin) + ", " +
             std::to_string(entry.end) + "], expected ";
    };
    if (entry.begin > entry.end || entry.end > dataBytes)
      return Status::invalidInput(at() + "a range inside the " + std::to_string(dataBytes) +
                                  " bytes of data; the file is cut short or damaged.");
    if (entry.begin != position)
      return Status::invalidInput(at() + "them to begin at " + std::to_string(position) +
                                  " with neither overlap nor hole; fetch the file again.");
    std::optional<uint64_t> bytes = tensorBytes(entry.tensor.dtype, entry.tensor.shape);
    if (!bytes || *bytes != entry.end - entry.begin)
      return Status::invalidInput(
          at() + (bytes ? std::to_string(*bytes) + " bytes" : "a size that fits in 64 bits") +
          " for its shape and type " + std::string(dtypeName(entry.tensor.dtype)) +
          "; fetch the file again.");
    position = entry.end;
  }
  if (position != dataBytes)
    return Status::invalidInput(
        "found " + std::to_string(dataBytes - position) +
        " bytes after the last tensor, expected none; fetch the file again.");
  return {};
}

/// Moves the metadata pairs into a map, refusing duplicates.
Status takeMetadata(HeaderHandler &handler, std::map<std::string, std::string> &metadata) {
  for (auto &[key, value] : handler.metadata)
    if (!metadata.emplace(key, std::move(value)).second)
      return Status::invalidInput("found the __metadata__ key " + quoteName(key) +
                                  " twice, expected it once; fetch the file again.");
  return {};
}

} // namespace

Result<SafetensorsContent> parseSafetensors(std::span<const std::byte> file) {
  LLAMA4_ASSIGN_OR_RETURN(std::string_view text, headerText(file));
  HeaderHandler handler;
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &handler) || !handler.status.ok())
    return handler.status.ok() ? Status::internal("the header's parse stopped without a reason.")
                               : handler.status;

  SafetensorsContent content;
  content.headerBytes = sizeof(uint64_t) + text.size();
  LLAMA4_RETURN_IF_ERROR(takeMetadata(handler, content.metadata));
  std::span<const std::byte> data = file.subspan(content.headerBytes);
  LLAMA4_RETURN_IF_ERROR(checkLayout(handler.entries, data.size()));

  content.tensors.reserve(handler.entries.size());
  for (Entry &entry : handler.entries) {
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    content.tensors.push_back(std::move(entry.tensor));
  }
  auto byName = [](const SafetensorsTensor &a, const SafetensorsTensor &b) {
    return a.name < b.name;
  };
  std::sort(content.tensors.begin(), content.tensors.end(), byName);
  auto same = [](const SafetensorsTensor &a, const SafetensorsTensor &b) {
    return a.name == b.name;
  };
  auto twice = std::adjacent_find(content.tensors.begin(), content.tensors.end(), same);
  if (twice != content.tensors.end())
    return Status::invalidInput("tensor " + quoteName(twice->name) +
                                ": found the name twice, expected it once; fetch the file again.");
  return content;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  Result<SafetensorsContent> content = parseSafetensors(file.bytes());
  if (!content.ok())
    return content.status().in(path);
  return SafetensorsFile(std::move(file), content.take());
}

const SafetensorsTensor *SafetensorsFile::find(std::string_view name) const {
  auto it = std::lower_bound(
      content_.tensors.begin(), content_.tensors.end(), name,
      [](const SafetensorsTensor &tensor, std::string_view key) { return tensor.name < key; });
  return it != content_.tensors.end() && it->name == name ? &*it : nullptr;
}

} // namespace llama4
