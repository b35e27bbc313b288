//===- TinyImageKernels.c - what the test model makes of pictures ---------===//
//
// Sums of whole numbers that differ as soon as a pixel, a tile, a row or a picture does. Built into
// the same shared object as TinyKernels.c.
//
//===----------------------------------------------------------------------===//
#include "runtime/format/KernelAbi.h"

enum { SIDE = 4, COLOURS = 3, HIDDEN = 8, ROW = 16, TILE_ROWS = 4, TILES = 4, CROSS_ROWS = 5 };

/// The pixels of `rows` rows, weighed by their places.
static int64_t sumOf(const float *pixels, int64_t rows) {
  int64_t sum = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < SIDE; ++c)
      sum += (int64_t)pixels[r * ROW + c] * (r * SIDE + c + 1);
  return sum % 1009;
}

/// pixels f32[N, 12, 4], cos and sin f32[5, 2] -> features f32[N, 4, 8]
void tiny_encode_tiles(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *pixels = call->bindings[0], *cos = call->bindings[1], *sin = call->bindings[2];
  float *features = call->bindings[3];
  for (uint32_t n = begin; n < end; ++n) {
    const int64_t sum = sumOf(pixels + (uint64_t)n * COLOURS * SIDE * ROW, COLOURS * SIDE);
    for (int64_t k = 0; k < TILE_ROWS; ++k)
      for (int64_t d = 0; d < HIDDEN; ++d)
        features[(n * TILE_ROWS + k) * ROW + d] =
            (float)((sum * (d + 1) + k * 7 + (int)(cos[k * ROW] * 64) + 64 +
                     (int)(sin[k * ROW + 1] * 64) + 64) %
                    29);
  }
}

/// x f32[T, 8], feature_row i32[T], features f32[36, 8]: rows that take the place of x
void tiny_merge(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  float *x = call->bindings[0];
  const int32_t *rows = call->bindings[1];
  const float *features = call->bindings[2];
  for (uint32_t t = begin; t < end; ++t)
    for (int d = 0; d < HIDDEN; ++d)
      if (rows[t] >= 0)
        x[t * ROW + d] = features[rows[t] * ROW + d];
}

/// pixels f32[N, 48, 4], ratios i32[N], tiles i32[N] -> features f32[N, 20, 8]; absent tiles count
void tiny_encode_image(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *pixels = call->bindings[0];
  const int32_t *ratios = call->bindings[1], *tiles = call->bindings[2];
  float *features = call->bindings[3];
  for (uint32_t n = begin; n < end; ++n) {
    const int64_t rows = TILES * COLOURS * SIDE, sum = sumOf(pixels + n * rows * ROW, rows);
    for (int64_t k = 0; k < TILES * CROSS_ROWS; ++k)
      for (int64_t d = 0; d < HIDDEN; ++d)
        features[(n * TILES * CROSS_ROWS + k) * ROW + d] =
            (float)((sum * (d + 1) + k * 7 + ratios[n] * 3 + tiles[n] * 5) % 29);
  }
}

/// features f32[N, 20, 8] -> key and value f32[N, 20, 8]
void tiny_cross_state(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *features = call->bindings[0];
  float *key = call->bindings[1], *value = call->bindings[2];
  const uint64_t rows = TILES * CROSS_ROWS;
  for (uint64_t r = begin * rows; r < end * rows; ++r)
    for (int d = 0; d < HIDDEN; ++d) {
      key[r * ROW + d] = features[r * ROW + d] + 1;
      value[r * ROW + d] = features[r * ROW + d] * 2 + 1;
    }
}

/// x f32[T, 8] and first i32[T], count i32[T], sees f32[T, 1], tiles i32[I], key and value
/// f32[I, 20, 8]: adds what a token sees of its pictures, and 1 where it sees any
void tiny_cross(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  float *x = call->bindings[0];
  const int32_t *first = call->bindings[1], *count = call->bindings[2];
  const float *sees = call->bindings[3];
  const int32_t *tiles = call->bindings[4];
  const float *key = call->bindings[5], *value = call->bindings[6];
  for (uint32_t t = begin; t < end; ++t)
    for (int d = 0; d < HIDDEN; ++d) {
      int64_t sum = 0;
      for (int32_t i = first[t]; i < first[t] + count[t]; ++i)
        for (int64_t r = 0; r < tiles[i] * CROSS_ROWS; ++r) {
          const int64_t row = i * TILES * CROSS_ROWS + r;
          sum += (int64_t)key[row * ROW + d] * (r % 3 + 1) + (int64_t)value[row * ROW + d];
        }
      if (sees[t * ROW] != 0)
        x[t * ROW + d] = (float)(((int64_t)x[t * ROW + d] + sum + 1) % 97);
    }
}
