//===- Group.h - the choice of experts and their tiles -----------*- C++ -*-===//
//
// A counting sort. First every token chooses its experts: `places` holds the expert of each slot
// for the time being, and `counts` the slots of each expert. Then the sums of the counts are the
// first rows of the experts, the tiles follow from both, and the slots, taken in order, get the
// next row of their expert: the sort is stable.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_GROUP_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_GROUP_H

#include "compiler/microkernels/cpu/Simd.h"
#include "runtime/format/KernelAbi.h"

namespace {

struct GroupArgs {
  const float *logits;
  int64_t logitsStride, tokens, experts, top, tileRows;
  int32_t *tokenRows;
  float *scores;
  int32_t *places;
  int32_t *tiles;
  int64_t rowStride;
  int32_t *counts;
};

/// Row `row` of a result.
template <class T> L4_INLINE T *rowAt(const GroupArgs &args, T *base, int64_t row) {
  return reinterpret_cast<T *>(reinterpret_cast<char *>(base) + row * args.rowStride);
}

/// What a logit counts as in a comparison.
L4_INLINE float rankOf(float logit) { return logit == logit ? logit : -__builtin_inff(); }

/// 1 / (1 + e^-x), without cancellation on either side.
L4_INLINE float sigmoid(float x) {
  const float down = -__builtin_fabsf(x);
#if L4_VNNI
  const float power = _mm512_cvtss_f32(expNegative(splat(down)));
#else
  const float power = _mm256_cvtss_f32(expNegative(splat(down)));
#endif
  return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

/// The experts of one token, the best first, in its rows of `places`. An expert moves up past those
/// it is better than, and past no equal one: those have lower numbers.
L4_INLINE void chooseExperts(const GroupArgs &args, int64_t token) {
  const float *logits = args.logits + token * args.logitsStride;
  int32_t *chosen = rowAt(args, args.places, token * args.top);
  float least = 0.0f; // of those chosen so far
  for (int64_t expert = 0; expert < args.experts; ++expert) {
    const float rank = rankOf(logits[expert]);
    int64_t place = expert;
    if (expert >= args.top) {
      if (!(rank > least))
        continue;
      place = args.top - 1;
    }
    for (; place > 0; --place) {
      const int32_t above = *rowAt(args, chosen, place - 1);
      if (!(rank > rankOf(logits[above])))
        break;
      *rowAt(args, chosen, place) = above;
    }
    *rowAt(args, chosen, place) = static_cast<int32_t>(expert);
    const int64_t last = expert < args.top ? expert : args.top - 1;
    least = rankOf(logits[*rowAt(args, chosen, last)]);
  }
}

/// Writes all descriptors; `counts` holds the slots of each expert, and `next` gets its first row.
L4_INLINE void writeTiles(const GroupArgs &args, int32_t *next) {
  int64_t count = 0;
  for (int64_t expert = 0; expert < args.experts; ++expert)
    count += (args.counts[expert] + args.tileRows - 1) / args.tileRows;
  int64_t tile = 0, row = 0;
  for (int64_t expert = 0; expert < args.experts; ++expert) {
    next[expert] = static_cast<int32_t>(row);
    for (int64_t left = args.counts[expert]; left > 0; left -= args.tileRows) {
      const int64_t rows = left < args.tileRows ? left : args.tileRows;
      auto *out = reinterpret_cast<l4_group_tile *>(rowAt(args, args.tiles, tile++));
      *out = {static_cast<int32_t>(expert), static_cast<int32_t>(row), static_cast<int32_t>(rows),
              static_cast<int32_t>(count)};
      row += rows;
    }
  }
  for (; tile < args.tokens * args.top; ++tile)
    *reinterpret_cast<l4_group_tile *>(rowAt(args, args.tiles, tile)) = {
        0, 0, 0, static_cast<int32_t>(count)};
}

L4_INLINE void groupByExpert(const GroupArgs &args) {
  int32_t *next = args.counts + args.experts;
  for (int64_t expert = 0; expert < args.experts; ++expert) {
    args.counts[expert] = 0;
    keepStores();
  }
  for (int64_t token = 0; token < args.tokens; ++token) {
    chooseExperts(args, token);
    for (int64_t k = 0; k < args.top; ++k)
      ++args.counts[*rowAt(args, args.places, token * args.top + k)];
  }
  writeTiles(args, next);
  for (int64_t token = 0; token < args.tokens; ++token)
    for (int64_t k = 0; k < args.top; ++k) {
      int32_t *place = rowAt(args, args.places, token * args.top + k);
      const int32_t expert = *place;
      *place = next[expert]++;
      *rowAt(args, args.tokenRows, *place) = static_cast<int32_t>(token);
      *rowAt(args, args.scores, *place) =
          sigmoid(rankOf(args.logits[token * args.logitsStride + expert]));
    }
}

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_GROUP_H
