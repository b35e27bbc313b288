// A safetensors file (Fuzz.h says how the input stands for it): refused, or tensors that lie inside
// the bytes.
#include "runtime/base/Checked.h"
#include "runtime/format/Safetensors.h"
#include "test/fuzz/Fuzz.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string bytes = llama4::fuzz::safetensorsFrom(data, size);
  auto file = std::as_bytes(std::span(bytes));
  auto content = llama4::parseSafetensors(file);
  if (!content.ok()) {
    llama4::fuzz::refuse(content.status());
    return 0;
  }
  llama4::fuzz::take();
  for (const llama4::SafetensorsTensor &tensor : content->tensors) {
    const auto begin = static_cast<uint64_t>(tensor.bytes.data() - file.data());
    if (!llama4::rangeInside(begin, tensor.bytes.size(), file.size()) ||
        llama4::tensorBytes(tensor.dtype, tensor.shape) != tensor.bytes.size())
      std::abort();
  }
  return 0;
}
