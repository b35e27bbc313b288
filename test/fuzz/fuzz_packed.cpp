// Either a config.json, whose quantization_config is read; or a matrix of packed integers, in
// lines:
//   BITS ROWS COLUMNS
//   TYPE BYTES EXTENT...    for integers, scales and, where there are any, zero points
// Refused, or its blocks and its values are the same numbers, row by row or all at once.
#include "compiler/checkpoint/CompressedTensors.h"
#include "compiler/checkpoint/Dequantize.h"
#include "compiler/checkpoint/PackedTensor.h"
#include "test/fuzz/Fuzz.h"

#include <cstring>
#include <sstream>

using namespace llama4;

namespace {

/// Every row by itself and all at once; in blocks where there are blocks.
void readAll(const PackedTensor &packed, int64_t rows, int64_t columns) {
  std::vector<float> values(static_cast<size_t>(rows * columns)), decoded(values.size());
  if (!packed.readValues(0, rows, values).ok())
    std::abort();
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> one(static_cast<size_t>(columns));
    if (!packed.readValues(row, 1, one).ok() ||
        std::memcmp(one.data(), values.data() + row * columns, one.size() * sizeof(float)) != 0)
      std::abort();
  }
  const std::optional<DType> type = packed.blockType();
  if (!type)
    return;
  std::vector<std::byte> bytes(rowBytes(*type, values.size()).value());
  if (!packed.readBlocks(0, rows, bytes).ok() || !dequantize(*type, bytes, decoded).ok() ||
      decoded != values)
    std::abort();
}

/// The bytes count up, and are small enough to be no infinity as a float.
SourceTensor tensorFrom(const std::string &line, const char *name, std::vector<std::byte> &bytes) {
  std::istringstream in(line);
  SourceTensor tensor{name, DType::I32, {}, {}, 0};
  std::string type;
  uint64_t size = 0;
  in >> type >> size;
  tensor.dtype = dtypeFromName(type).value_or(DType::U8);
  for (int64_t extent = 0; tensor.shape.size() < 8 && in >> extent;)
    tensor.shape.push_back(extent);
  bytes.resize(size < (1 << 16) ? size : 1 << 16);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>(i * 7 % 61);
  tensor.bytes = bytes;
  return tensor;
}

Status readMatrix(const std::string &input) {
  std::istringstream lines(input);
  std::string line;
  std::getline(lines, line);
  std::istringstream first(line);
  int64_t bits = 0, rows = 0, columns = 0;
  first >> bits >> rows >> columns;
  std::vector<std::byte> bytes[3];
  std::vector<SourceTensor> tensors;
  for (const char *name : {"w.weight_packed", "w.weight_scale", "w.weight_zero_point"})
    if (std::getline(lines, line))
      tensors.push_back(tensorFrom(line, name, bytes[tensors.size()]));
  // What the callers see to.
  if (tensors.size() < 2 || (bits != 4 && bits != 8))
    return Status::invalidInput("found no matrix.");
  auto packed = PackedTensor::make(
      {&tensors[0], &tensors[1], tensors.size() > 2 ? &tensors[2] : nullptr, bits}, rows, columns);
  if (packed.ok())
    readAll(*packed, rows, columns);
  return packed.status();
}

Status readDescription(const std::string &text) {
  auto config = Config::parse(text, "config.json");
  if (!config.ok())
    return config.status();
  auto quantization = CompressedTensors::read(*config);
  if (quantization.ok() && *quantization) {
    (*quantization)->packedFormat("model.layers.0.mlp.up_proj");
    (*quantization)->isIgnored("m.a");
  }
  return quantization.status();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string input(data, data + size);
  const Status status = input.starts_with('{') ? readDescription(input) : readMatrix(input);
  if (status.ok())
    fuzz::take();
  else
    fuzz::refuse(status);
  return 0;
}
