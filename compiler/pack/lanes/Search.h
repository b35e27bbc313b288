//===- Search.h - the steps that fit a few values best -----------*- C++ -*-===//
//
// The inner loops of the quantizers: N values (16 or 32) and quants that are whole numbers from
// `low` to `high`. Given the quants, the best step is a least-squares fit; given the step, the best
// quants are the nearest ones. The searches alternate between both from several starts. All of it
// for each lane by itself.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_LANES_SEARCH_H
#define LLAMA4_COMPILER_PACK_LANES_SEARCH_H

#include "compiler/pack/lanes/Lanes.h"

namespace llama4::pack::L4_PACK_LEVEL {

/// Largest magnitudes below this are stored as zeros: half the smallest float16.
constexpr float kSmallest = 0x1p-25f;

/// x = d * q + m.
struct Line {
  Vec d, m;
};

/// 1 / d, 0 for 0.
inline Vec inverseOf(Vec d) { return d != 0.0f ? 1.0f / d : Vec{}; }
inline float inverseOf(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

/// Sum of squared errors of N values with the best quants for `line`. `inverse` is that of line.d,
/// a float16 times an integer of 8 bits: its products with quants are exact. `shifted` are the
/// values less line.m.
template <int N>
Vec errorOf(const Vec *x, const Vec *shifted, const Line &line, Vec inverse, Range range) {
  Vec sum[4] = {};
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < 4; ++j) {
      const Vec q = nearest(shifted[i + j] * inverse, range);
      const Vec e = x[i + j] - exactly(q, line.d, line.m);
      sum[j] += e * e;
    }
  return total(sum);
}

/// The same for m = 0.
template <int N> Vec errorOf(const Vec *x, Vec d, Vec inverse, Range range) {
  Vec sum[4] = {};
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < 4; ++j) {
      const Vec v = x[i + j];
      const Vec e = exactly(-nearest(v * inverse, range), d, v);
      sum[j] += e * e;
    }
  return total(sum);
}

/// The best of a search: a line and what squared error it was found with.
struct Found {
  Line line = {};
  Vec error = splat(__builtin_inff());
  void offer(Ints where, const Line &other, Vec otherError) {
    const Ints better = where & (otherError < error);
    error = better ? otherError : error;
    line.d = better ? other.d : line.d;
    line.m = better ? other.m : line.m;
  }
};
inline Ints everywhere() { return Ints{} - 1; }

/// sum + v * q. Values are `Short`, here and below, if they have at most 19 significant bits, as
/// all 16-bit floats: then their products with quants are exact.
template <bool Short> Vec plusProduct(Vec sum, Vec v, Vec q) {
  return Short ? exactly(v, q, sum) : v * q + sum;
}

/// Sums over N values of x q and q q, with the quants nearest to x * inverse.
struct Products {
  Vec xq, qq;
};
template <int N, bool Short> Products productsOf(const Vec *x, Vec inverse, Range range) {
  Vec xq[4] = {}, qq[2] = {};
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < 4; ++j) {
      const Vec v = x[i + j];
      const Vec q = nearest(v * inverse, range);
      xq[j] = plusProduct<Short>(xq[j], v, q);
      qq[j % 2] = exactly(q, q, qq[j % 2]);
    }
  return {total(xq), qq[0] + qq[1]};
}

/// The value of largest magnitude, with its sign.
template <int N> Vec extremeOf(const Vec *x) {
  Vec extreme = {};
  for (int i = 0; i < N; ++i)
    extreme = magnitude(x[i]) > magnitude(extreme) ? x[i] : extreme;
  return extreme;
}

/// The step d of x = d * q. Starts from steps that put the extreme value on `first`, first +
/// stride, ... of either sign.
template <int N, bool Short, int Count>
Vec findStep(const Vec *x, Vec extreme, Range range, float first, float stride) {
  Vec gain = {}; // the squared error is sum x x - gain
  Vec bestXq = {}, bestQq = splat(1.0f), starts[Count];
  for (int i = 0; i < Count; ++i)
    starts[i] = (first + stride * static_cast<float>(i)) / extreme;
  for (int sign = -1; sign <= 1; sign += 2)
    for (const Vec &start : starts) {
      const Products sums = productsOf<N, Short>(x, sign < 0 ? -start : start, range);
      const Vec square = sums.xq * sums.xq;
      const Ints better = (sums.qq > 0.0f) & (square > gain * sums.qq);
      gain = better ? square / sums.qq : gain;
      bestXq = better ? sums.xq : bestXq;
      bestQq = better ? sums.qq : bestQq;
    }
  const Vec best = bestXq / bestQq;
  const Products sums = productsOf<N, Short>(x, inverseOf(best), range);
  return sums.qq > 0.0f ? sums.xq / sums.qq : best;
}

/// What findLine knows of its values.
struct Extent {
  Vec least, largest, sum, square;
};
template <int N> Extent extentOf(const Vec *x, bool clamped) {
  Extent extent = {clamped ? Vec{} : x[0], x[0], {}, {}};
  Vec xs[4] = {}, xx[4] = {};
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < 4; ++j) {
      const Vec v = x[i + j];
      xs[j] += v;
      xx[j] += v * v;
      extent.least = v < extent.least ? v : extent.least;
      extent.largest = v > extent.largest ? v : extent.largest;
    }
  extent.sum = total(xs);
  extent.square = total(xx);
  return extent;
}

/// Fits `line` to the quants nearest to it, as long as that is possible: where not, `alive` ends.
/// Offers the outcome.
template <int N, bool Short>
void fitLine(const Vec *x, const Extent &extent, float high, bool clamped, Line &line, Ints &alive,
             Found &best) {
  const Vec inverse = inverseOf(line.d);
  Vec qs[2] = {}, qq[2] = {}, xq[4] = {};
  for (int i = 0; i < N; i += 4)
    for (int j = 0; j < 4; ++j) {
      const Vec v = x[i + j];
      const Vec q = nearest((v - line.m) * inverse, {0.0f, high});
      qs[j % 2] += q;
      qq[j % 2] = exactly(q, q, qq[j % 2]);
      xq[j] = plusProduct<Short>(xq[j], v, q);
    }
  const Vec sumQ = qs[0] + qs[1], sumQQ = qq[0] + qq[1], sumXQ = total(xq);
  constexpr float count = N;
  const Vec determinant = count * sumQQ - sumQ * sumQ;
  alive &= determinant > 0.0f;
  line.d = (count * sumXQ - extent.sum * sumQ) / determinant;
  line.m = (extent.sum - line.d * sumQ) / count;
  if (clamped)
    alive &= ~(line.m > 0.0f); // the lines through 0 follow
  best.offer(alive, line,
             extent.square - 2.0f * (line.d * sumXQ + line.m * extent.sum) +
                 line.d * line.d * sumQQ + 2.0f * line.d * line.m * sumQ + line.m * line.m * count);
}

/// The line of x = d * q + m with 0 <= q <= high that fits best; `clamped`: m is at most 0, and d
/// not negative. Both ends of the values' range are cut by up to a whole step.
template <int N, bool Short> Line findLine(const Vec *x, float high, bool clamped) {
  const Extent extent = extentOf<N>(x, clamped);
  const Vec least = extent.least, width = extent.largest - least;
  Found best;
  best.line.m = clamped ? (least > 0.0f ? Vec{} : least) : least;
  const Ints wide = width > kSmallest;
  for (int start = -2; start <= 6; ++start) {
    // `high` steps and `extra` more, half of these beyond either end.
    const float extra = 0.25f * static_cast<float>(start);
    Line line;
    line.d = width / (high + extra);
    line.m = least + 0.5f * extra * line.d;
    Ints alive = wide;
    for (int round = 0; round < 2; ++round)
      fitLine<N, Short>(x, extent, high, clamped, line, alive, best);
  }
  for (int start = -2; clamped && start <= 6; ++start) {
    const float target = high + 0.25f * static_cast<float>(start);
    const Products sums = productsOf<N, Short>(x, target / extent.largest, {0.0f, high});
    best.offer(wide & (sums.xq > 0.0f), {sums.xq / sums.qq, Vec{}},
               extent.square - sums.xq * sums.xq / sums.qq);
  }
  return best.line;
}

/// The quants of a batch for x = d * q + m, `offset` added, in the order of the values.
template <int N>
void storeQuants(const Batch<N> &batch, const Numbers &d, const Numbers &m, Range range,
                 int32_t offset, uint8_t (*out)[N]) {
  using Narrow = uint8_t __attribute__((vector_size(kLanes)));
  for (int begin = 0; begin < N; begin += 16) {
    Bytes bytes[16];
    for (int g = 0; g < kGroups; ++g) {
      const Vec offsets = m.group(g), inverse = inverseOf(d.group(g));
      for (int i = 0; i < 16; ++i) {
        const Vec q = nearest((batch.x[g][begin + i] - offsets) * inverse, range);
        const auto narrow =
            __builtin_convertvector(__builtin_convertvector(q, Ints) + offset, Narrow);
        std::memcpy(reinterpret_cast<char *>(&bytes[i]) + g * kLanes, &narrow, sizeof(narrow));
      }
    }
    transpose(bytes);
    for (int lane = 0; lane < kBatch; ++lane)
      std::memcpy(out[lane] + begin, &bytes[lane], sizeof(Bytes));
  }
}

} // namespace llama4::pack::L4_PACK_LEVEL

#endif // LLAMA4_COMPILER_PACK_LANES_SEARCH_H
