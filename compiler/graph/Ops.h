//===- Ops.h - the ops a model is declared with -----------------*- C++ -*-===//
//
// One function per op of the dialect. Each checks its operands' shapes by the rules of
// dialects/lm/Shape.h, reports a mistake at the caller's line, and returns the result or a poisoned
// tensor. A null parameter (already reported) poisons the result.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_GRAPH_OPS_H
#define LLAMA4_COMPILER_GRAPH_OPS_H

#include "compiler/graph/Graph.h"

namespace llama4::graph {

/// ids i32[T] -> rows of table [V, H], f32[T, H].
Tensor embed(Tensor ids, const Parameter *table, Location where = Location::current());
/// x [T, K] or [T, S, K] times the transpose of weight [N, K] -> f32[T, N] or f32[T, S, N].
Tensor linear(Tensor x, const Parameter *weight, Location where = Location::current());
/// x [T, N] + vector [N] on every row; on x [?, K, N] also [R, N], R dividing K: row k of each unit
/// gets row k mod R.
Tensor bias(Tensor x, const Parameter *vector, Location where = Location::current());
/// x * rsqrt(mean(x^2) + eps) * weight over the row.
Tensor rmsNorm(Tensor x, const Parameter *weight, double eps, Location where = Location::current());
/// x / (1 + exp(-x)).
Tensor silu(Tensor x, Location where = Location::current());
/// Rotates every head of x [T, heads * dim] by cos and sin [T, dim / 2], of x [?, K, heads * dim]
/// by cos and sin [K, dim / 2].
Tensor rope(Tensor x, Tensor cos, Tensor sin, RotateStyle style,
            Location where = Location::current());
/// Stores the step's keys and values [T, kv heads * dim] in the pages of their sequences.
void kvWrite(Tensor key, Tensor value, KvLayer kv, Batch batch,
             Location where = Location::current());
/// Causal attention of query [T, heads * dim] over the state -> [T, heads * dim]; over a state
/// with a chunk only keys of the query's own chunk are seen.
Tensor attention(Tensor query, KvLayer kv, Batch batch, double scale,
                 Location where = Location::current());
/// x * rsqrt(mean(x^2) + eps) in every head of `dim` columns.
Tensor qkNorm(Tensor x, int64_t dim, double eps, Location where = Location::current());
/// Every row of x [T, N] times its number of `factors` [T, 1].
Tensor temperature(Tensor x, Tensor factors, Location where = Location::current());

/// The experts of every token: ids i32[T, top] and scores f32[T, top].
struct Routing {
  Tensor ids, scores;
};
/// The `top` largest of logits [T, E] in descending order, scored by their sigmoid.
Routing route(Tensor logits, int64_t top, Location where = Location::current());
/// Sum over the chosen experts of down(silu(gate(s x)) * up(s x)); gate and up [E, F, H], down
/// [E, H, F].
Tensor experts(Tensor x, const Routing &routing, const Parameter *gate, const Parameter *up,
               const Parameter *down, Location where = Location::current());
/// The named rows [R] of source [?, N].
Tensor gather(Tensor source, Tensor rows, Location where = Location::current());

/// A tensor and the line that used it in an expression: operators have no default arguments.
struct Located {
  Tensor tensor;
  Location where;
  Located(Tensor tensor, Location where = Location::current()) : tensor(tensor), where(where) {}
};

/// Elementwise sum and product of tensors of one type.
Tensor operator+(Located lhs, Tensor rhs);
Tensor operator*(Located lhs, Tensor rhs);

} // namespace llama4::graph

#endif // LLAMA4_COMPILER_GRAPH_OPS_H
