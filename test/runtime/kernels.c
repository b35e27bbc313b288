/* Kernels of the runtime's tests, compiled to a shared object as the compiler's would be. VARIANT
   makes objects that answer differently under the same names. */
#include "runtime/format/KernelAbi.h"

#ifndef VARIANT
#define VARIANT 1
#endif

#define EXPORT __attribute__((visibility("default")))

static const l4_step *stepOf(const l4_dispatch *d) { return d->step; }

/* constants: columns, floats from row to row. One tile per row. */
EXPORT void embed(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *table = d->bindings[0];
  const int32_t *ids = d->bindings[1];
  float *out = d->bindings[2];
  int64_t columns = d->constants[0], stride = d->constants[1];
  for (uint32_t row = begin; row < end; ++row)
    for (int64_t c = 0; c < columns; ++c)
      out[row * stride + c] = table[ids[row] * columns + c];
}

/* out = a * weight, elementwise over columns; tiles of 4 rows. constants: columns, stride. */
EXPORT void scale_rows(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *weight = d->bindings[0];
  const float *in = d->bindings[1];
  float *out = d->bindings[2];
  int64_t columns = d->constants[0], stride = d->constants[1];
  for (uint32_t row = begin * 4; row < end * 4 && row < stepOf(d)->symbol; ++row)
    for (int64_t c = 0; c < columns; ++c)
      out[row * stride + c] = in[row * stride + c] * weight[c] * VARIANT;
}

/* x[0..half) += cos, x[half..2 half) += sin, in place. constants: half, x stride, angle stride. */
EXPORT void add_angles(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  float *x = d->bindings[0];
  const float *cosine = d->bindings[1];
  const float *sine = d->bindings[2];
  int64_t half = d->constants[0], stride = d->constants[1], angles = d->constants[2];
  for (uint32_t row = begin; row < end; ++row)
    for (int64_t c = 0; c < half; ++c) {
      x[row * stride + c] += cosine[row * angles + c];
      x[row * stride + half + c] += sine[row * angles + c];
    }
}

static float *keyOf(const l4_dispatch *d, float *pool, int32_t sequence, int64_t position,
                    int64_t pageFloats) {
  const l4_step *step = stepOf(d);
  const int32_t *pages = step->page_table[0] + (int64_t)sequence * step->page_stride[0];
  return pool + pages[position / L4_PAGE_TOKENS] * pageFloats + position % L4_PAGE_TOKENS;
}

/* The first element of each row becomes the first key element of its position.
   constants: stride, floats of a page. */
EXPORT void kv_store(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *x = d->bindings[0];
  for (uint32_t row = begin; row < end; ++row)
    *keyOf(d, d->bindings[1], stepOf(d)->sequence[row], stepOf(d)->position[row],
           d->constants[1]) = x[row * d->constants[0]];
}

/* out = x + the sum of what positions 0..own hold, added up through scratch.
   constants: columns, stride, floats of a page. */
EXPORT void kv_sum(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  const float *x = d->bindings[0];
  float *out = d->bindings[2];
  float *sum = scratch;
  for (uint32_t row = begin; row < end; ++row) {
    *sum = 0;
    for (int64_t p = 0; p <= stepOf(d)->position[row]; ++p)
      *sum += *keyOf(d, d->bindings[1], stepOf(d)->sequence[row], p, d->constants[2]);
    for (int64_t c = 0; c < d->constants[0]; ++c)
      out[row * d->constants[1] + c] = x[row * d->constants[1] + c] + *sum;
  }
}

/* out[r][v] = sum_c hidden[r][c] table[v][c]. constants: columns, hidden stride, rows of the
   table, out stride. */
EXPORT void logits(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *table = d->bindings[0];
  const float *hidden = d->bindings[1];
  float *out = d->bindings[2];
  for (uint32_t r = begin; r < end; ++r)
    for (int64_t v = 0; v < d->constants[2]; ++v) {
      float sum = 0;
      for (int64_t c = 0; c < d->constants[0]; ++c)
        sum += hidden[r * d->constants[1] + c] * table[v * d->constants[0] + c];
      out[r * d->constants[3] + v] = sum;
    }
}

/* --- experts, in tiles whose number only the device knows ----------------------------------- */

/* Gives the symbol * top slots to the experts 2, 4, ..., 2 * used, in runs as even as they can be,
   one tile for each run. One tile of grid. constants: top, used, tile row bytes */
EXPORT void make_tiles(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  int32_t slots = (int32_t)(stepOf(d)->symbol * d->constants[0]);
  int32_t used = (int32_t)d->constants[1] < slots ? (int32_t)d->constants[1] : slots;
  char *rows = d->bindings[0];
  for (int32_t i = 0; begin < end && i < slots; ++i) {
    l4_group_tile *tile = (l4_group_tile *)(rows + i * d->constants[2]);
    int32_t first = i < used ? slots * i / used : 0;
    tile->expert = i < used ? 2 * (i + 1) : 0;
    tile->first_row = first;
    tile->rows = i < used ? slots * (i + 1) / used - first : 0;
    tile->count = used;
  }
}

/* out[slot][c] += weight[expert of the slot][c]. constants: columns, floats per row, tile row bytes,
   matrix floats */
EXPORT void add_experts(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const char *rows = d->bindings[0];
  const float *weights = d->bindings[1];
  float *out = d->bindings[2];
  uint64_t count = (uint64_t)((const l4_group_tile *)rows)->count;
  for (uint64_t i = begin * count / d->tiles; i < end * count / d->tiles; ++i) {
    const l4_group_tile *tile = (const l4_group_tile *)(rows + i * (uint64_t)d->constants[2]);
    for (int64_t r = tile->first_row; r < tile->first_row + tile->rows; ++r)
      for (int64_t c = 0; c < d->constants[0]; ++c)
        out[r * d->constants[1] + c] += weights[tile->expert * d->constants[3] + c];
  }
}

/* --- for the conformance tests of devices ------------------------------------------------- */

/* counters[tile] += 1 */
EXPORT void count_tiles(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  int32_t *counters = d->bindings[0];
  for (uint32_t tile = begin; tile < end; ++tile)
    counters[tile] += VARIANT;
}

/* out[tile] = in[n - 1 - tile] + 1. constants: n */
EXPORT void mirror(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const int32_t *in = d->bindings[0];
  int32_t *out = d->bindings[1];
  for (uint32_t tile = begin; tile < end; ++tile)
    out[tile] = in[d->constants[0] - 1 - tile] + 1;
}

/* Fills the scratch memory with the tile's number, then counts what is still there; the address
   goes out too. constants: scratch bytes */
EXPORT void use_scratch(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  int64_t *out = d->bindings[0];
  volatile unsigned char *bytes = scratch;
  for (uint32_t tile = begin; tile < end; ++tile) {
    int64_t same = 0;
    for (int64_t i = 0; i < d->constants[0]; ++i)
      bytes[i] = (unsigned char)tile;
    for (int64_t i = 0; i < d->constants[0]; ++i)
      same += bytes[i] == (unsigned char)tile;
    out[2 * tile] = same;
    out[2 * tile + 1] = (int64_t)(uintptr_t)scratch;
  }
}

/* out[tile] = the step's symbol + constant 1 */
EXPORT void read_step(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  int64_t *out = d->bindings[0];
  for (uint32_t tile = begin; tile < end; ++tile)
    out[tile] = stepOf(d)->symbol + d->constants[1];
}

/* out[tile] = tiles of the whole grid */
EXPORT void read_grid(const l4_dispatch *d, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  int32_t *out = d->bindings[0];
  for (uint32_t tile = begin; tile < end; ++tile)
    out[tile] = (int32_t)d->tiles;
}
