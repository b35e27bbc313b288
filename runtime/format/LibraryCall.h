//===- LibraryCall.h - a kernel that a library computes ----------*- C++ -*-===//
//
// A kernel with a `library` has no code in the file: its signature says all that the library must
// know. It is a linear over units without epilogue: one tensor [T, M, K] that it reads, S weights
// [N_i, K] in panels, S tensors f32[T, M, N_i] that it writes; M = rowsPerSymbol is the same in
// all.
//
// A call of the library multiplies at most `libraryCallRows` rows of one unit with one weight, and
// is a tile of the dispatch: what it multiplies depends neither on T nor on threads.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_RUNTIME_FORMAT_LIBRARYCALL_H
#define LLAMA4_RUNTIME_FORMAT_LIBRARYCALL_H

#include "runtime/format/Rows.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace llama4 {

/// The libraries a kernel may name: oneDNN 2.
inline constexpr std::string_view oneDnnLibrary = "onednn";

/// Most rows of one call.
inline constexpr uint32_t libraryCallRows = 256;

/// Calls that multiply the `rows` rows of a unit with one weight.
constexpr uint64_t libraryCalls(uint64_t rows) {
  return (rows + libraryCallRows - 1) / libraryCallRows;
}

/// What rows and columns of a weight must be multiples of, so that its panels are blocks of the
/// library without padding: N and K.
inline constexpr uint32_t libraryRowMultiple = 16;
constexpr uint32_t libraryColumnMultiple(ElementType type) {
  return type == ElementType::BF16 ? 32 : 16;
}

/// What the signature of such a kernel says.
struct LibraryLinear {
  struct Segment {
    uint64_t columns = 0;  ///< N
    uint64_t rowBytes = 0; ///< of the tensor that is written
  };
  ElementType type = ElementType::F32; ///< of the rows and weights: F32 or BF16
  uint64_t rows = 0;                   ///< M
  uint64_t columns = 0;                ///< K
  uint64_t rowBytes = 0;               ///< of the tensor that is read
  std::vector<Segment> segments;       ///< one for each weight

  /// Tiles of a unit.
  uint64_t calls() const { return libraryCalls(rows) * segments.size(); }
};

} // namespace llama4

#endif // LLAMA4_RUNTIME_FORMAT_LIBRARYCALL_H
