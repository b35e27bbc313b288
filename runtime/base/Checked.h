//===- Checked.h - arithmetic on sizes that came from outside ---*- C++ -*-===//
//
// Every size, count and offset read from a file is combined through these helpers only: an
// overflow is an empty optional, never a wrapped number.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_BASE_CHECKED_H
#define LLAMA4_RUNTIME_BASE_CHECKED_H

#include <cstdint>
#include <optional>

namespace llama4 {

inline std::optional<uint64_t> checkedAdd(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional<uint64_t>(sum);
}

inline std::optional<uint64_t> checkedMul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional<uint64_t>(product);
}

/// The product of all extents in [begin, end), or nothing on overflow.
template <typename It> std::optional<uint64_t> checkedProduct(It begin, It end) {
  std::optional<uint64_t> product = 1;
  for (It it = begin; it != end && product; ++it)
    product = checkedMul(*product, static_cast<uint64_t>(*it));
  return product;
}

/// `value` rounded up to a multiple of `alignment` (a power of two), or nothing on overflow.
inline std::optional<uint64_t> checkedAlign(uint64_t value, uint64_t alignment) {
  std::optional<uint64_t> sum = checkedAdd(value, alignment - 1);
  return sum ? std::optional<uint64_t>(*sum & ~(alignment - 1)) : std::nullopt;
}

/// True when [offset, offset + length) lies inside [0, size).
inline bool rangeInside(uint64_t offset, uint64_t length, uint64_t size) {
  return length <= size && offset <= size - length;
}

inline uint64_t ceilDiv(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }

} // namespace llama4

#endif // LLAMA4_RUNTIME_BASE_CHECKED_H
