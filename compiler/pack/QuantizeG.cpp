//===- QuantizeG.cpp - the quantizer to groups of 128 values --------------===//
//
// x = d * (q - z) for 128 values with a whole zero point z. For each z near the one at which the
// range of the values just fits, steps from that range on down to a part of it are tried; the best
// is fitted to its quants by least squares. Plain rounding, which takes the range as it is, is one
// of the candidates.
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/Quantize.h"
#include "runtime/format/Half.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <limits>

namespace llama4::pack {
namespace {

constexpr int kGroup = 128, kPart = 32, kGroupBytes = 67, kLevels = 15;
/// Parts of the range that the first step covers.
constexpr float kCovers[] = {1.0f, 0.95f, 0.9f, 0.84f, 0.77f, 0.68f, 0.58f};
/// Fits of the step, at most.
constexpr int kRounds = 3;
/// Groups of a smaller range are stored as zeros: half the smallest float16.
constexpr float kSmallestRange = 0x1p-25f;

/// Floats that are worked on together; sums are in this order on every machine.
using Lanes = float __attribute__((vector_size(32)));
constexpr int kWidth = 8;

Lanes loadLanes(const float *from) {
  Lanes x;
  std::memcpy(&x, from, sizeof(x));
  return x;
}

float total(Lanes x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }

/// Quants minus their zero point, as whole floats: the nearest to x / d, ties to even; the least
/// for what is no number.
Lanes quantsOf(Lanes x, float inverse, int zero) {
  const auto low = static_cast<float>(-zero), high = static_cast<float>(kLevels - zero);
  Lanes q = x * inverse;
  q = q > low ? q : Lanes{} + low;
  q = q < high ? q : Lanes{} + high;
  return (q + 0x1.8p23f) - 0x1.8p23f;
}

float inverseOf(float d) { return d != 0.0f ? 1.0f / d : 0.0f; }

/// A step, as it is stored, and a zero point.
struct Grid {
  uint16_t d = 0;
  int zero = 0;
  float error = std::numeric_limits<float>::infinity();

  float step() const { return halfToFloat(d); }

  /// Becomes the other grid if that leaves `x` less error.
  void offer(const float *x, float otherStep, int otherZero) {
    const uint16_t stored = floatToHalf(otherStep);
    const float rounded = halfToFloat(stored), inverse = inverseOf(rounded);
    Lanes sum = {};
    for (int i = 0; i < kGroup; i += kWidth) {
      const Lanes v = loadLanes(x + i), e = v - quantsOf(v, inverse, otherZero) * rounded;
      sum += e * e;
    }
    if (const float otherError = total(sum); otherError < error)
      *this = {stored, otherZero, otherError};
  }
};

/// The step that leaves the least error with zero point `zero`, unrounded. `least` <= 0 <=
/// `largest` are the ends of the values' range.
float findStep(const float *x, float least, float largest, int zero) {
  float best = 0.0f, gain = 0.0f; // the squared error is sum x x - gain
  const auto offer = [&](float step) {
    const float inverse = inverseOf(step);
    Lanes products = {}, squares = {};
    for (int i = 0; i < kGroup; i += kWidth) {
      const Lanes v = loadLanes(x + i), q = quantsOf(v, inverse, zero);
      products += v * q;
      squares += q * q;
    }
    const float xq = total(products), qq = total(squares);
    if (!(qq > 0.0f && xq > 0.0f && xq * xq > gain * qq))
      return false;
    gain = xq * xq / qq;
    best = xq / qq;
    return true;
  };
  // The step at which both ends are in reach, where both can be.
  const float cover = std::max(zero < kLevels ? largest / static_cast<float>(kLevels - zero) : 0.0f,
                               zero > 0 ? -least / static_cast<float>(zero) : 0.0f);
  for (float part : kCovers)
    offer(cover * part);
  for (int round = 0; round < kRounds && offer(best);)
    ++round;
  return best;
}

Grid findGrid(const float *x) {
  float least = 0.0f, largest = 0.0f;
  for (int i = 0; i < kGroup; ++i) {
    least = x[i] < least ? x[i] : least;
    largest = x[i] > largest ? x[i] : largest;
  }
  Grid best;
  if (!(largest - least > kSmallestRange))
    return best;
  // Plain rounding takes the range from least to largest, which 0 is part of.
  const float plain = halfToFloat(floatToHalf((largest - least) / static_cast<float>(kLevels)));
  const Lanes zeros = quantsOf(Lanes{} - least, inverseOf(plain), 0);
  const int middle = static_cast<int>(zeros[0]);
  best.offer(x, plain, middle);
  for (int zero = std::max(0, middle - 2); zero <= std::min(kLevels, middle + 2); ++zero)
    best.offer(x, findStep(x, least, largest, zero), zero);
  return best;
}

void storeGroup(const float *x, const Grid &grid, std::byte *block) {
  std::memcpy(block, &grid.d, sizeof(grid.d));
  block[2] = static_cast<std::byte>(grid.zero);
  const float inverse = inverseOf(grid.step());
  int quants[kGroup];
  for (int i = 0; i < kGroup; i += kWidth) {
    const Lanes q = quantsOf(loadLanes(x + i), inverse, grid.zero);
    for (int j = 0; j < kWidth; ++j)
      quants[i + j] = static_cast<int>(q[j]) + grid.zero;
  }
  for (int i = 0; i < kGroup / 2; ++i) {
    const int column = i / (kPart / 2) * kPart + i % (kPart / 2);
    block[3 + i] = static_cast<std::byte>(quants[column] | quants[column + kPart / 2] << 4);
  }
}

} // namespace

void quantizeInt4_G128(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kGroup == 0 && out.size() == values.size() / kGroup * kGroupBytes);
  for (size_t g = 0; g < values.size() / kGroup; ++g) {
    const float *x = values.data() + g * kGroup;
    storeGroup(x, findGrid(x), out.data() + g * kGroupBytes);
  }
}

} // namespace llama4::pack
