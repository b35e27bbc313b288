//===- KvPlaces.h - where a KV page has which number -------------*- C++ -*-===//
//
// The layout of KernelAbi.h, written once for the tests.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_KERNELS_KVPLACES_H
#define LLAMA4_TEST_KERNELS_KVPLACES_H

#include <cstdint>

namespace llama4 {

/// Places in a page of `heads` KV heads of dimension `dim`, in elements; `narrow`: bfloat16, of
/// which pairs lie together.
struct KvPlaces {
  int64_t heads, dim;
  bool narrow;

  int64_t key(int64_t head, int64_t slot, int64_t d) const {
    const int64_t pair = narrow ? 2 : 1;
    return (head * dim + d / pair * pair) * 16 + slot * pair + d % pair;
  }
  int64_t value(int64_t head, int64_t slot, int64_t d) const {
    const int64_t padded = (dim + 15) / 16 * 16, pair = narrow ? 2 : 1;
    return heads * dim * 16 + (head * 16 + slot / pair * pair) * padded + d * pair + slot % pair;
  }
};

} // namespace llama4

#endif // LLAMA4_TEST_KERNELS_KVPLACES_H
