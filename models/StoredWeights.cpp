//===- StoredWeights.cpp - a model's tensors in its checkpoint ------------===//

#include "models/StoredWeights.h"

#include "models/NearestName.h"
#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4::models {

using graph::Element;
using graph::StoredTensor;

StoredTensor StoredWeights::declare(const std::string &source) const {
  StoredTensor stored;
  stored.element =
      facts_.storedType.value_or(DType::BF16) == DType::BF16 ? Element::BF16 : Element::F32;
  stored.source = source;
  return stored;
}

/// The format that keeps a stored type bit by bit; blocks stand in rows of matrices only.
static std::optional<Element> keptFormat(const SourceTensor &tensor) {
  if (isBlockType(tensor.dtype) && tensor.shape.size() < 2)
    return std::nullopt;
  const std::optional<Element> kept = lm::shape::parseElement(dtypeName(tensor.dtype));
  return kept && *kept != Element::I32 ? kept : std::nullopt;
}

/// The block format of the next more bits for a block type that no kernel reads.
static Element widerFormat(const SourceTensor &tensor) {
  if (tensor.dtype == DType::Q2_K || tensor.dtype == DType::Q3_K)
    return Element::Q4_K;
  const bool fits = tensor.shape.back() % lm::shape::blockColumns(Element::Q6_K) == 0;
  return fits ? Element::Q6_K : Element::Q8_0; // q5_1, q5_k
}

Result<Element> StoredWeights::elementFor(const SourceTensor &tensor) const {
  if (std::optional<Element> kept = keptFormat(tensor))
    return *kept;
  if (tensor.dtype == DType::F8E4M3)
    return facts_.isFloat32 ? Element::F32 : Element::BF16;
  if (tensor.dtype == DType::F16)
    return Element::F32; // f16 fits exactly in f32 only
  if (isBlockType(tensor.dtype))
    return tensor.shape.size() >= 2 ? widerFormat(tensor) : Element::F32;
  return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                              ": found elements of type " + std::string(dtypeName(tensor.dtype)) +
                              ", expected f32, f16, bf16, f8_e4m3 or a GGUF block type; convert "
                              "the checkpoint to one of them.");
}

Status StoredWeights::missing(const std::string &source) {
  std::string error = checkpoint_.path() + ": found no tensor " + quoteName(source) +
                      ", which the configuration asks for; ";
  // Looking for the nearest name is slow, and a wrong configuration misses thousands.
  if (!reportedMissing_) {
    NearestName nearest(source);
    for (const SourceTensor &tensor : checkpoint_.tensors())
      nearest.offer(tensor.name);
    error += "the nearest name is " + quoteName(nearest.name()) + "; ";
  }
  reportedMissing_ = true;
  return Status::invalidInput(error + "complete the checkpoint or correct its configuration.");
}

/// Checks and counts the scale of an FP8 tensor.
Status StoredWeights::takeScale(const SourceTensor &tensor) {
  const std::string scale = CompressedTensors::scaleName(tensor.name);
  const std::string found = checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                            ": found elements of type f8_e4m3";
  if (!facts_.quantization || scale.empty() || tensor.shape.size() != 2)
    return Status::invalidInput(found + ", which are read only as the weights of linear modules "
                                        "that quantization_config describes; correct one of them.");
  if (facts_.quantization->isIgnored(
          std::string_view(tensor.name).substr(0, tensor.name.rfind('.'))))
    return Status::invalidInput(found + ", but quantization_config lists its module in \"ignore\"; "
                                        "correct the one that is wrong.");
  const SourceTensor *factors = checkpoint_.find(scale);
  if (!factors)
    return missing(scale);
  used_.insert(scale);
  const std::vector<int64_t> perRow = {tensor.shape[0], 1};
  if (factors->shape != perRow && factors->elements() != 1)
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(scale) + ": found " +
                                shapeText(factors->shape) + ", expected " + shapeText(perRow) +
                                " or one number; convert the checkpoint again.");
  return {};
}

Result<StoredTensor> StoredWeights::take(const std::string &source, std::span<const int64_t> dims) {
  if (checkpoint_.tensors().empty())
    return declare(source);
  const SourceTensor *tensor = checkpoint_.find(source);
  if (!tensor)
    return missing(source);
  const bool isFirst = used_.insert(source).second; // fused ones are taken more than once
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), dims.begin(), dims.end()))
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(source) + ": found " +
                                shapeText(tensor->shape) + ", expected " + shapeText(dims) +
                                " from the configuration; correct the one that is wrong.");
  StoredTensor stored;
  stored.source = source;
  LLAMA4_ASSIGN_OR_RETURN(stored.element, elementFor(*tensor));
  if (tensor->dtype == DType::F8E4M3) {
    LLAMA4_RETURN_IF_ERROR(takeScale(*tensor));
    stored.scale = CompressedTensors::scaleName(source);
  }
  if (isFirst && !keptFormat(*tensor)) {
    auto &[element, count] = converted_[tensor->dtype];
    element = stored.element;
    ++count;
  }
  return stored;
}

Result<StoredTensor> StoredWeights::takeEach(const std::string &pattern,
                                             std::span<const int64_t> dims) {
  const size_t star = pattern.find('*');
  StoredTensor stored;
  DType first = DType::F32;
  for (int64_t expert = 0; expert < dims[0]; ++expert) {
    const std::string name =
        pattern.substr(0, star) + std::to_string(expert) + pattern.substr(star + 1);
    LLAMA4_ASSIGN_OR_RETURN(stored, take(name, dims.subspan(1)));
    const DType dtype = checkpoint_.find(name)->dtype;
    if (expert == 0)
      first = dtype;
    if (dtype != first)
      return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(name) +
                                  ": found elements of type " + std::string(dtypeName(dtype)) +
                                  ", expected " + std::string(dtypeName(first)) +
                                  " as expert 0 has; convert the checkpoint again.");
  }
  stored.source = pattern;
  stored.perExpert = true;
  if (!stored.scale.empty())
    stored.scale = CompressedTensors::scaleName(pattern);
  return stored;
}

/// Rotary frequencies, which are computed from the configuration or read with it.
static bool isRotary(std::string_view source) {
  return source.ends_with("rotary_emb.inv_freq") || source == "rope_freqs.weight";
}

Status StoredWeights::checkAllUsed(const Predicate &isSuperfluous) const {
  const SourceTensor *unknown = nullptr;
  size_t count = 0;
  for (const SourceTensor &tensor : checkpoint_.tensors())
    if (!used_.count(tensor.name) && !isRotary(tensor.name) && !isSuperfluous(tensor.name) &&
        count++ == 0)
      unknown = &tensor;
  if (!unknown)
    return {};
  NearestName nearest(unknown->name);
  for (const std::string &name : used_)
    nearest.offer(name);
  return Status::invalidInput(
      checkpoint_.path() + ": found the tensor " + quoteName(unknown->name) +
      (count > 1 ? " and " + std::to_string(count - 1) + " more" : "") +
      ", which this model doesn't use; the nearest name it uses is " + quoteName(nearest.name()) +
      "; the configuration may be of another model, or a layer count too small.");
}

int64_t StoredWeights::count(const Predicate &predicate) const {
  return std::count_if(checkpoint_.tensors().begin(), checkpoint_.tensors().end(),
                       [&](const SourceTensor &tensor) { return predicate(tensor.name); });
}

std::vector<std::string> StoredWeights::remarks() const {
  std::vector<std::string> remarks;
  for (const auto &[dtype, to] : converted_)
    remarks.push_back(std::to_string(to.second) + " tensors are stored as " +
                      std::string(dtypeName(dtype)) + ", which the artifact doesn't have; they " +
                      "become " + std::string(elementName(to.first)));
  if (facts_.quantization && facts_.quantization->quantizesActivations())
    remarks.push_back("quantization_config asks for activations of 8 bits; they stay in the "
                      "compute type");
  return remarks;
}

} // namespace llama4::models
