//===- Fuzz.h - what every fuzz target says about its input ------*- C++ -*-===//
//
// A target reports how its input ended: taken, or refused with a status, which must be one sentence
// for a person. Both are counted, so that a driver sees whether its inputs reach anything.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_TEST_FUZZ_FUZZ_H
#define LLAMA4_TEST_FUZZ_FUZZ_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

namespace llama4::fuzz {

struct Tally {
  uint64_t taken = 0, refused = 0;
};
inline Tally tally;

/// Well-formed inputs to begin with, made by seeds_<target>.cpp; fuzz targets don't link it.
std::vector<std::string> seeds();

/// Longest sentence: with a path, two quoted names and numbers there is room to spare.
inline constexpr size_t longestSentence = 1500;

/// True for a sentence that a terminal shows as one line.
inline bool isSentence(std::string_view text) {
  if (text.empty() || text.size() > longestSentence)
    return false;
  for (char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return false;
  return true;
}

/// The input was taken.
inline void take() { ++tally.taken; }

/// The input was refused. Aborts where the status is no sentence or of another kind than `kind` (or
/// `other`).
inline void refuse(const Status &status, StatusKind kind = StatusKind::InvalidInput,
                   StatusKind other = StatusKind::InvalidInput) {
  ++tally.refused;
  if (std::getenv("LLAMA4_FUZZ_SHOW"))
    std::fprintf(stderr, "refused: %s\n", status.message().c_str());
  if ((status.kind() == kind || status.kind() == other) && isSentence(status.message()))
    return;
  std::fprintf(stderr, "fuzz: found a refusal of kind %d that is no sentence: %s\n",
               static_cast<int>(status.kind()), status.message().c_str());
  std::abort();
}

/// A safetensors file from an input: as it is after a first byte 0; else the header text after
/// three bytes, the last two of which say how many zeros follow it as data.
inline std::string safetensorsFrom(const uint8_t *data, size_t size) {
  if (size < 3 || data[0] == 0)
    return size == 0 ? std::string() : std::string(data + 1, data + size);
  const uint64_t length = size - 3;
  std::string file(8, '\0');
  for (unsigned i = 0; i < 8; ++i)
    file[i] = static_cast<char>(length >> (8 * i));
  file.append(data + 3, data + size);
  return file.append(static_cast<size_t>(data[1] | data[2] << 8), '\0');
}

/// The input that safetensorsFrom turns into `header` and `zeros` bytes of data.
inline std::string safetensorsSeed(std::string_view header, uint16_t zeros) {
  return std::string{'\1', static_cast<char>(zeros & 255), static_cast<char>(zeros >> 8)} +
         std::string(header);
}

} // namespace llama4::fuzz

#endif // LLAMA4_TEST_FUZZ_FUZZ_H
