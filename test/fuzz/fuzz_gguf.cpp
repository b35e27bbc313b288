// Any bytes as a GGUF file: refused, or values that decode, tensors inside the bytes, and a
// configuration that can be asked.
#include "compiler/checkpoint/Config.h"
#include "compiler/checkpoint/Dequantize.h"
#include "compiler/checkpoint/Gguf.h"
#include "runtime/base/Checked.h"
#include "test/fuzz/Fuzz.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto file = std::as_bytes(std::span(data, size));
  auto gguf = llama4::Gguf::parse(file);
  if (!gguf.ok()) {
    llama4::fuzz::refuse(gguf.status());
    return 0;
  }
  for (const auto &[key, value] : gguf->metadata()) {
    if (gguf->find(key) == nullptr)
      std::abort();
    value.integer();
    value.number();
    value.string();
    value.integers();
    value.numbers();
    value.strings();
  }
  for (const llama4::SourceTensor &tensor : gguf->tensors()) {
    const auto begin = static_cast<uint64_t>(tensor.bytes.data() - file.data());
    if (!llama4::rangeInside(begin, tensor.bytes.size(), size) ||
        llama4::tensorBytes(tensor.dtype, tensor.shape) != tensor.bytes.size())
      std::abort();
    std::vector<float> row(tensor.rowElements());
    if (llama4::canDequantize(tensor.dtype) && !llama4::dequantizeRows(tensor, 0, 1, row).ok())
      std::abort();
  }
  auto config = llama4::Config::fromGguf(*gguf, "fuzz");
  if (!config.ok()) {
    llama4::fuzz::refuse(config.status());
  } else {
    llama4::fuzz::take();
    (void)config->rope(10000);
    (void)config->integer("num_hidden_layers", 1, 1024);
    config->unreadFields();
    config->text();
  }
  return 0;
}
