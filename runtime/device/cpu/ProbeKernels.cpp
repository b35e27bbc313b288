//===- ProbeKernels.cpp - what a processor can do at most -----------------===//

#include "runtime/device/cpu/ProbeKernels.h"

#include "runtime/device/cpu/CpuFeatures.h"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace llama4 {

namespace {

/// True when code of `level` uses `feature`.
bool levelHas(std::string_view level, std::string_view feature) {
  for (const CpuLevel &known : cpuLevels())
    if (known.name == level)
      return std::find(known.features.begin(), known.features.end(), feature) !=
             known.features.end();
  return false;
}

struct Bytes {
  std::byte *begin, *end;
};

/// The memory of tiles [begin, end).
Bytes tileBytes(const l4_dispatch *dispatch, uint32_t begin, uint32_t end) {
  auto *memory = static_cast<std::byte *>(dispatch->bindings[0]);
  auto bytes = static_cast<size_t>(dispatch->constants[0]);
  return {memory + begin * bytes, memory + end * bytes};
}

void writeMemory(const l4_dispatch *dispatch, uint32_t begin, uint32_t end, void *) {
  auto [at, last] = tileBytes(dispatch, begin, end);
  for (; at != last; at += 64)
    *at = std::byte{1};
}

/// Where tile `tile` leaves what it computed, so that it has to compute it.
void *tileSink(const l4_dispatch *dispatch, uint32_t tile) {
  return static_cast<std::byte *>(dispatch->bindings[0]) + size_t{tile} * 64;
}

#if defined(__x86_64__)

#define L4_V3 __attribute__((target("avx2,fma")))
#define L4_V4 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define L4_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define L4_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

#define L4_AMX __attribute__((target("avx512f,amx-tile,amx-int8,amx-bf16")))

/// Bytes that are asked for ahead: beyond what the processor's own prefetching covers, across the
/// borders of small pages.
constexpr size_t ahead = 4096;

L4_V3 void read256(const l4_dispatch *dispatch, uint32_t begin, uint32_t end, void *) {
  auto [at, last] = tileBytes(dispatch, begin, end);
  __m256i sum[8] = {};
  for (; at != last; at += 256) {
    for (size_t i = 0; i < 4; ++i)
      _mm_prefetch(reinterpret_cast<const char *>(at + ahead + 64 * i), _MM_HINT_T0);
    for (size_t i = 0; i < 8; ++i)
      sum[i] = _mm256_xor_si256(sum[i],
                                _mm256_load_si256(reinterpret_cast<const __m256i *>(at + 32 * i)));
  }
  for (size_t i = 0; i < 8; ++i)
    asm volatile("" : : "x"(sum[i]));
}

L4_V4 void read512(const l4_dispatch *dispatch, uint32_t begin, uint32_t end, void *) {
  auto [at, last] = tileBytes(dispatch, begin, end);
  __m512i sum[8] = {};
  for (; at != last; at += 512) {
    for (size_t i = 0; i < 8; ++i)
      _mm_prefetch(reinterpret_cast<const char *>(at + ahead + 64 * i), _MM_HINT_T0);
    for (size_t i = 0; i < 8; ++i)
      sum[i] =
          _mm512_xor_si512(sum[i], _mm512_load_si512(reinterpret_cast<const void *>(at + 64 * i)));
  }
  for (size_t i = 0; i < 8; ++i)
    asm volatile("" : : "x"(sum[i]));
}

// Twelve chains that don't wait for each other: two instructions a cycle with a latency of up to
// six are kept busy, and all of it stays in the sixteen registers that AVX2 has.
constexpr size_t chains = 12;

#define L4_CHAINS(attributes, name, vector, zero, next, store)                                     \
  attributes void name(const l4_dispatch *dispatch, uint32_t begin, uint32_t end, void *) {        \
    for (uint32_t tile = begin; tile < end; ++tile) {                                              \
      vector x[chains];                                                                            \
      for (vector &chain : x)                                                                      \
        chain = zero;                                                                              \
      for (int64_t step = 0; step < dispatch->constants[0]; ++step)                                \
        for (vector &chain : x) {                                                                  \
          chain = next;                                                                            \
          asm volatile("" : "+v"(chain));                                                          \
        }                                                                                          \
      for (vector &chain : x)                                                                      \
        store;                                                                                     \
    }                                                                                              \
  }

L4_CHAINS(L4_V3, maddubs256, __m256i, _mm256_setzero_si256(),
          _mm256_maddubs_epi16(_mm256_set1_epi8(3), chain),
          _mm256_storeu_si256(static_cast<__m256i *>(tileSink(dispatch, tile)), chain))
L4_CHAINS(L4_VNNI, dpbusd512, __m512i, _mm512_setzero_si512(),
          _mm512_dpbusd_epi32(chain, _mm512_set1_epi8(3), _mm512_set1_epi8(5)),
          _mm512_storeu_si512(tileSink(dispatch, tile), chain))
L4_CHAINS(L4_BF16, dpbf16Of512, __m512, _mm512_setzero_ps(),
          _mm512_dpbf16_ps(chain, (__m512bh)_mm512_set1_epi16(0x3f80),
                           (__m512bh)_mm512_set1_epi16(0x3f80)),
          _mm512_storeu_ps(tileSink(dispatch, tile), chain))
L4_CHAINS(L4_V3, fma256, __m256, _mm256_setzero_ps(),
          _mm256_fmadd_ps(_mm256_set1_ps(1.0001f), _mm256_set1_ps(0.5f), chain),
          _mm256_storeu_ps(static_cast<float *>(tileSink(dispatch, tile)), chain))
L4_CHAINS(L4_V4, fma512, __m512, _mm512_setzero_ps(),
          _mm512_fmadd_ps(_mm512_set1_ps(1.0001f), _mm512_set1_ps(0.5f), chain),
          _mm512_storeu_ps(tileSink(dispatch, tile), chain))

#undef L4_CHAINS

// Four chains of products of full tiles, as many as one panel times 64 tokens has.
#define L4_TILE_CHAINS(name, instruction)                                                          \
  L4_AMX void name(const l4_dispatch *dispatch, uint32_t begin, uint32_t end, void *) {            \
    setTiles();                                                                                    \
    for (uint32_t tile = begin; tile < end; ++tile)                                                \
      for (int64_t step = 0; step < dispatch->constants[0]; ++step) {                              \
        instruction(0, 4, 5);                                                                      \
        instruction(1, 4, 5);                                                                      \
        instruction(2, 4, 5);                                                                      \
        instruction(3, 4, 5);                                                                      \
      }                                                                                            \
    _tile_release();                                                                               \
  }

/// Eight registers of 16 rows of 64 bytes, all zero.
L4_AMX void setTiles() {
  struct alignas(64) {
    uint8_t palette = 1, rest[15] = {};
    uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } shapes;
  _tile_loadconfig(&shapes);
}

L4_TILE_CHAINS(tileBytesProducts, _tile_dpbsud)
L4_TILE_CHAINS(tilePairProducts, _tile_dpbf16ps)

#undef L4_TILE_CHAINS

#endif

} // namespace

#if defined(__x86_64__)

MemoryProbe memoryProbe(std::string_view level) {
  return {writeMemory, levelHas(level, "avx512f") ? read512 : read256};
}

MacProbe int8Probe(std::string_view level) {
  if (levelHas(level, "amx-int8"))
    return {"tdpbsud tmm", tileBytesProducts, 4 * 16 * 16 * 64};
  if (levelHas(level, "avx512vnni"))
    return {"vpdpbusd zmm", dpbusd512, chains * 64};
  return {"vpmaddubsw ymm", maddubs256, chains * 32};
}

MacProbe bfloat16Probe(std::string_view level) {
  if (levelHas(level, "amx-bf16"))
    return {"tdpbf16ps tmm", tilePairProducts, 4 * 16 * 16 * 32};
  if (levelHas(level, "avx512bf16"))
    return {"vdpbf16ps zmm", dpbf16Of512, chains * 32};
  return float32Probe(level);
}

MacProbe float32Probe(std::string_view level) {
  if (levelHas(level, "avx512f"))
    return {"vfmadd231ps zmm", fma512, chains * 16};
  return {"vfmadd231ps ymm", fma256, chains * 8};
}

#endif

} // namespace llama4
