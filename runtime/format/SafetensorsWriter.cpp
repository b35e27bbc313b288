//===- SafetensorsWriter.cpp - writing safetensors files ------------------===//

#include "runtime/format/Quoted.h"
#include "runtime/format/Safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

namespace llama4 {
namespace {

/// `text` as a JSON string. Bytes that are not UTF-8 are copied and found by the final check.
std::string jsonString(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
      continue;
    }
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out + "\"";
}

Status checkTensor(const SafetensorsTensor &tensor) {
  const std::string what = "tensor " + quoteName(tensor.name) + ": found ";
  if (dtypeInfo(tensor.dtype).safetensors.empty())
    return Status::invalidInput(what + "type " + std::string(dtypeName(tensor.dtype)) +
                                ", expected one that safetensors has; dequantize it first.");
  if (tensor.name == "__metadata__")
    return Status::invalidInput(what + "a reserved name, expected another; rename the tensor.");
  if (tensor.shape.size() > kSafetensorsMaxRank)
    return Status::invalidInput(what + std::to_string(tensor.shape.size()) +
                                " dimensions, expected at most " +
                                std::to_string(kSafetensorsMaxRank) + "; reshape it.");
  std::optional<uint64_t> bytes = tensorBytes(tensor.dtype, tensor.shape);
  if (!bytes || *bytes != tensor.bytes.size())
    return Status::invalidInput(what + std::to_string(tensor.bytes.size()) + " bytes, expected " +
                                (bytes ? std::to_string(*bytes) : "a size below 2^64") +
                                " for its shape; give all of its bytes.");
  return {};
}

/// The tensors in the order of the file; refuses what a reader would refuse.
Result<std::vector<const SafetensorsTensor *>> ordered(std::span<const SafetensorsTensor> tensors) {
  std::vector<const SafetensorsTensor *> order;
  for (const SafetensorsTensor &tensor : tensors) {
    LLAMA4_RETURN_IF_ERROR(checkTensor(tensor));
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](auto *a, auto *b) { return a->name < b->name; });
  auto twice = std::adjacent_find(order.begin(), order.end(),
                                  [](auto *a, auto *b) { return a->name == b->name; });
  if (twice != order.end())
    return Status::invalidInput("tensor " + quoteName((*twice)->name) +
                                ": found the name twice, expected it once; rename one of them.");
  std::sort(order.begin(), order.end(), [](auto *a, auto *b) {
    const uint32_t sizeA = dtypeInfo(a->dtype).blockBytes, sizeB = dtypeInfo(b->dtype).blockBytes;
    return sizeA != sizeB ? sizeA > sizeB : a->name < b->name;
  });
  return order;
}

/// The JSON header, padded with spaces so that the data starts at a multiple of 8.
std::string header(std::span<const SafetensorsTensor *const> order,
                   const std::map<std::string, std::string> &metadata) {
  std::string text = "{";
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto &[key, value] : metadata)
      text += jsonString(key) + ":" + jsonString(value) + ",";
    text.back() = '}';
    text += ",";
  }
  uint64_t offset = 0;
  for (const SafetensorsTensor *tensor : order) {
    text += jsonString(tensor->name) + ":{\"dtype\":\"";
    text += dtypeInfo(tensor->dtype).safetensors;
    text += "\",\"shape\":[";
    for (size_t i = 0; i < tensor->shape.size(); ++i)
      text += (i ? "," : "") + std::to_string(tensor->shape[i]);
    text += "],\"data_offsets\":[" + std::to_string(offset) + ",";
    offset += tensor->bytes.size();
    text += std::to_string(offset) + "]},";
  }
  if (text.size() > 1)
    text.pop_back();
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

} // namespace

Status writeSafetensors(const std::string &path, std::span<const SafetensorsTensor> tensors,
                        const std::map<std::string, std::string> &metadata) {
  auto order = ordered(tensors);
  if (!order.ok())
    return order.status().in(path);
  const std::string text = header(*order, metadata);
  if (!nlohmann::json::accept(text) || text.size() > kSafetensorsMaxHeader)
    return Status::invalidInput(path + ": found a tensor name or metadata that is not UTF-8, or a "
                                       "header above 100 MB; rename the tensors.");
  LLAMA4_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const uint64_t length = text.size();
  LLAMA4_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(&length, 1))));
  LLAMA4_RETURN_IF_ERROR(file.write(std::as_bytes(std::span(text.data(), text.size()))));
  for (const SafetensorsTensor *tensor : *order)
    LLAMA4_RETURN_IF_ERROR(file.write(tensor->bytes));
  return file.commit();
}

} // namespace llama4
