//===- HostTensor.cpp - tensors of the reference interpreter --------------===//

#include "compiler/reference/HostTensor.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace llama4::reference {

/// Blocks of a row of activations.
static int64_t blocksOf(Element element, int64_t columns) {
  const int64_t block = lm::shape::blockColumns(element);
  return (columns + block - 1) / block;
}

HostTensor HostTensor::zeros(Element element, std::vector<int64_t> shape) {
  HostTensor tensor;
  tensor.element = element;
  tensor.shape = std::move(shape);
  size_t count = 1;
  for (int64_t extent : tensor.shape)
    count *= static_cast<size_t>(extent);
  if (tensor.isIndices())
    tensor.ints.resize(count);
  else
    tensor.values.resize(count);
  if (lm::shape::isActivation(element)) {
    const auto blocks = static_cast<size_t>(tensor.rows() * blocksOf(element, tensor.columns()));
    tensor.quants.resize(blocks * static_cast<size_t>(lm::shape::blockColumns(element)));
    tensor.scales.resize(blocks);
  }
  return tensor;
}

HostTensor HostTensor::floats(std::vector<int64_t> shape, std::vector<float> values) {
  HostTensor tensor;
  tensor.shape = std::move(shape);
  tensor.values = std::move(values);
  return tensor;
}

HostTensor HostTensor::indices(std::vector<int32_t> ints) {
  HostTensor tensor;
  tensor.element = Element::I32;
  tensor.shape = {static_cast<int64_t>(ints.size())};
  tensor.ints = std::move(ints);
  return tensor;
}

float roundToBFloat16(float value) {
  if (std::isnan(value))
    return value;
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return std::bit_cast<float>(rounded & 0xffff0000u);
}

/// Round to nearest, ties to even, whatever the rounding mode of the process is.
static float roundHalfEven(float value) {
  const float down = std::floor(value);
  const float rest = value - down;
  if (rest != 0.5f)
    return rest < 0.5f ? down : down + 1.0f;
  return std::fmod(down, 2.0f) == 0.0f ? down : down + 1.0f;
}

void HostTensor::storeQuantized(int64_t index, std::span<const float> row) {
  const int64_t blocks = blocksOf(element, columns()), width = lm::shape::blockColumns(element);
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t first = block * width;
    const int64_t count = std::min(width, columns() - first);
    float largest = 0.0f;
    for (int64_t j = 0; j < count; ++j)
      largest = std::max(largest, std::fabs(row[first + j]));
    const float scale = largest / 127.0f;
    const float inverse = largest > 0.0f ? 127.0f / largest : 0.0f;
    scales[index * blocks + block] = scale;
    for (int64_t j = 0; j < count; ++j) {
      const float quant = std::isfinite(inverse) ? roundHalfEven(row[first + j] * inverse) : 0.0f;
      quants[(index * blocks + block) * width + j] = static_cast<int8_t>(quant);
      values[index * columns() + first + j] = quant * scale;
    }
  }
}

void HostTensor::store(int64_t index, std::span<const float> row) {
  if (lm::shape::isActivation(element))
    return storeQuantized(index, row);
  float *to = values.data() + index * columns();
  for (size_t j = 0; j < row.size(); ++j)
    to[j] = element == Element::BF16 ? roundToBFloat16(row[j]) : row[j];
}

std::vector<double> HostTensor::exactRow(int64_t index) const {
  std::span<const float> stored = row(index);
  std::vector<double> exact(stored.begin(), stored.end());
  if (!lm::shape::isActivation(element))
    return exact;
  const int64_t blocks = blocksOf(element, columns()), width = lm::shape::blockColumns(element);
  for (int64_t j = 0; j < columns(); ++j) {
    const int64_t block = index * blocks + j / width;
    exact[j] = static_cast<double>(quants[block * width + j % width]) * scales[block];
  }
  return exact;
}

} // namespace llama4::reference
