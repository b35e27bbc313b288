//===- Probe.cpp - the readers behind a pipe, for crosscheck.py -----------===//
//
// Standard input is a sequence of files, each a letter ('s' safetensors, 'g' GGUF), a u64 length
// and the bytes. For each, one line: "refused SENTENCE", or "read" and, sorted by name,
// "NAME:DTYPE:SHAPE:OFFSET:BYTES:CHECKSUM" for each tensor (the name in hexadecimal, the checksum
// the CRC-32 of the tensor's float32 values where it can be decoded, else of its bytes).
//
//===----------------------------------------------------------------------===//

#include "compiler/checkpoint/Dequantize.h"
#include "compiler/checkpoint/Gguf.h"
#include "runtime/format/Safetensors.h"

#include <cstdio>
#include <iostream>
#include <string>
#include <zlib.h>

using namespace llama4;

static std::string describe(const SourceTensor &tensor, std::span<const std::byte> file) {
  std::string text;
  for (unsigned char c : tensor.name) {
    char hex[3];
    std::snprintf(hex, sizeof(hex), "%02x", c);
    text += hex;
  }
  std::vector<float> floats;
  std::span<const std::byte> content = tensor.bytes;
  if (canDequantize(tensor.dtype)) {
    floats.resize(tensor.elements());
    if (!dequantize(tensor.dtype, tensor.bytes, floats).ok())
      return text + ":undecodable";
    content = std::as_bytes(std::span(floats));
  }
  uLong sum = crc32_z(0, reinterpret_cast<const Bytef *>(content.data()), content.size());
  return text + ":" + std::string(dtypeName(tensor.dtype)) + ":" + shapeText(tensor.shape) + ":" +
         std::to_string(tensor.bytes.data() - file.data()) + ":" +
         std::to_string(tensor.bytes.size()) + ":" + std::to_string(sum);
}

static std::string probe(char kind, std::span<const std::byte> file) {
  std::vector<SourceTensor> tensors;
  if (kind == 's') {
    auto content = parseSafetensors(file);
    if (!content.ok())
      return "refused " + content.status().message();
    for (const SafetensorsTensor &t : content->tensors)
      tensors.push_back({t.name, t.dtype, t.shape, t.bytes, 0});
  } else {
    auto gguf = Gguf::parse(file);
    if (!gguf.ok())
      return "refused " + gguf.status().message();
    tensors = gguf->tensors();
  }
  std::string line = "read";
  for (const SourceTensor &tensor : tensors)
    line += " " + describe(tensor, file);
  return line;
}

int main() {
  char kind = 0;
  while (std::cin.get(kind)) {
    uint64_t size = 0;
    std::cin.read(reinterpret_cast<char *>(&size), sizeof(size));
    std::string file(size, '\0');
    if (!std::cin.read(file.data(), static_cast<std::streamsize>(size)))
      return 1;
    std::cout << probe(kind, std::as_bytes(std::span(file.data(), file.size()))) << "\n";
  }
  return 0;
}
