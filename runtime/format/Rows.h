//===- Rows.h - element types and the size of one row ------------*- C++ -*-===//
//
// How a tensor of activations lies in memory, for the compiler that plans it, the loader that
// checks it and the engine that fills it: rows one after another, each padded to L4_ROW_ALIGN
// bytes. A tensor with 0 columns is a plain vector, one element per row, not padded.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_ROWS_H
#define LLAMA4_RUNTIME_FORMAT_ROWS_H

#include "runtime/format/KernelAbi.h"

#include <cstdint>
#include <string_view>

namespace llama4 {

/// What a row is made of. The numbers are stored in files: append only.
enum class ElementType : uint8_t {
  F32 = 0,
  BF16 = 1,
  Q8_32 = 2, ///< int8 blocks of 32 columns with scales and sums, see KernelAbi.h
  I32 = 3,
  I64 = 4,
  Q8_128 = 5, ///< int8 blocks of 128 columns with scales and sums, see KernelAbi.h
};
inline constexpr uint32_t elementTypeCount = 6;

constexpr std::string_view elementTypeName(ElementType type) {
  constexpr std::string_view names[] = {"f32", "bf16", "q8_32", "i32", "i64", "q8_128"};
  return static_cast<uint32_t>(type) < elementTypeCount ? names[static_cast<uint32_t>(type)]
                                                        : std::string_view("unknown");
}

/// Bytes of one element; 0 for q8_32 and q8_128, whose elements exist only in rows.
constexpr uint64_t elementBytes(ElementType type) {
  switch (type) {
  case ElementType::F32:
  case ElementType::I32:
    return 4;
  case ElementType::BF16:
    return 2;
  case ElementType::I64:
    return 8;
  case ElementType::Q8_32:
  case ElementType::Q8_128:
    return 0;
  }
  return 0;
}

/// True for rows of int8 in blocks of columns that share a scale.
constexpr bool isQuantizedRow(ElementType type) {
  return type == ElementType::Q8_32 || type == ElementType::Q8_128;
}

/// `bytes` rounded up to a whole number of row alignments.
constexpr uint64_t alignRow(uint64_t bytes) {
  return (bytes + L4_ROW_ALIGN - 1) / L4_ROW_ALIGN * L4_ROW_ALIGN;
}

/// Bytes from one row of `columns` elements to the next, padding included. With 0 columns, the
/// bytes of one element of a vector.
constexpr uint64_t rowBytes(ElementType type, uint32_t columns) {
  if (columns == 0)
    return elementBytes(type);
  if (!isQuantizedRow(type))
    return alignRow(columns * elementBytes(type));
  if (type == ElementType::Q8_128)
    return alignRow((uint64_t{columns} + L4_Q8_WIDE_BLOCK - 1) / L4_Q8_WIDE_BLOCK *
                    (L4_Q8_WIDE_BLOCK + sizeof(l4_q8_wide_block)));
  uint64_t blocks = (uint64_t{columns} + L4_Q8_BLOCK - 1) / L4_Q8_BLOCK;
  return alignRow(blocks * (L4_Q8_BLOCK + sizeof(l4_q8_block)));
}

/// Bytes of one KV page of one layer:
///   K [heads][headDim][16 tokens], then V [heads][16 tokens][headDim padded to 16],
/// padded to the row alignment so that every page of a pool is aligned.
constexpr uint64_t kvPageBytes(ElementType type, uint32_t heads, uint32_t headDim) {
  uint64_t padded = (uint64_t{headDim} + 15) / 16 * 16;
  return alignRow(heads * (headDim + padded) * L4_PAGE_TOKENS * elementBytes(type));
}

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_ROWS_H
