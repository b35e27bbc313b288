// A GIF (ImageFuzz.h says how the input stands for it): refused, or a picture and its tiles.
#include "test/fuzz/ImageFuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return llama4::fuzz::decodeInput(data, size);
}
