//===- Super6.cpp - the quantizer to q6_k: 16 parts of 16 -----------------===//
//
// As Super4.cpp, with steps in the place of lines; a batch is one superblock.
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/lanes/Super.h"

namespace llama4::pack::L4_PACK_LEVEL {
namespace {

constexpr int kPart = 16, kParts = 16;
constexpr Range kSix = {-32.0f, 31.0f}, kEight = {-128.0f, 127.0f};

struct Super {
  float d = 0, error = __builtin_inff();
  Numbers scale = {}; ///< whole numbers
};

void chooseParts(Super &super, const Batch<kPart> &batch, const Numbers &steps) {
  const float inverse = inverseOf(super.d);
  Numbers errors;
  for (int g = 0; g < kGroups; ++g) {
    const Vec scale = nearest(steps.group(g) * inverse, kEight);
    Vec best = splat(__builtin_inff()), bestScale = super.scale.group(g);
    for (float step = -1.0f; step <= 1.0f; step += 1.0f) {
      const Vec s = clamped(scale + step, kEight);
      const Vec d = super.d * s;
      const Vec error = errorOf<kPart>(batch.x[g], d, inverseOf(d), kSix);
      const Ints better = error < best;
      best = better ? error : best;
      bestScale = better ? s : bestScale;
    }
    super.scale.set(g, bestScale);
    errors.set(g, best);
  }
  super.error = sumOf(errors.of, kParts);
}

using Quants = uint8_t[kParts][kPart];

/// The quants, 32 added.
void quantsOf(const Super &super, const Batch<kPart> &batch, Quants &quants) {
  Numbers d, zero = {};
  for (int g = 0; g < kGroups; ++g)
    d.set(g, super.d * super.scale.group(g));
  storeQuants<kPart>(batch, d, zero, kSix, 32, quants);
}

/// Sums over the superblock of x = d * a with a = scale * q.
struct Sums {
  double aa = 0, xa = 0;
};

/// For any values: one by one.
Sums sumsInOrder(const Super &super, const Batch<kPart> &batch) {
  Quants quants;
  quantsOf(super, batch, quants);
  Sums sums;
  for (int part = 0; part < kParts; ++part)
    for (int i = 0; i < kPart; ++i) {
      const double a = static_cast<double>(super.scale.of[part]) * (quants[part][i] - 32);
      sums.aa += a * a;
      sums.xa += a * static_cast<double>(batch.at(part, i));
    }
  return sums;
}

/// Where no sum rounds.
Sums sumsOfParts(const Super &super, const Batch<kPart> &batch) {
  Sums sums;
  for (int g = 0; g < kGroups; ++g) {
    const Vec scale = super.scale.group(g), inverse = inverseOf(super.d * scale);
    Vec qq = {};
    Doubles xq = {};
    for (const Vec &x : batch.x[g]) {
      const Vec quant = nearest(x * inverse, kSix);
      qq = exactly(quant, quant, qq);
      addExactly(xq, __builtin_convertvector(x, Doubles), __builtin_convertvector(quant, Doubles));
    }
    const Doubles wide = __builtin_convertvector(scale, Doubles);
    const Doubles aa = wide * wide * __builtin_convertvector(qq, Doubles), xa = wide * xq;
    for (int i = 0; i < kLanes; ++i) {
      sums.aa += aa[i];
      sums.xa += xa[i];
    }
  }
  return sums;
}

struct Start {
  const Numbers *steps;
  float limit; ///< integer of the largest step
};

float startOf(const Start &start) {
  float extreme = 0.0f;
  for (float step : start.steps->of)
    extreme = __builtin_fabsf(step) > __builtin_fabsf(extreme) ? step : extreme;
  return rounded(extreme / start.limit);
}

Super search(const Batch<kPart> &batch, bool exact) {
  // Plain steps put the extreme value of a part on -32: data that are multiples of such steps are
  // stored without error.
  Numbers plain, steps;
  const bool isShort = batch.isShort();
  for (int g = 0; g < kGroups; ++g) {
    const Vec *x = batch.x[g];
    const Vec extreme = extremeOf<kPart>(x);
    const Vec found = isShort ? findStep<kPart, true, 13>(x, extreme, kSix, 30.5f, 0.25f)
                              : findStep<kPart, false, 13>(x, extreme, kSix, 30.5f, 0.25f);
    plain.set(g, extreme / kSix.low);
    steps.set(g, magnitude(extreme) >= kSmallest ? found : Vec{});
  }
  Super best;
  const Numbers *bestSteps = &steps;
  const Start starts[] = {{&steps, -128.0f}, {&steps, 127.0f}, {&plain, -128.0f}};
  for (const Start &start : starts) {
    Super super;
    super.d = startOf(start);
    chooseParts(super, batch, *start.steps);
    if (super.error < best.error) {
      best = super;
      bestSteps = start.steps;
    }
  }
  for (int round = 0; round < kRounds; ++round) {
    Super next = best;
    const Sums sums = exact ? sumsOfParts(best, batch) : sumsInOrder(best, batch);
    if (sums.aa > 0)
      next.d = rounded(static_cast<float>(sums.xa / sums.aa));
    if (next.d == best.d)
      break; // the same scale has the same error
    chooseParts(next, batch, *bestSteps);
    if (!(next.error < best.error))
      break;
    best = next;
  }
  return best;
}

void store(const Super &super, const Quants &quants, std::byte *block) {
  for (int half = 0; half < 2; ++half) {
    const uint8_t *q = quants[half * 8];
    auto *low = reinterpret_cast<uint8_t *>(block) + half * 64, *high = low - half * 32 + 128;
    for (int i = 0; i < 64; ++i)
      low[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 64] & 15) << 4);
    for (int i = 0; i < 32; ++i)
      high[i] = static_cast<uint8_t>(q[i] >> 4 | q[i + 32] >> 4 << 2 | q[i + 64] >> 4 << 4 |
                                     q[i + 96] >> 4 << 6);
  }
  for (int part = 0; part < kParts; ++part)
    block[192 + part] = static_cast<std::byte>(static_cast<int>(super.scale.of[part]) & 255);
  storeHalf(block + 208, super.d);
}

} // namespace

void quantizeQ6_K(const float *values, size_t blocks, std::byte *out) {
  Batch<kPart> batch;
  for (size_t b = 0; b < blocks; ++b) {
    const float *x = values + b * kSuper;
    batch.load(x, kParts);
    const Super super = search(batch, sumsAreExact(x, 33));
    alignas(16) Quants quants;
    quantsOf(super, batch, quants);
    store(super, quants, out + b * 210);
  }
}

} // namespace llama4::pack::L4_PACK_LEVEL
