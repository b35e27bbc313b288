//===- DType.h - element and block types of stored tensors ------*- C++ -*-===//
//
// One table for every type a tensor file may hold: plain numbers (a block of one element) and the
// GGUF block types (a block of 32 or 256 elements along the innermost dimension), and int4_g128,
// which only the packer makes (a block of 128). Sizes are derived from this table only. What the
// bytes of a block mean is not said here.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_DTYPE_H
#define LLAMA4_RUNTIME_FORMAT_DTYPE_H

#include "runtime/base/Checked.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace llama4 {

enum class DType : uint8_t {
  F32,
  F16,
  BF16,
  F64,
  F8E4M3, ///< the "fn" form: no infinities, 0x7f and 0xff are NaN
  F8E5M2,
  Bool, ///< one byte
  I8,
  U8,
  I16,
  U16,
  I32,
  U32,
  I64,
  U64,
  Q4_0,
  Q4_1,
  Q5_0,
  Q5_1,
  Q8_0,
  Q2_K,
  Q3_K,
  Q4_K,
  Q5_K,
  Q6_K,
  Int4_G128, ///< in no file: what weights are packed from
};

/// One row of the table.
struct DTypeInfo {
  DType dtype;
  std::string_view name;        ///< how people write it: "bf16", "q4_k"
  std::string_view safetensors; ///< its name in safetensors headers, empty where it has none
  int ggmlId;                   ///< its number in GGUF files, -1 where it has none
  uint32_t blockElements;       ///< elements of a block, 1 for plain numbers
  uint32_t blockBytes;          ///< bytes of a block
};

inline constexpr std::array<DTypeInfo, 26> kDTypes = {{
    {DType::F32, "f32", "F32", 0, 1, 4},
    {DType::F16, "f16", "F16", 1, 1, 2},
    {DType::BF16, "bf16", "BF16", 30, 1, 2},
    {DType::F64, "f64", "F64", 28, 1, 8},
    {DType::F8E4M3, "f8_e4m3", "F8_E4M3", -1, 1, 1},
    {DType::F8E5M2, "f8_e5m2", "F8_E5M2", -1, 1, 1},
    {DType::Bool, "bool", "BOOL", -1, 1, 1},
    {DType::I8, "i8", "I8", 24, 1, 1},
    {DType::U8, "u8", "U8", -1, 1, 1},
    {DType::I16, "i16", "I16", 25, 1, 2},
    {DType::U16, "u16", "U16", -1, 1, 2},
    {DType::I32, "i32", "I32", 26, 1, 4},
    {DType::U32, "u32", "U32", -1, 1, 4},
    {DType::I64, "i64", "I64", 27, 1, 8},
    {DType::U64, "u64", "U64", -1, 1, 8},
    {DType::Q4_0, "q4_0", "", 2, 32, 18},
    {DType::Q4_1, "q4_1", "", 3, 32, 20},
    {DType::Q5_0, "q5_0", "", 6, 32, 22},
    {DType::Q5_1, "q5_1", "", 7, 32, 24},
    {DType::Q8_0, "q8_0", "", 8, 32, 34},
    {DType::Q2_K, "q2_k", "", 10, 256, 84},
    {DType::Q3_K, "q3_k", "", 11, 256, 110},
    {DType::Q4_K, "q4_k", "", 12, 256, 144},
    {DType::Q5_K, "q5_k", "", 13, 256, 176},
    {DType::Q6_K, "q6_k", "", 14, 256, 210},
    {DType::Int4_G128, "int4_g128", "", -1, 128, 67},
}};

static_assert(
    [] {
      for (size_t i = 0; i < kDTypes.size(); ++i)
        if (kDTypes[i].dtype != static_cast<DType>(i))
          return false;
      return true;
    }(),
    "the table is indexed by the enum");

constexpr const DTypeInfo &dtypeInfo(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }
constexpr std::string_view dtypeName(DType dtype) { return dtypeInfo(dtype).name; }

/// True for the block types, whose elements can't be addressed one by one.
constexpr bool isBlockType(DType dtype) { return dtypeInfo(dtype).blockElements > 1; }

/// The type that people call `name` ("bf16").
constexpr std::optional<DType> dtypeFromName(std::string_view name) {
  for (const DTypeInfo &row : kDTypes)
    if (row.name == name)
      return row.dtype;
  return std::nullopt;
}

/// The type that safetensors headers call `name` ("BF16").
constexpr std::optional<DType> dtypeFromSafetensors(std::string_view name) {
  for (const DTypeInfo &row : kDTypes)
    if (!name.empty() && row.safetensors == name)
      return row.dtype;
  return std::nullopt;
}

/// The type with number `id` in GGUF files.
constexpr std::optional<DType> dtypeFromGgml(uint32_t id) {
  for (const DTypeInfo &row : kDTypes)
    if (row.ggmlId >= 0 && static_cast<uint32_t>(row.ggmlId) == id)
      return row.dtype;
  return std::nullopt;
}

/// Bytes of a row of `elements` elements; nothing where a block would be cut or on overflow.
constexpr std::optional<uint64_t> rowBytes(DType dtype, uint64_t elements) {
  const DTypeInfo &row = dtypeInfo(dtype);
  if (elements % row.blockElements != 0)
    return std::nullopt;
  return checkedMul(elements / row.blockElements, row.blockBytes);
}

/// Bytes of a dense row-major tensor (outermost dimension first; an empty shape is a scalar).
/// Nothing on overflow, on a negative extent, or where the innermost dimension cuts a block.
inline std::optional<uint64_t> tensorBytes(DType dtype, std::span<const int64_t> shape) {
  for (int64_t extent : shape)
    if (extent < 0)
      return std::nullopt;
  uint64_t inner = shape.empty() ? 1 : static_cast<uint64_t>(shape.back());
  std::optional<uint64_t> bytes = rowBytes(dtype, inner);
  for (size_t i = 0; bytes && i + 1 < shape.size(); ++i)
    bytes = checkedMul(*bytes, static_cast<uint64_t>(shape[i]));
  return bytes;
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_DTYPE_H
