//===- GgufValue.cpp - decoding GGUF metadata values ----------------------===//
//
// The parser has checked that the payload holds what type and count say; here it is only decoded.
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Gguf.h"

#include <cstring>
#include <limits>

namespace llama4 {
namespace {

template <typename T> T load(const std::byte *data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

/// Calls `visit` with one stored number; false for types that are not numbers.
template <typename Visit> bool visitNumber(GgufType type, const std::byte *data, Visit visit) {
  switch (type) {
  case GgufType::U8:
    return visit(load<uint8_t>(data));
  case GgufType::I8:
    return visit(load<int8_t>(data));
  case GgufType::U16:
    return visit(load<uint16_t>(data));
  case GgufType::I16:
    return visit(load<int16_t>(data));
  case GgufType::U32:
    return visit(load<uint32_t>(data));
  case GgufType::I32:
    return visit(load<int32_t>(data));
  case GgufType::U64:
    return visit(load<uint64_t>(data));
  case GgufType::I64:
    return visit(load<int64_t>(data));
  case GgufType::F32:
    return visit(load<float>(data));
  case GgufType::F64:
    return visit(load<double>(data));
  default:
    return false;
  }
}

/// Stores a number in `out` if it is an integer type and fits.
struct ToInteger {
  int64_t &out;
  template <typename T> bool operator()(T value) const {
    if constexpr (std::is_floating_point_v<T>) {
      return false;
    } else {
      if (std::is_same_v<T, uint64_t> &&
          static_cast<uint64_t>(value) > uint64_t{std::numeric_limits<int64_t>::max()})
        return false;
      out = static_cast<int64_t>(value);
      return true;
    }
  }
};

struct ToDouble {
  double &out;
  template <typename T> bool operator()(T value) const {
    out = static_cast<double>(value);
    return true;
  }
};

/// All elements of a numeric array, each converted by `Visitor`.
template <typename Visitor, typename T>
std::optional<std::vector<T>> decodeAll(GgufType type, uint64_t count,
                                        std::span<const std::byte> bytes) {
  std::vector<T> values(count);
  const size_t stride = count ? bytes.size() / count : 0;
  for (size_t i = 0; i < count; ++i)
    if (!visitNumber(type, bytes.data() + i * stride, Visitor{values[i]}))
      return std::nullopt;
  return values;
}

} // namespace

std::string_view ggufTypeName(GgufType type) {
  constexpr std::string_view kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                         "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<size_t>(type)];
}

std::optional<int64_t> GgufValue::integer() const {
  int64_t value = 0;
  return visitNumber(type_, bytes_.data(), ToInteger{value}) ? std::optional(value) : std::nullopt;
}

std::optional<double> GgufValue::number() const {
  double value = 0;
  return visitNumber(type_, bytes_.data(), ToDouble{value}) ? std::optional(value) : std::nullopt;
}

std::optional<bool> GgufValue::boolean() const {
  return type_ == GgufType::Bool ? std::optional(bytes_[0] != std::byte{0}) : std::nullopt;
}

std::optional<std::string_view> GgufValue::string() const {
  if (type_ != GgufType::String)
    return std::nullopt;
  return std::string_view(reinterpret_cast<const char *>(bytes_.data()), bytes_.size());
}

std::optional<std::vector<int64_t>> GgufValue::integers() const {
  if (!isArray())
    return std::nullopt;
  return decodeAll<ToInteger, int64_t>(elementType_, count_, bytes_);
}

std::optional<std::vector<double>> GgufValue::numbers() const {
  if (!isArray())
    return std::nullopt;
  return decodeAll<ToDouble, double>(elementType_, count_, bytes_);
}

std::optional<std::vector<std::string_view>> GgufValue::strings() const {
  if (!isArray() || elementType_ != GgufType::String)
    return std::nullopt;
  std::vector<std::string_view> values;
  values.reserve(count_);
  const std::byte *data = bytes_.data();
  for (uint64_t i = 0; i < count_; ++i) {
    const auto length = load<uint64_t>(data);
    values.emplace_back(reinterpret_cast<const char *>(data + sizeof(length)), length);
    data += sizeof(length) + length;
  }
  return values;
}

} // namespace llama4
