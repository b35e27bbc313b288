//===- compare.cpp - AMX's instructions beside emulated tiles -------------===//
//
// A program without a system (start.S): calls the linear cores of the level with AMX, once compiled
// with the instructions and once with emulated tiles, on the same random bytes, and prints whether
// all results have the same bits. Output goes to port 0xe9, the end to port 0x8900.
//
//===----------------------------------------------------------------------===//
#include "compiler/microkernels/cpu/Cores.h"

#include <stddef.h>

extern "C" {
#define L4_LINEAR(symbol, activation, encoding, k_multiple)                                        \
  void symbol##_instructions L4_LINEAR_PARAMETERS;                                                 \
  void symbol##_emulated L4_LINEAR_PARAMETERS;
#include "compiler/microkernels/Table.def"

void *memset(void *to, int byte, size_t count) {
  for (size_t i = 0; i < count; ++i)
    static_cast<volatile char *>(to)[i] = static_cast<char>(byte);
  return to;
}

void *memcpy(void *to, const void *from, size_t count) {
  for (size_t i = 0; i < count; ++i)
    static_cast<volatile char *>(to)[i] = static_cast<const char *>(from)[i];
  return to;
}
}

namespace {

using Core = void(*) L4_LINEAR_PARAMETERS;
enum Activation { F32, BF16, Q8, Q8_128 };

struct Linear {
  const char *name;
  Core instructions, emulated;
  int64_t multiple;
  Activation activation;
};

constexpr Linear kLinears[] = {
#define L4_LINEAR(symbol, activation, encoding, k_multiple)                                        \
  {#symbol, symbol##_instructions, symbol##_emulated, k_multiple, activation},
#include "compiler/microkernels/Table.def"
};

constexpr int64_t kTokens[] = {1, 2, 7, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 79};
constexpr int64_t kMost = 80, kOutStride = 24, kActStride = 1024, kPanelBytes = 16384;

alignas(64) uint64_t act[kMost * kActStride / 8], panel[kPanelBytes / 8];
alignas(64) float out[2][kMost * kOutStride];

void put(uint16_t port, char c) { asm volatile("outb %0, %1" : : "a"(c), "Nd"(port)); }

void print(const char *text) {
  for (; *text; ++text)
    put(0xe9, *text);
}

void print(int64_t n) {
  if (n >= 10)
    print(n / 10);
  put(0xe9, static_cast<char>('0' + n % 10));
}

uint64_t random() {
  static uint64_t state = 88172645463325252u;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/// Results of `m` tokens that differ. Bit 6 of every byte is 0, so no scale is infinite; the bytes
/// of 8-bit rows are any.
int64_t differences(const Linear &linear, int64_t m, int64_t k) {
  constexpr uint64_t kMask = 0xbfbfbfbfbfbfbfbf;
  for (uint64_t &bytes : panel)
    bytes = random() & kMask;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < kActStride; j += 8)
      act[(i * kActStride + j) / 8] =
          linear.activation >= Q8 && j < k ? random() : random() & kMask;
  for (auto &side : out)
    for (float &x : side)
      x = 7;
  linear.instructions(out[0], kOutStride, act, kActStride, panel, m, k);
  linear.emulated(out[1], kOutStride, act, kActStride, panel, m, k);
  int64_t count = 0;
  for (int64_t i = 0; i < kMost * kOutStride; ++i)
    count += __builtin_bit_cast(uint32_t, out[0][i]) != __builtin_bit_cast(uint32_t, out[1][i]);
  return count;
}

} // namespace

extern "C" __attribute__((section(".text.entry"))) void entry() {
  int64_t calls = 0, results = 0, differ = 0;
  for (const Linear &linear : kLinears) {
    if (linear.activation == F32)
      continue;
    int64_t here = 0;
    for (int64_t k : {linear.multiple == 1 ? 77 : 3 * linear.multiple,
                      linear.multiple == 1 ? 64 : linear.multiple})
      for (int64_t m : kTokens) {
        here += differences(linear, m, k);
        calls += 1;
        results += m * 16;
      }
    print(linear.name);
    print(here == 0 ? ": equal\n" : ": DIFFERENT\n");
    differ += here;
  }
  print(calls);
  print(" calls, ");
  print(results);
  print(" results, ");
  print(differ);
  print(" differ\n");
  for (const char *end = "Shutdown"; *end; ++end)
    put(0x8900, *end);
}
