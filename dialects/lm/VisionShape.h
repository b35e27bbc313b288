//===- VisionShape.h - shape rules of image towers --------------*- C++ -*-===//
//
// As Shape.h, for the ops of LmVisionOps.td. A unit is what one step of the entry's symbol stands
// for: a tile, or an image of several tiles.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_DIALECTS_LM_VISIONSHAPE_H
#define LLAMA4_DIALECTS_LM_VISIONSHAPE_H

#include "dialects/lm/Shape.h"

#include <span>

namespace llama4::lm::shape {

/// input f32[.., N], weight and bias [N] -> as the input.
Result<TensorType> layerNorm(Operand input, Operand weight, Operand bias, double eps);
/// input f32[.., heads * dim], weight [dim] -> as the input.
Result<TensorType> headNorm(Operand input, Operand weight, double eps);
/// input f32[.., N], gate [1] -> as the input.
Result<TensorType> tanhGate(Operand input, Operand gate);
/// input f32[.., N], bias as that of `bias`, gate [1] -> as the input.
Result<TensorType> gatedBias(Operand input, Operand vectors, Operand gate);
/// pixels f32[?, G * channels * S, S] -> f32[?, G * (S / patch)^2, channels * patch^2].
Result<TensorType> patches(Operand pixels, int64_t channels, int64_t patch);
/// input f32[?, groups * R, N], vector [N] -> f32[?, groups * (R + 1), N].
Result<TensorType> insertRow(Operand input, Operand vector, int64_t at, int64_t groups);
/// input f32[?, groups * R, N] -> f32[?, groups * rows, N].
Result<TensorType> fitRows(Operand input, int64_t groups, int64_t rows);
/// input f32[?, G, N] -> f32[?, G * times, N].
Result<TensorType> spreadRows(Operand input, int64_t times);
/// input of as many elements in a unit -> f32[?, rows, columns].
Result<TensorType> reshape(Operand input, int64_t rows, int64_t columns);
/// inputs f32[?, K, N_i] -> f32[?, K, sum of N_i].
Result<TensorType> concat(std::span<const Operand> inputs, bool interleaved);
/// input f32[?, K, N] -> f32[?, (columns / side)^2, side^2 * N].
Result<TensorType> pixelShuffle(Operand input, int64_t columns, int64_t side);
/// input f32[T, N], rows i32[T], source f32[M, N] -> f32[T, N].
Result<TensorType> mergeRows(Operand input, Operand rows, Operand source);

/// Which rows of a unit stand for something: the first `real` of each of `groups` groups, as far as
/// the unit has pictures.
struct Padding {
  int64_t groups = 0, real = 0;
};
/// query, key and value f32[?, K, heads * dim] -> the same type.
Result<TensorType> unitAttention(Operand query, Operand key, Operand value, int64_t heads);
/// The same where some rows are padding; pictures i32[?].
Result<TensorType> unitAttention(Operand query, Operand key, Operand value, int64_t heads,
                                 Operand pictures, Padding padding);
/// query f32[T, heads * dim], key and value f32[I, groups * R, kv heads * dim], first and count
/// i32[T], tiles i32[I] -> f32[T, heads * dim].
Result<TensorType> crossAttention(Operand query, Operand key, Operand value, Operand first,
                                  Operand count, Operand tiles, int64_t heads, int64_t groups);

} // namespace llama4::lm::shape

#endif // LLAMA4_DIALECTS_LM_VISIONSHAPE_H
