//===- TinyKernels.c - kernels of a model that remembers everything -------===//
//
// Small enough to be computed by hand, and wrong in its results as soon as a position, a sequence,
// a page or the order of commands is wrong: every token's row is added up from what all earlier
// tokens of its sequence left in the pages. Compiled to a shared object like compiled models are.
//
//===----------------------------------------------------------------------===//
#include "runtime/format/KernelAbi.h"

enum { HIDDEN = 8, HEADS = 2, DIM = 8, PADDED = 16, ROW = 16, VOCAB = 24, VOCAB_ROW = 32 };
enum { PAGE = HEADS * (DIM + PADDED) * L4_PAGE_TOKENS, ROPE = 2 };

/// ids i32[T], cos f32[T, 2], sin f32[T, 2], temperature f32[T, 1] -> x f32[T, 8]
void tiny_embed(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const int32_t *ids = call->bindings[0];
  const float *cos = call->bindings[1], *sin = call->bindings[2];
  const float *temperature = call->bindings[3];
  float *x = call->bindings[4];
  for (uint32_t t = begin; t < end; ++t) {
    for (int d = 0; d < HIDDEN; ++d)
      x[t * ROW + d] = (float)((ids[t] * (d + 3)) % 17);
    x[t * ROW + 0] += (float)((int)(cos[t * ROW + 1] * 64) % 7);
    x[t * ROW + 2] += (float)((int)(temperature[t * ROW] * 64) % 7);
    x[t * ROW + 1] += (float)((int)(sin[t * ROW + 0] * 64) % 7);
  }
}

static float *pageOf(const l4_dispatch *call, int64_t kind, float *pool, uint32_t token,
                     int64_t position) {
  const l4_step *step = call->step;
  const int32_t *row =
      step->page_table[kind] + (int64_t)step->sequence[token] * step->page_stride[kind];
  return pool + (int64_t)row[position / L4_PAGE_TOKENS] * PAGE;
}

/// x f32[T, 8] -> kv; constants: kind
void tiny_write(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *x = call->bindings[0];
  for (uint32_t t = begin; t < end; ++t) {
    const int64_t position = call->step->position[t];
    float *page = pageOf(call, call->constants[0], call->bindings[1], t, position);
    const int64_t slot = position % L4_PAGE_TOKENS;
    for (int h = 0; h < HEADS; ++h)
      for (int d = 0; d < DIM; ++d) {
        page[(h * DIM + d) * L4_PAGE_TOKENS + slot] = x[t * ROW + d] + (float)h;
        page[HEADS * DIM * L4_PAGE_TOKENS + (h * L4_PAGE_TOKENS + slot) * PADDED + d] =
            x[t * ROW + d] * 2 + (float)h;
      }
  }
}

/// x f32[T, 8], kv -> y f32[T, 8]; constants: kind, tokens of a chunk (0: none)
void tiny_read(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *x = call->bindings[0];
  float *y = call->bindings[2];
  const int64_t chunk = call->constants[1];
  for (uint32_t t = begin; t < end; ++t) {
    const int64_t position = call->step->position[t];
    int64_t sum[HIDDEN] = {0};
    for (int64_t j = chunk ? position / chunk * chunk : 0; j <= position; ++j) {
      const float *page = pageOf(call, call->constants[0], call->bindings[1], t, j);
      const int64_t slot = j % L4_PAGE_TOKENS;
      for (int d = 0; d < HIDDEN; ++d) {
        float key = page[d * L4_PAGE_TOKENS + slot];
        float value = page[HEADS * DIM * L4_PAGE_TOKENS + (L4_PAGE_TOKENS + slot) * PADDED + d];
        sum[d] += (j % 5 + 1) * (int64_t)(key + value);
      }
    }
    for (int d = 0; d < HIDDEN; ++d)
      y[t * ROW + d] = (float)((sum[d] + (int64_t)x[t * ROW + d]) % 97);
  }
}

/// hidden f32[?, 8], rows i32[R] -> logits f32[R, 24]; ids 2k and 2k + 1 of a pair are equal
void tiny_logits(const l4_dispatch *call, uint32_t begin, uint32_t end, void *scratch) {
  (void)scratch;
  const float *hidden = call->bindings[0];
  const int32_t *rows = call->bindings[1];
  float *logits = call->bindings[2];
  for (uint32_t r = begin; r < end; ++r) {
    int sum = 0;
    for (int d = 0; d < HIDDEN; ++d)
      sum += (int)hidden[rows[r] * ROW + d] * (d + 1);
    for (int v = 0; v < VOCAB; ++v)
      logits[r * VOCAB_ROW + v] = (float)((sum + (v / 2) * 5) % 12);
  }
}
