//===- FlushedMath.h - floats without the smallest numbers -------*- C++ -*-===//
//
// What instructions on pairs of bfloat16 do whatever the thread's floating-point modes are: round
// to nearest even, take a number below 2^-126 as 0, and make 0 of such a result.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_MICROKERNELS_CPU_FLUSHEDMATH_H
#define LLAMA4_COMPILER_MICROKERNELS_CPU_FLUSHEDMATH_H

namespace {

/// `sum` rounded to the 24 bits of a float. What is below 2^-126 after that, whatever its exponent,
/// becomes 0.
inline float roundFlushed(double sum) {
  const float scaled = static_cast<float>(sum * 0x1p64); // far from the smallest numbers
  if (__builtin_fabsf(scaled) < 0x1p-62f)
    return __builtin_copysignf(0.0f, scaled);
  return static_cast<float>(sum);
}

/// A number below 2^-126 counts as 0.
inline double readFlushed(float x) {
  return __builtin_fabsf(x) < 0x1p-126f ? __builtin_copysignf(0.0f, x) : x;
}

/// a * b + c of two bfloat16 and a float, rounded once: the product is exact in double precision,
/// and rounding the sum there first changes nothing, as 53 bits are more than twice 24 and two.
inline float fmaFlushed(float a, float b, float c) {
  return roundFlushed(readFlushed(a) * readFlushed(b) + readFlushed(c));
}

inline float addFlushed(float a, float b) { return roundFlushed(readFlushed(a) + readFlushed(b)); }

} // namespace

#endif // LLAMA4_COMPILER_MICROKERNELS_CPU_FLUSHEDMATH_H
