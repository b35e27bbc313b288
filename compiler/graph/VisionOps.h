//===- VisionOps.h - the ops image towers are declared with -----*- C++ -*-===//
//
// As Ops.h. A tensor [?, K, N] has K rows for each unit of the entry's symbol: a tile, or an image
// of several tiles.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_VISIONOPS_H
#define LLAMA4_COMPILER_GRAPH_VISIONOPS_H

#include "compiler/graph/Graph.h"

#include <span>

namespace llama4::graph {

/// (x - mean) * rsqrt(variance + eps) * weight + bias over the row.
Tensor layerNorm(Tensor x, const Parameter *weight, const Parameter *bias, double eps,
                 Location where = Location::current());
/// x * (1 + erf(x / sqrt(2))) / 2.
Tensor gelu(Tensor x, Location where = Location::current());
/// x * rsqrt(mean(x^2) + eps) * weight [dim] in every head.
Tensor headNorm(Tensor x, const Parameter *weight, double eps,
                Location where = Location::current());
/// x * tanh(gate), gate [1].
Tensor tanhGate(Tensor x, const Parameter *gate, Location where = Location::current());
/// x + (1 - tanh(gate)) * vectors, which are as those of `bias`.
Tensor gatedBias(Tensor x, const Parameter *vectors, const Parameter *gate,
                 Location where = Location::current());

/// The patches of square pictures [?, G * channels * S, S], [?, G * (S / patch)^2, channels *
/// patch^2].
Tensor patches(Tensor pixels, int64_t channels, int64_t patch,
               Location where = Location::current());
/// `vector` as row `at` of each of `groups` groups of a unit.
Tensor insertRow(Tensor x, const Parameter *vector, int64_t at, int64_t groups,
                 Location where = Location::current());
/// Of each of `groups` groups of a unit the first `rows` rows; zeros behind the last.
Tensor fitRows(Tensor x, int64_t groups, int64_t rows, Location where = Location::current());
/// Every row `times` times.
Tensor spreadRows(Tensor x, int64_t times, Location where = Location::current());
/// The elements of a unit as [rows, columns].
Tensor reshape(Tensor x, int64_t rows, int64_t columns, Location where = Location::current());
/// The columns of all tensors; interleaved: column c of tensor j of n becomes column c * n + j.
Tensor concat(std::span<const Tensor> tensors, bool interleaved,
              Location where = Location::current());
/// Squares of `side` by `side` rows of a grid of `columns` columns and lines as one row.
Tensor pixelShuffle(Tensor x, int64_t columns, int64_t side, Location where = Location::current());
/// Row t is row rows[t] of `source`, or that of x [T, N] where rows[t] is -1.
Tensor mergeRows(Tensor x, Tensor rows, Tensor source, Location where = Location::current());

/// Which rows of a unit stand for something: the first `real` of each of its `groups` groups, in
/// the first pictures[unit] groups. Without pictures all do.
struct Padding {
  Tensor pictures; ///< i32[?]
  int64_t groups = 0, real = 0;
};
/// Attention among the rows of each unit, in both directions; rows of which neither is real don't
/// see each other.
Tensor unitAttention(Tensor query, Tensor key, Tensor value, int64_t heads, double scale,
                     const Padding &padding = {}, Location where = Location::current());

/// Keys and values of the images in a pool, and which of them each row of a step sees.
struct ImageStates {
  Tensor first, count; ///< i32[T]: images first to first + count - 1
  Tensor tiles;        ///< i32[I]: how many of the groups of an image's rows there are
  int64_t groups = 0;  ///< of an image's rows
  bool valid() const { return first.valid() && count.valid() && tiles.valid(); }
};
/// Attention of query [T, heads * dim] over the rows of the images that each row sees; a row that
/// sees none becomes zero. key and value are [I, groups * R, kv heads * dim].
Tensor crossAttention(Tensor query, Tensor key, Tensor value, const ImageStates &images,
                      int64_t heads, double scale, Location where = Location::current());

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_VISIONOPS_H
