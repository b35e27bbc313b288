//===- Gguf.h - reading GGUF files ------------------------------*- C++ -*-===//
//
// Versions 2 and 3, little-endian, one part. The file is treated as hostile: counts are compared
// with the bytes that could hold them before anything is allocated, every string and array must lie
// inside the file, and nothing is decoded before someone asks: a value is a view of its bytes, so a
// vocabulary of 400 000 strings costs one walk over the lengths.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_GGUF_H
#define LLAMA4_COMPILER_CHECKPOINT_GGUF_H

#include "compiler/checkpoint/SourceTensor.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace llama4 {

/// Types of metadata values, with their numbers in the file.
enum class GgufType : uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

/// "u32", "string", ...
std::string_view ggufTypeName(GgufType type);

/// A metadata value: a checked view into the file. The accessors return nothing when the value is
/// of another kind or doesn't fit; they never convert between numbers, text and booleans.
class GgufValue {
public:
  GgufValue(GgufType type, GgufType elementType, uint64_t count, std::span<const std::byte> bytes)
      : type_(type), elementType_(elementType), count_(count), bytes_(bytes) {}

  GgufType type() const { return type_; }
  bool isArray() const { return type_ == GgufType::Array; }
  /// Type of the elements of an array; the value's own type otherwise.
  GgufType elementType() const { return elementType_; }
  /// Elements of an array; 1 otherwise.
  uint64_t count() const { return count_; }

  /// A scalar of an integer type that fits in int64.
  std::optional<int64_t> integer() const;
  /// A scalar of a float type (finite or not) or an integer type.
  std::optional<double> number() const;
  std::optional<bool> boolean() const;
  std::optional<std::string_view> string() const;
  /// All elements of an array of integers, numbers or strings; the strings point into the file.
  std::optional<std::vector<int64_t>> integers() const;
  std::optional<std::vector<double>> numbers() const;
  std::optional<std::vector<std::string_view>> strings() const;

private:
  GgufType type_, elementType_;
  uint64_t count_;
  std::span<const std::byte> bytes_; ///< text of a string, else the stored payload
};

/// The parsed header of a GGUF file; views into the bytes that were parsed.
class Gguf {
public:
  using Entry = std::pair<std::string_view, GgufValue>;

  /// Parses the bytes of a whole file. Errors: InvalidInput, naming key or tensor and the rule; the
  /// caller adds the file's name.
  static Result<Gguf> parse(std::span<const std::byte> file);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  /// Where the data section starts: the bytes before it are the header.
  uint64_t dataOffset() const { return dataOffset_; }
  /// All metadata, in the order of the file.
  const std::vector<Entry> &metadata() const { return metadata_; }
  /// The value of `key`, or null.
  const GgufValue *find(std::string_view key) const;
  /// All tensors, sorted by name.
  const std::vector<SourceTensor> &tensors() const { return tensors_; }
  const SourceTensor *findTensor(std::string_view name) const;

private:
  friend class GgufParser;
  Gguf() = default;

  uint32_t version_ = 0;
  uint64_t alignment_ = 32, dataOffset_ = 0;
  std::vector<Entry> metadata_;
  std::vector<uint32_t> byKey_; ///< indices into metadata_, sorted by key
  std::vector<SourceTensor> tensors_;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_GGUF_H
