//===- Search.h - the steps that fit a few values best -----------*- C++ -*-===//
//
// The inner loops of the quantizers: N values (16 or 32) and quants that are whole numbers from
// `low` to `high`. Given the quants, the best step is a least-squares fit; given the step, the best
// quants are the nearest ones. The searches alternate between both from several starts.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_PACK_SEARCH_H
#define LLAMA4_COMPILER_PACK_SEARCH_H

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace llama4::pack {

/// Largest magnitudes below this are stored as zeros: half the smallest float16.
constexpr float kSmallest = 0x1p-25f;

/// Four floats that are worked on together; sums are in this order on every machine.
using Four = float __attribute__((vector_size(16)));

inline Four loadFour(const float *from) {
  Four x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

inline Four splatFour(float x) { return Four{x, x, x, x}; }

inline float total(Four x) { return (x[0] + x[2]) + (x[1] + x[3]); }

/// The nearest whole number from `low` to `high`, ties to even; low for NaN. |low|, |high| < 2^22.
inline Four nearest(Four x, float low, float high) {
  x = x > low ? x : splatFour(low);
  x = x < high ? x : splatFour(high);
  return (x + 0x1.8p23f) - 0x1.8p23f;
}

/// x = d * q + m.
struct Line {
  float d = 0, m = 0;
};

struct Range {
  float low, high;
};

/// 1 / d, 0 for 0.
inline float inverseOf(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

/// Sum of squared errors of N values with the best quants for `line`.
template <int N> float errorOf(const float *x, Line line, Range range) {
  const float inverse = inverseOf(line.d);
  Four sum = {};
  for (int i = 0; i < N; i += 4) {
    const Four v = loadFour(x + i);
    const Four q = nearest((v - line.m) * inverse, range.low, range.high);
    const Four e = v - (q * line.d + line.m);
    sum += e * e;
  }
  return total(sum);
}

/// The best quants for `line`.
template <int N> void quantsOf(const float *x, Line line, Range range, int8_t *quants) {
  const float inverse = inverseOf(line.d);
  for (int i = 0; i < N; i += 4) {
    const Four q = nearest((loadFour(x + i) - line.m) * inverse, range.low, range.high);
    for (int j = 0; j < 4; ++j)
      quants[i + j] = static_cast<int8_t>(q[j]);
  }
}

/// The best of a search: a line and what squared error it was found with.
struct Found {
  Line line;
  float error = std::numeric_limits<float>::infinity();
  void offer(Line other, float otherError) {
    if (otherError < error)
      *this = {other, otherError};
  }
};

/// Sums over N values of x q and q q, with the quants nearest to x * inverse.
struct Products {
  float xq, qq;
};
template <int N> Products productsOf(const float *x, float inverse, Range range) {
  Four xq = {}, qq = {};
  for (int i = 0; i < N; i += 4) {
    const Four v = loadFour(x + i);
    const Four q = nearest(v * inverse, range.low, range.high);
    xq += v * q;
    qq += q * q;
  }
  return {total(xq), total(qq)};
}

/// The value of largest magnitude, with its sign.
template <int N> float extremeOf(const float *x) {
  float extreme = 0.0f;
  for (int i = 0; i < N; ++i)
    if (std::fabs(x[i]) > std::fabs(extreme))
      extreme = x[i];
  return extreme;
}

/// The step d of x = d * q. Starts from steps that put the extreme value on `first`, first +
/// stride,
/// ... of either sign.
template <int N>
float findStep(const float *x, float extreme, Range range, float first, float stride, int count) {
  float best = 0.0f, gain = 0.0f; // the squared error is sum x x - gain
  for (int sign = -1; sign <= 1; sign += 2)
    for (int i = 0; i < count; ++i) {
      const float target = static_cast<float>(sign) * (first + stride * static_cast<float>(i));
      const Products sums = productsOf<N>(x, target / extreme, range);
      if (sums.qq > 0.0f && sums.xq * sums.xq > gain * sums.qq) {
        gain = sums.xq * sums.xq / sums.qq;
        best = sums.xq / sums.qq;
      }
    }
  const Products sums = productsOf<N>(x, inverseOf(best), range);
  return sums.qq > 0.0f ? sums.xq / sums.qq : best;
}

/// The line of x = d * q + m with 0 <= q <= high that fits best; `clamped`: m is at most 0, and d
/// not negative. Both ends of the values' range are cut by up to a whole step.
template <int N> Line findLine(const float *x, float high, bool clamped) {
  float least = clamped ? 0.0f : x[0], largest = x[0];
  Four xs = {}, xx = {};
  for (int i = 0; i < N; i += 4) {
    const Four v = loadFour(x + i);
    xs += v;
    xx += v * v;
    for (int j = 0; j < 4; ++j) {
      least = v[j] < least ? v[j] : least;
      largest = v[j] > largest ? v[j] : largest;
    }
  }
  Found best;
  best.line = {0.0f, clamped && least > 0.0f ? 0.0f : least};
  if (!(largest - least > kSmallest))
    return best.line;
  const float sumX = total(xs), count = N;
  for (int start = -2; start <= 6; ++start) {
    // `high` steps and `extra` more, half of these beyond either end.
    const float extra = 0.25f * static_cast<float>(start);
    Line line;
    line.d = (largest - least) / (high + extra);
    line.m = least + 0.5f * extra * line.d;
    for (int round = 0; round < 2; ++round) {
      Four qs = {}, qq = {}, xq = {};
      const float inverse = inverseOf(line.d);
      for (int i = 0; i < N; i += 4) {
        const Four v = loadFour(x + i);
        const Four q = nearest((v - line.m) * inverse, 0.0f, high);
        qs += q;
        qq += q * q;
        xq += v * q;
      }
      const float sumQ = total(qs), sumQQ = total(qq), sumXQ = total(xq);
      const float determinant = count * sumQQ - sumQ * sumQ;
      if (!(determinant > 0.0f))
        break;
      line.d = (count * sumXQ - sumX * sumQ) / determinant;
      line.m = (sumX - line.d * sumQ) / count;
      if (clamped && line.m > 0.0f)
        break; // the lines through 0 follow
      best.offer(line, total(xx) - 2.0f * (line.d * sumXQ + line.m * sumX) +
                           line.d * line.d * sumQQ + 2.0f * line.d * line.m * sumQ +
                           line.m * line.m * count);
    }
  }
  for (int start = -2; clamped && start <= 6; ++start) {
    const float target = high + 0.25f * static_cast<float>(start);
    const Products sums = productsOf<N>(x, target / largest, {0.0f, high});
    if (sums.xq > 0.0f)
      best.offer({sums.xq / sums.qq, 0.0f}, total(xx) - sums.xq * sums.xq / sums.qq);
  }
  return best.line;
}

} // namespace llama4::pack

#endif // LLAMA4_COMPILER_PACK_SEARCH_H
