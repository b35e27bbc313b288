// A PNG (ImageFuzz.h says how the input stands for it): refused, or a picture and its tiles. Bit 2
// of the options corrects the check sums, which would end most mutants.
#include "test/fuzz/ImageFuzz.h"

#include <zlib.h>

/// Writes the right check sum behind each chunk that is whole.
static void correctChecksums(std::string &input) {
  constexpr size_t start = 1 + 8;
  auto *bytes = reinterpret_cast<unsigned char *>(input.data());
  for (size_t at = start; at + 12 <= input.size();) {
    const size_t length = size_t{bytes[at]} << 24 | size_t{bytes[at + 1]} << 16 |
                          size_t{bytes[at + 2]} << 8 | bytes[at + 3];
    if (length > input.size() - at - 12)
      return;
    const unsigned long sum = crc32(0, bytes + at + 4, static_cast<unsigned>(length + 4));
    at += 8 + length;
    for (unsigned i = 0; i < 4; ++i)
      bytes[at++] = static_cast<unsigned char>(sum >> (24 - 8 * i));
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string input(data, data + size);
  if (size != 0 && (data[0] & 4) != 0)
    correctChecksums(input);
  return llama4::fuzz::decodeInput(reinterpret_cast<const uint8_t *>(input.data()), input.size());
}
