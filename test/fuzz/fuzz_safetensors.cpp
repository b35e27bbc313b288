// Any bytes as a safetensors file: refused, or tensors that lie inside the bytes.
#include "runtime/base/Checked.h"
#include "runtime/format/Safetensors.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto file = std::as_bytes(std::span(data, size));
  auto content = llama4::parseSafetensors(file);
  if (!content.ok())
    return 0;
  for (const llama4::SafetensorsTensor &tensor : content->tensors) {
    const auto begin = static_cast<uint64_t>(tensor.bytes.data() - file.data());
    if (!llama4::rangeInside(begin, tensor.bytes.size(), size) ||
        llama4::tensorBytes(tensor.dtype, tensor.shape) != tensor.bytes.size())
      std::abort();
  }
  return 0;
}
