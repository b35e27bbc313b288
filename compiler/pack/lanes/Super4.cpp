//===- Super4.cpp - the quantizer to q4_k: 8 parts of 32 ------------------===//
//
// Two levels: first each part of a superblock is fitted with a line of its own, unrounded. Then the
// shared scales are chosen so that the largest of them takes the largest integer, each part looks
// for the integers nearby that leave it the least error, and the shared scales are fitted again to
// all quants by least squares, as long as that helps.
//
//===----------------------------------------------------------------------===//
#include "compiler/pack/lanes/Super.h"

namespace llama4::pack::L4_PACK_LEVEL {
namespace {

constexpr int kPart = 32, kParts = 8;
/// Superblocks of a batch.
constexpr int kPair = kBatch / kParts;
constexpr Range kFour = {0.0f, 15.0f}, kSix = {0.0f, 63.0f};

/// What two superblocks are stored with.
struct Pair {
  float d[kPair], dmin[kPair], error[kPair];
  Numbers scale, minimum; ///< whole numbers

  Line line(int g, Vec s, Vec m) const {
    return {spread(d, g, kParts) * s, -(spread(dmin, g, kParts) * m)};
  }
  void take(int i, const Pair &other) {
    d[i] = other.d[i];
    dmin[i] = other.dmin[i];
    error[i] = other.error[i];
    std::memcpy(scale.of + i * kParts, other.scale.of + i * kParts, sizeof(float) * kParts);
    std::memcpy(minimum.of + i * kParts, other.minimum.of + i * kParts, sizeof(float) * kParts);
  }
};

/// Lines of all parts.
struct Lines {
  Numbers d, m;
};

/// The integer before `x`, x and the one behind it, where there are such.
Vec step(Vec x, int i) { return clamped(x + static_cast<float>(i - 1), kSix); }

/// The best integers for the shared scales of `pair`, near those of the parts' own lines.
void chooseParts(Pair &pair, const Batch<kPart> &batch, const Lines &lines) {
  float inverse[kPair], inverseMin[kPair];
  Numbers errors;
  for (int i = 0; i < kPair; ++i) {
    inverse[i] = inverseOf(pair.d[i]);
    inverseMin[i] = inverseOf(pair.dmin[i]);
  }
  for (int g = 0; g < kGroups; ++g) {
    const Vec scale = nearest(lines.d.group(g) * spread(inverse, g, kParts), kSix);
    const Vec minimum = nearest(-lines.m.group(g) * spread(inverseMin, g, kParts), kSix);
    Vec error[3][3];
    for (int j = 0; j < 3; ++j) {
      const Vec m = step(minimum, j);
      Vec shifted[kPart];
      for (int i = 0; i < kPart; ++i)
        shifted[i] = batch.x[g][i] - pair.line(g, m, m).m;
      for (int i = 0; i < 3; ++i) {
        const Line line = pair.line(g, step(scale, i), m);
        error[i][j] = errorOf<kPart>(batch.x[g], shifted, line, inverseOf(line.d), kFour);
      }
    }
    Vec best = splat(__builtin_inff()), bestS = pair.scale.group(g), bestM = pair.minimum.group(g);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        const Ints better = error[i][j] < best;
        best = better ? error[i][j] : best;
        bestS = better ? step(scale, i) : bestS;
        bestM = better ? step(minimum, j) : bestM;
      }
    pair.scale.set(g, bestS);
    pair.minimum.set(g, bestM);
    errors.set(g, best);
  }
  for (int i = 0; i < kPair; ++i)
    pair.error[i] = sumOf(errors.of + i * kParts, kParts);
}

/// Sums over a superblock of x = d * a - dmin * b with a = scale * q and b = minimum.
struct Sums {
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
};

/// For any values: one by one.
Sums sumsInOrder(const Pair &pair, const Batch<kPart> &batch, const uint8_t (*quants)[kPart],
                 int first) {
  Sums sums;
  for (int part = first; part < first + kParts; ++part) {
    const double b = static_cast<double>(pair.minimum.of[part]);
    for (int i = 0; i < kPart; ++i) {
      const double a = static_cast<double>(pair.scale.of[part]) * quants[part][i];
      const double value = static_cast<double>(batch.at(part, i));
      sums.aa += a * a;
      sums.ab += a * b;
      sums.bb += b * b;
      sums.xa += value * a;
      sums.xb += value * b;
    }
  }
  return sums;
}

/// Sums over each part of q, q q, x q and x.
struct PartSums {
  Numbers q, qq;
  double xq[kBatch], x[kBatch];
};

PartSums partSums(const Pair &pair, const Batch<kPart> &batch) {
  PartSums sums;
  for (int g = 0; g < kGroups; ++g) {
    const Line line = pair.line(g, pair.scale.group(g), pair.minimum.group(g));
    const Vec inverse = inverseOf(line.d);
    Vec q = {}, qq = {};
    Doubles xq = {}, xs = {};
    for (const Vec &x : batch.x[g]) {
      const Vec quant = nearest((x - line.m) * inverse, kFour);
      const Doubles value = __builtin_convertvector(x, Doubles);
      q += quant;
      qq = exactly(quant, quant, qq);
      addExactly(xq, value, __builtin_convertvector(quant, Doubles));
      xs += value;
    }
    sums.q.set(g, q);
    sums.qq.set(g, qq);
    std::memcpy(sums.xq + g * kLanes, &xq, sizeof(xq));
    std::memcpy(sums.x + g * kLanes, &xs, sizeof(xs));
  }
  return sums;
}

/// Where no sum rounds.
Sums sumsOfParts(const Pair &pair, const PartSums &parts, int first) {
  Sums sums;
  for (int part = first; part < first + kParts; ++part) {
    const double scale = static_cast<double>(pair.scale.of[part]);
    const double b = static_cast<double>(pair.minimum.of[part]);
    sums.aa += scale * scale * static_cast<double>(parts.qq.of[part]);
    sums.ab += scale * b * static_cast<double>(parts.q.of[part]);
    sums.bb += b * b * kPart;
    sums.xa += scale * parts.xq[part];
    sums.xb += b * parts.x[part];
  }
  return sums;
}

/// d and dmin that fit the quants and integers of `pair` best.
void fitShared(Pair &pair, const Batch<kPart> &batch, const bool (&exact)[kPair]) {
  const PartSums parts = partSums(pair, batch);
  for (int i = 0; i < kPair; ++i) {
    Sums sums;
    if (exact[i]) {
      sums = sumsOfParts(pair, parts, i * kParts);
    } else {
      Lines lines;
      uint8_t quants[kBatch][kPart];
      for (int g = 0; g < kGroups; ++g) {
        const Line line = pair.line(g, pair.scale.group(g), pair.minimum.group(g));
        lines.d.set(g, line.d);
        lines.m.set(g, line.m);
      }
      storeQuants<kPart>(batch, lines.d, lines.m, kFour, 0, quants);
      sums = sumsInOrder(pair, batch, quants, i * kParts);
    }
    const double determinant = sums.aa * sums.bb - sums.ab * sums.ab;
    if (determinant > 1e-9 * sums.aa * sums.bb) {
      pair.d[i] =
          rounded(static_cast<float>((sums.xa * sums.bb - sums.xb * sums.ab) / determinant));
      pair.dmin[i] =
          rounded(static_cast<float>((sums.xa * sums.ab - sums.xb * sums.aa) / determinant));
    } else if (sums.aa > 0) {
      pair.d[i] = rounded(
          static_cast<float>((sums.xa + static_cast<double>(pair.dmin[i]) * sums.ab) / sums.aa));
    }
  }
}

/// The best superblocks whose d and dmin are not negative.
Pair refine(const Batch<kPart> &batch, const bool (&exact)[kPair]) {
  Lines lines;
  Pair pair = {};
  const bool isShort = batch.isShort();
  for (int g = 0; g < kGroups; ++g) {
    const Vec *x = batch.x[g];
    const Line line = isShort ? findLine<kPart, true>(x, kFour.high, true)
                              : findLine<kPart, false>(x, kFour.high, true);
    lines.d.set(g, line.d);
    lines.m.set(g, line.m);
  }
  for (int i = 0; i < kPair; ++i) {
    float scale = 0.0f, minimum = 0.0f;
    for (int part = i * kParts; part < (i + 1) * kParts; ++part) {
      scale = scale < lines.d.of[part] ? lines.d.of[part] : scale;
      minimum = minimum < -lines.m.of[part] ? -lines.m.of[part] : minimum;
    }
    pair.d[i] = rounded(scale / 63.0f);
    pair.dmin[i] = rounded(minimum / 63.0f);
  }
  chooseParts(pair, batch, lines);
  bool active[kPair];
  for (bool &each : active)
    each = true;
  for (int round = 0; round < kRounds; ++round) {
    Pair next = pair;
    fitShared(next, batch, exact);
    bool any = false;
    for (int i = 0; i < kPair; ++i) {
      // The same scales have the same errors.
      active[i] = active[i] && !(next.d[i] == pair.d[i] && next.dmin[i] == pair.dmin[i]);
      any |= active[i];
    }
    if (!any)
      break;
    chooseParts(next, batch, lines);
    for (int i = 0; i < kPair; ++i) {
      active[i] = active[i] && next.error[i] < pair.error[i];
      if (active[i])
        pair.take(i, next);
    }
  }
  return pair;
}

/// A part's range reaches down to or below 0, the line's value for q = 0, unless d and dmin are
/// both negative: then it reaches up to 0 or above. Parts of positive values only want that.
Pair search(const Batch<kPart> &batch, const bool (&exact)[kPair]) {
  Pair best = refine(batch, exact);
  Numbers least;
  for (int g = 0; g < kGroups; ++g)
    least.set(g, extentOf<kPart>(batch.x[g], false).least);
  bool above[kPair] = {}, any = false;
  for (int part = 0; part < kBatch; ++part) {
    above[part / kParts] |= least.of[part] > 0.0f;
    any |= least.of[part] > 0.0f;
  }
  if (!any)
    return best;
  Batch<kPart> negated = batch;
  negated.negate();
  Pair other = refine(negated, exact);
  for (int i = 0; i < kPair; ++i) {
    if (!above[i] || !(other.error[i] < best.error[i]))
      continue;
    other.d[i] = -other.d[i];
    other.dmin[i] = -other.dmin[i];
    best.take(i, other);
  }
  return best;
}

std::byte byteOf(int value) { return static_cast<std::byte>(value & 255); }

/// Superblock `i` of a pair.
void store(const Pair &pair, int i, const uint8_t (*quants)[kPart], std::byte *block) {
  int scale[kParts], minimum[kParts];
  for (int part = 0; part < kParts; ++part) {
    scale[part] = static_cast<int>(pair.scale.of[i * kParts + part]);
    minimum[part] = static_cast<int>(pair.minimum.of[i * kParts + part]);
  }
  storeHalf(block, pair.d[i]);
  storeHalf(block + 2, pair.dmin[i]);
  for (int j = 0; j < 4; ++j) {
    const int highS = scale[j + 4], highM = minimum[j + 4];
    block[4 + j] = byteOf(scale[j] | highS >> 4 << 6);
    block[8 + j] = byteOf(minimum[j] | highM >> 4 << 6);
    block[12 + j] = byteOf((highS & 15) | (highM & 15) << 4);
  }
  for (int part = 0; part < kParts; part += 2) {
    const uint8_t *low = quants[i * kParts + part], *high = quants[i * kParts + part + 1];
    for (int j = 0; j < kPart; ++j)
      block[16 + part * 16 + j] = byteOf(low[j] | high[j] << 4);
  }
}

} // namespace

void quantizeQ4_K(const float *values, size_t blocks, std::byte *out) {
  Batch<kPart> batch;
  for (size_t begin = 0; begin < blocks; begin += kPair) {
    const int count = blocks - begin < kPair ? static_cast<int>(blocks - begin) : kPair;
    bool exact[kPair];
    for (int i = 0; i < kPair; ++i)
      exact[i] = i >= count || sumsAreExact(values + (begin + static_cast<size_t>(i)) * kSuper, 35);
    batch.load(values + begin * kSuper, count * kParts);
    const Pair pair = search(batch, exact);
    Lines lines;
    for (int g = 0; g < kGroups; ++g) {
      const Line line = pair.line(g, pair.scale.group(g), pair.minimum.group(g));
      lines.d.set(g, line.d);
      lines.m.set(g, line.m);
    }
    alignas(16) uint8_t quants[kBatch][kPart];
    storeQuants<kPart>(batch, lines.d, lines.m, kFour, 0, quants);
    for (int i = 0; i < count; ++i)
      store(pair, i, quants, out + (begin + static_cast<size_t>(i)) * 144);
  }
}

} // namespace llama4::pack::L4_PACK_LEVEL
