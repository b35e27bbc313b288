//===- QuantizeK.cpp - quantizers to superblocks of 256 values ------------===//
//
// Two levels: first each part of a superblock is fitted with a scale of its own, unrounded. Then
// the shared scale is chosen so that the largest of them takes the largest integer, each part looks
// for the integers nearby that leave it the least error, and the shared scale is fitted again to
// all quants by least squares, as long as that helps.
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/Quantize.h"
#include "compiler/pack/Search.h"
#include "runtime/format/Half.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>

namespace llama4::pack {
namespace {

constexpr int kSuper = 256;
/// Fits of the shared scales, at most.
constexpr int kRounds = 3;

float half(float value) { return halfToFloat(floatToHalf(value)); }

void storeHalf(std::byte *to, float value) {
  const uint16_t bits = floatToHalf(value);
  std::memcpy(to, &bits, 2);
}

std::byte byteOf(int value) { return static_cast<std::byte>(value & 255); }

/// The whole number nearest to value, from low to high; low for NaN.
int nearestInt(float value, int low, int high) {
  const float clamped =
      std::min(std::max(static_cast<float>(low), value), static_cast<float>(high));
  return static_cast<int>(std::nearbyint(clamped));
}

//===-- q4_K: 8 parts of 32 ------------------------------------------------===//

constexpr Range kFour = {0.0f, 15.0f};

struct Q4Super {
  float d = 0, dmin = 0;
  std::array<int, 8> scale = {}, minimum = {};
  float error = std::numeric_limits<float>::infinity();

  Line line(size_t part) const {
    return {d * static_cast<float>(scale[part]), -(dmin * static_cast<float>(minimum[part]))};
  }
};

/// The best integers for the shared scales of `super`, near those of the parts' own lines.
void chooseParts(Q4Super &super, const float *x, const std::array<Line, 8> &lines) {
  const float inverse = inverseOf(super.d), inverseMin = inverseOf(super.dmin);
  super.error = 0.0f;
  for (size_t part = 0; part < 8; ++part) {
    const int scale = nearestInt(lines[part].d * inverse, 0, 63);
    const int minimum = nearestInt(-lines[part].m * inverseMin, 0, 63);
    float best = std::numeric_limits<float>::infinity();
    for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, 63); ++s)
      for (int m = std::max(minimum - 1, 0); m <= std::min(minimum + 1, 63); ++m) {
        const Line line = {super.d * static_cast<float>(s), -(super.dmin * static_cast<float>(m))};
        const float error = errorOf<32>(x + part * 32, line, kFour);
        if (error < best) {
          best = error;
          super.scale[part] = s;
          super.minimum[part] = m;
        }
      }
    super.error += best;
  }
}

/// d and dmin that fit the quants and integers of `super` best.
void fitShared(Q4Super &super, const float *x) {
  // x = d * a - dmin * b with a = scale * q and b = minimum.
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (size_t part = 0; part < 8; ++part) {
    int8_t quants[32];
    quantsOf<32>(x + part * 32, super.line(part), kFour, quants);
    const double b = super.minimum[part];
    for (size_t i = 0; i < 32; ++i) {
      const double a = super.scale[part] * quants[i], value = x[part * 32 + i];
      aa += a * a;
      ab += a * b;
      bb += b * b;
      xa += value * a;
      xb += value * b;
    }
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    super.d = half(static_cast<float>((xa * bb - xb * ab) / determinant));
    super.dmin = half(static_cast<float>((xa * ab - xb * aa) / determinant));
  } else if (aa > 0) {
    super.d = half(static_cast<float>((xa + super.dmin * ab) / aa));
  }
}

/// The best superblock whose d and dmin are not negative.
Q4Super refineQ4(const float *x) {
  std::array<Line, 8> lines;
  float scale = 0.0f, minimum = 0.0f;
  for (size_t part = 0; part < 8; ++part) {
    lines[part] = findLine<32>(x + part * 32, kFour.high, true);
    scale = std::max(scale, lines[part].d);
    minimum = std::max(minimum, -lines[part].m);
  }
  Q4Super super;
  super.d = half(scale / 63.0f);
  super.dmin = half(minimum / 63.0f);
  chooseParts(super, x, lines);
  for (int round = 0; round < kRounds; ++round) {
    Q4Super next = super;
    fitShared(next, x);
    chooseParts(next, x, lines);
    if (!(next.error < super.error))
      break;
    super = next;
  }
  return super;
}

/// A part's range reaches down to or below 0, the line's value for q = 0, unless d and dmin are
/// both negative: then it reaches up to 0 or above. Parts of positive values only want that.
Q4Super searchQ4(const float *x) {
  Q4Super best = refineQ4(x);
  bool above = false;
  for (int part = 0; part < kSuper; part += 32)
    above |= *std::min_element(x + part, x + part + 32) > 0.0f;
  if (!above)
    return best;
  std::array<float, kSuper> negated;
  std::transform(x, x + kSuper, negated.begin(), std::negate());
  Q4Super other = refineQ4(negated.data());
  if (!(other.error < best.error))
    return best;
  other.d = -other.d;
  other.dmin = -other.dmin;
  return other;
}

void storeQ4(const Q4Super &super, const float *x, std::byte *block) {
  storeHalf(block, super.d);
  storeHalf(block + 2, super.dmin);
  for (size_t i = 0; i < 4; ++i) {
    const int scale = super.scale[i + 4], minimum = super.minimum[i + 4];
    block[4 + i] = byteOf(super.scale[i] | scale >> 4 << 6);
    block[8 + i] = byteOf(super.minimum[i] | minimum >> 4 << 6);
    block[12 + i] = byteOf((scale & 15) | (minimum & 15) << 4);
  }
  for (size_t part = 0; part < 8; part += 2) {
    int8_t low[32], high[32];
    quantsOf<32>(x + part * 32, super.line(part), kFour, low);
    quantsOf<32>(x + part * 32 + 32, super.line(part + 1), kFour, high);
    for (size_t i = 0; i < 32; ++i)
      block[16 + part * 16 + i] = byteOf(low[i] | high[i] << 4);
  }
}

//===-- q6_K: 16 parts of 16 -----------------------------------------------===//

constexpr Range kSix = {-32.0f, 31.0f};

struct Q6Super {
  float d = 0;
  std::array<int, 16> scale = {};
  float error = std::numeric_limits<float>::infinity();

  Line line(size_t part) const { return {d * static_cast<float>(scale[part]), 0.0f}; }
};

void chooseParts(Q6Super &super, const float *x, const std::array<float, 16> &steps) {
  const float inverse = inverseOf(super.d);
  super.error = 0.0f;
  for (size_t part = 0; part < 16; ++part) {
    const int scale = nearestInt(steps[part] * inverse, -128, 127);
    float best = std::numeric_limits<float>::infinity();
    for (int s = std::max(scale - 1, -128); s <= std::min(scale + 1, 127); ++s) {
      const float error = errorOf<16>(x + part * 16, {super.d * static_cast<float>(s), 0.0f}, kSix);
      if (error < best) {
        best = error;
        super.scale[part] = s;
      }
    }
    super.error += best;
  }
}

void fitShared(Q6Super &super, const float *x) {
  double aa = 0, xa = 0;
  for (size_t part = 0; part < 16; ++part) {
    int8_t quants[16];
    quantsOf<16>(x + part * 16, super.line(part), kSix, quants);
    for (size_t i = 0; i < 16; ++i) {
      const double a = super.scale[part] * quants[i];
      aa += a * a;
      xa += a * x[part * 16 + i];
    }
  }
  if (aa > 0)
    super.d = half(static_cast<float>(xa / aa));
}

Q6Super searchQ6(const float *x) {
  // Plain steps put the extreme value of a part on -32: data that are multiples of such steps are
  // stored without error.
  std::array<float, 16> plain = {}, steps = {};
  for (size_t part = 0; part < 16; ++part) {
    const float *values = x + part * 16;
    const float extreme = extremeOf<16>(values);
    plain[part] = extreme / kSix.low;
    if (std::fabs(extreme) >= kSmallest)
      steps[part] = findStep<16>(values, extreme, kSix, 30.5f, 0.25f, 13);
  }
  struct Start {
    const std::array<float, 16> &steps;
    float limit; ///< integer of the largest step
  };
  Q6Super best;
  const std::array<float, 16> *bestSteps = &steps;
  for (const Start &start : {Start{steps, -128.0f}, {steps, 127.0f}, {plain, -128.0f}}) {
    Q6Super super;
    super.d = half(extremeOf<16>(start.steps.data()) / start.limit);
    chooseParts(super, x, start.steps);
    if (super.error < best.error) {
      best = super;
      bestSteps = &start.steps;
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    Q6Super next = best;
    fitShared(next, x);
    chooseParts(next, x, *bestSteps);
    if (!(next.error < best.error))
      break;
    best = next;
  }
  return best;
}

void storeQ6(const Q6Super &super, const float *x, std::byte *block) {
  std::array<int8_t, kSuper> quants;
  for (size_t part = 0; part < 16; ++part) {
    quantsOf<16>(x + part * 16, super.line(part), kSix, quants.data() + part * 16);
    block[192 + part] = byteOf(super.scale[part]);
  }
  std::fill(block + 128, block + 192, std::byte{0});
  for (size_t i = 0; i < kSuper; ++i) {
    const size_t within = i % 128;
    const int q = quants[i] + 32;
    std::byte &low = block[i / 128 * 64 + within % 64];
    low = within < 64 ? byteOf(q & 15) : low | byteOf((q & 15) << 4);
    block[128 + i / 128 * 32 + within % 32] |= byteOf(q >> 4 << (within / 32 * 2));
  }
  storeHalf(block + 208, super.d);
}

} // namespace

void quantizeQ4_K(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kSuper == 0 && out.size() == values.size() / kSuper * 144);
  for (size_t b = 0; b < values.size() / kSuper; ++b)
    storeQ4(searchQ4(values.data() + b * kSuper), values.data() + b * kSuper, out.data() + b * 144);
}

void quantizeQ6_K(std::span<const float> values, std::span<std::byte> out) {
  assert(values.size() % kSuper == 0 && out.size() == values.size() / kSuper * 210);
  for (size_t b = 0; b < values.size() / kSuper; ++b)
    storeQ6(searchQ6(values.data() + b * kSuper), values.data() + b * kSuper, out.data() + b * 210);
}

} // namespace llama4::pack
