//===- Mutate.h - damaged inputs from good ones ------------------*- C++ -*-===//
//
// Deterministic: mutant `index` of `seed` is the same everywhere, and needs none before it.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_FUZZ_MUTATE_H
#define LLAMA4_TEST_FUZZ_MUTATE_H

#include <cstdint>
#include <span>
#include <string>

namespace llama4::fuzz {

/// One of `inputs` (at least one) with one to four changes: flipped bits, other bytes, cut off or
/// taken out or repeated or exchanged stretches, lengths and offsets and written numbers with
/// values at the edges of their types, words of the text formats, deep nesting.
std::string makeMutant(std::span<const std::string> inputs, uint64_t seed, uint64_t index);

} // namespace llama4::fuzz

#endif // LLAMA4_TEST_FUZZ_MUTATE_H
