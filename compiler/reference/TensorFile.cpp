//===- TensorFile.cpp - host tensors from and to safetensors --------------===//

#include "compiler/reference/TensorFile.h"

#include "compiler/checkpoint/Dequantize.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Safetensors.h"

#include <cstring>
#include <limits>

namespace llama4::reference {

template <typename T>
static Status readIntegers(const SafetensorsTensor &tensor, std::vector<int32_t> &out) {
  for (size_t i = 0; i < tensor.bytes.size() / sizeof(T); ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
    if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max())
      return Status::invalidInput("tensor " + quoteName(tensor.name) + ": found " +
                                  std::to_string(value) + ", expected 32 bits.");
    out.push_back(static_cast<int32_t>(value));
  }
  return {};
}

/// At most rank 3: the extents between the first and the last are multiplied.
static std::vector<int64_t> foldedShape(const std::vector<int64_t> &shape) {
  if (shape.size() <= 3)
    return shape;
  int64_t rows = 1;
  for (size_t i = 1; i + 1 < shape.size(); ++i)
    rows *= shape[i];
  return {shape.front(), rows, shape.back()};
}

Result<NamedTensors> readTensors(const std::string &path) {
  LLAMA4_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::open(path));
  NamedTensors tensors;
  for (const SafetensorsTensor &tensor : file.tensors()) {
    const bool isInteger = tensor.dtype == DType::I64 || tensor.dtype == DType::I32;
    if (tensor.shape.empty())
      continue;
    HostTensor out = HostTensor::floats(foldedShape(tensor.shape), {});
    if (tensor.dtype == DType::I64) {
      LLAMA4_RETURN_IF_ERROR(readIntegers<int64_t>(tensor, out.ints).in(path));
    } else if (tensor.dtype == DType::I32) {
      LLAMA4_RETURN_IF_ERROR(readIntegers<int32_t>(tensor, out.ints).in(path));
    } else if (canDequantize(tensor.dtype)) {
      size_t count = 1;
      for (int64_t extent : tensor.shape)
        count *= static_cast<size_t>(extent);
      out.values.resize(count);
      LLAMA4_RETURN_IF_ERROR(dequantize(tensor.dtype, tensor.bytes, out.values).in(path));
    } else {
      continue;
    }
    out.element = isInteger ? Element::I32 : Element::F32;
    tensors[tensor.name] = std::move(out);
  }
  return tensors;
}

Status writeTensors(const std::string &path, const NamedTensors &tensors) {
  std::vector<SafetensorsTensor> rows;
  for (const auto &[name, tensor] : tensors) {
    const bool isInteger = tensor.isIndices();
    rows.push_back({name, isInteger ? DType::I32 : DType::F32, tensor.shape,
                    isInteger ? std::as_bytes(std::span(tensor.ints))
                              : std::as_bytes(std::span(tensor.values))});
  }
  return writeSafetensors(path, rows);
}

} // namespace llama4::reference
