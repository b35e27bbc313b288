//===- Weights.cpp - names and layouts of Llama 4 weights -----------------===//

#include "models/llama4/Weights.h"

#include "models/NearestName.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <array>

namespace llama4::llama4text {

using graph::Element;
using graph::StoredTensor;

static constexpr std::string_view kExperts = ".feed_forward.experts.";
static constexpr std::array<std::string_view, 3> kVisionPrefixes = {
    "vision_model.", "multi_modal_projector.", "model.vision_model."};

//===----------------------------------------------------------------------===//
// Single tensors
//===----------------------------------------------------------------------===//

Result<Element> Weights::elementFor(const SourceTensor &tensor) {
  Element element = Element::F32;
  switch (tensor.dtype) {
  case DType::F32:
    return Element::F32;
  case DType::BF16:
    return Element::BF16;
  case DType::F16:
    break; // f16 fits exactly in f32 only
  case DType::F8E4M3:
    element = isFloat32_ ? Element::F32 : Element::BF16;
    break;
  default:
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                                ": found elements of type " + std::string(dtypeName(tensor.dtype)) +
                                ", expected f32, f16, bf16 or f8_e4m3; convert the checkpoint to "
                                "one of them.");
  }
  auto &[to, count] = converted_[tensor.dtype];
  to = element;
  ++count;
  return element;
}

Status Weights::missing(const std::string &source) {
  std::string error = checkpoint_.path() + ": found no tensor " + quoteName(source) +
                      ", which the configuration asks for; ";
  // Looking for the nearest name is slow, and a wrong configuration misses thousands.
  if (!reportedMissing_) {
    models::NearestName nearest(source);
    for (const SourceTensor &tensor : checkpoint_.tensors())
      nearest.offer(tensor.name);
    error += "the nearest name is " + quoteName(nearest.name()) + "; ";
  }
  reportedMissing_ = true;
  return Status::invalidInput(error + "complete the checkpoint or correct its configuration.");
}

Result<const SourceTensor *> Weights::take(const std::string &source,
                                           std::span<const int64_t> dims) {
  const SourceTensor *tensor = checkpoint_.find(source);
  if (!tensor)
    return missing(source);
  used_.insert(source);
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), dims.begin(), dims.end()))
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(source) + ": found " +
                                shapeText(tensor->shape) + ", expected " + shapeText(dims) +
                                " from the configuration; correct the one that is wrong.");
  if (tensor->dtype == DType::F8E4M3)
    LLAMA4_RETURN_IF_ERROR(takeScale(*tensor));
  return tensor;
}

Status Weights::takeScale(const SourceTensor &tensor) {
  const std::string scale = CompressedTensors::scaleName(tensor.name);
  const std::string found = checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                            ": found elements of type f8_e4m3";
  if (!config_.quantization || scale.empty() || tensor.shape.size() != 2)
    return Status::invalidInput(found + ", which are read only as the weights of linear modules "
                                        "that quantization_config describes; correct one of them.");
  if (config_.quantization->isIgnored(
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

Result<StoredTensor> Weights::resolve(const std::string &canonical, std::span<const int64_t> dims) {
  if (checkpoint_.tensors().empty()) {
    StoredTensor stored;
    stored.element = config_.storedType == DType::F32 ? Element::F32 : Element::BF16;
    stored.source = canonical;
    return stored;
  }
  const std::string name = (config_.isMultimodal ? "language_model." : "") + canonical;
  if (name.find(kExperts) != std::string::npos)
    return resolveExperts(name, dims);
  LLAMA4_ASSIGN_OR_RETURN(const SourceTensor *tensor, take(name, dims));
  StoredTensor stored;
  LLAMA4_ASSIGN_OR_RETURN(stored.element, elementFor(*tensor));
  stored.source = name;
  if (tensor->dtype == DType::F8E4M3)
    stored.scale = CompressedTensors::scaleName(name);
  return stored;
}

//===----------------------------------------------------------------------===//
// Routed experts
//===----------------------------------------------------------------------===//

/// `name` is "...experts.gate_proj.weight"; dims are [E, outputs, inputs].
Result<StoredTensor> Weights::resolveExperts(const std::string &name,
                                             std::span<const int64_t> dims) {
  const size_t at = name.find(kExperts) + kExperts.size();
  const std::string module = name.substr(0, at), rest = name.substr(at); // "gate_proj.weight"
  if (checkpoint_.find(module + "0." + rest))
    return resolvePerExpert(module + "*." + rest, dims);
  StoredTensor stored;
  std::vector<int64_t> fused = {dims[0], dims[2], dims[1]};
  if (rest.starts_with("down_proj")) {
    stored.source = module + "down_proj";
  } else {
    stored.source = module + "gate_up_proj";
    fused[2] = 2 * dims[1];
    stored.firstRow = rest.starts_with("up_proj") ? dims[1] : 0;
  }
  const bool isFirst = !used_.count(stored.source);
  LLAMA4_ASSIGN_OR_RETURN(const SourceTensor *tensor, take(stored.source, fused));
  LLAMA4_ASSIGN_OR_RETURN(stored.element, elementFor(*tensor));
  if (auto converted = converted_.find(tensor->dtype); !isFirst && converted != converted_.end())
    --converted->second.second; // gate and up are one tensor
  stored.transpose = true;
  return stored;
}

Result<StoredTensor> Weights::resolvePerExpert(const std::string &pattern,
                                               std::span<const int64_t> dims) {
  const size_t star = pattern.find('*');
  StoredTensor stored;
  DType first = DType::F32;
  for (int64_t expert = 0; expert < dims[0]; ++expert) {
    const std::string name =
        pattern.substr(0, star) + std::to_string(expert) + pattern.substr(star + 1);
    LLAMA4_ASSIGN_OR_RETURN(const SourceTensor *tensor, take(name, dims.subspan(1)));
    if (expert == 0)
      first = tensor->dtype;
    if (tensor->dtype != first)
      return Status::invalidInput(
          checkpoint_.path() + ": tensor " + quoteName(name) + ": found elements of type " +
          std::string(dtypeName(tensor->dtype)) + ", expected " + std::string(dtypeName(first)) +
          " as expert 0 has; convert the checkpoint again.");
    LLAMA4_ASSIGN_OR_RETURN(stored.element, elementFor(*tensor));
  }
  stored.source = pattern;
  stored.perExpert = true;
  if (first == DType::F8E4M3)
    stored.scale = CompressedTensors::scaleName(pattern);
  return stored;
}

//===----------------------------------------------------------------------===//
// What is left
//===----------------------------------------------------------------------===//

bool Weights::isVision(std::string_view source) const {
  return config_.isMultimodal &&
         std::any_of(kVisionPrefixes.begin(), kVisionPrefixes.end(),
                     [&](std::string_view prefix) { return source.starts_with(prefix); });
}

bool Weights::isSuperfluous(std::string_view source) const {
  return isVision(source) || source.ends_with("rotary_emb.inv_freq") ||
         (config_.tieWordEmbeddings && source.ends_with("lm_head.weight"));
}

Status Weights::checkAllUsed() const {
  const SourceTensor *unknown = nullptr;
  size_t count = 0;
  for (const SourceTensor &tensor : checkpoint_.tensors())
    if (!used_.count(tensor.name) && !isSuperfluous(tensor.name) && count++ == 0)
      unknown = &tensor;
  if (!unknown)
    return {};
  models::NearestName nearest(unknown->name);
  for (const std::string &name : used_)
    nearest.offer(name);
  return Status::invalidInput(
      checkpoint_.path() + ": found the tensor " + quoteName(unknown->name) +
      (count > 1 ? " and " + std::to_string(count - 1) + " more" : "") +
      ", which this model doesn't use; the nearest name it uses is " + quoteName(nearest.name()) +
      "; the configuration may be of another model, or a layer count too small.");
}

std::vector<std::string> Weights::remarks() const {
  std::vector<std::string> remarks;
  for (const auto &[dtype, to] : converted_)
    remarks.push_back(std::to_string(to.second) + " tensors are stored as " +
                      std::string(dtypeName(dtype)) + ", which the artifact doesn't have; they " +
                      "become " + std::string(elementName(to.first)));
  if (config_.quantization && config_.quantization->quantizesActivations())
    remarks.push_back(
        "quantization_config asks for activations of 8 bits; they stay in the compute "
        "type");
  const auto vision =
      std::count_if(checkpoint_.tensors().begin(), checkpoint_.tensors().end(),
                    [&](const SourceTensor &tensor) { return isVision(tensor.name); });
  if (vision)
    remarks.push_back(std::to_string(vision) +
                      " tensors of the vision part are left out "
                      "(vision_model.*, multi_modal_projector.*): only text is compiled");
  return remarks;
}

} // namespace llama4::llama4text
