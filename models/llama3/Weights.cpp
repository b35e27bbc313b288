//===- Weights.cpp - names and layouts of Llama 3 weights -----------------===//

#include "models/llama3/Weights.h"

#include "models/NearestName.h"
#include "runtime/format/Quoted.h"

#include <algorithm>
#include <array>

namespace llama4::llama3 {

using graph::Element;

namespace {

struct Name {
  std::string_view canonical, gguf;
};

constexpr std::array<Name, 3> kTopNames = {{
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
}};

/// Behind "model.layers.N." and "blk.N.".
constexpr std::array<Name, 9> kLayerNames = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
}};

constexpr std::string_view kLayers = "model.layers.";

} // namespace

std::string ggufName(const std::string &canonical) {
  const size_t dot = canonical.rfind('.');
  if (dot == std::string::npos)
    return "";
  const std::string_view module = std::string_view(canonical).substr(0, dot);
  const std::string kind = canonical.substr(dot); // ".weight"
  if (!module.starts_with(kLayers)) {
    for (const Name &name : kTopNames)
      if (module == name.canonical)
        return std::string(name.gguf) + kind;
    return "";
  }
  const std::string_view rest = module.substr(kLayers.size());
  const size_t end = rest.find('.');
  if (end == std::string_view::npos)
    return "";
  for (const Name &name : kLayerNames)
    if (rest.substr(end + 1) == name.canonical)
      return "blk." + std::string(rest.substr(0, end)) + "." + std::string(name.gguf) + kind;
  return "";
}

/// Heads whose rows GGUF permutes in the parameter; 0 for all but queries and keys.
static int64_t permutedHeads(const std::string &canonical, const ModelConfig &config) {
  if (canonical.find(".self_attn.q_proj.") != std::string::npos)
    return config.heads;
  return canonical.find(".self_attn.k_proj.") != std::string::npos ? config.kvHeads : 0;
}

Result<Element> Weights::elementFor(const SourceTensor &tensor) {
  switch (tensor.dtype) {
  case DType::F32:
    return Element::F32;
  case DType::BF16:
    return Element::BF16;
  default:
    break;
  }
  const bool isMatrix = tensor.shape.size() == 2;
  if (isMatrix && tensor.dtype == DType::Q8_0)
    return Element::Q8_0;
  if (isMatrix && tensor.dtype == DType::Q4_1)
    return Element::Q4_1;
  if (tensor.dtype != DType::F16 && !isBlockType(tensor.dtype))
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(tensor.name) +
                                ": found elements of type " + std::string(dtypeName(tensor.dtype)) +
                                ", expected f32, f16, bf16 or a GGUF block type; convert the "
                                "checkpoint to one of them.");
  // f16 fits exactly in f32 only. A block type has fewer bits than bf16, and as f32 it would take
  // eight times its size.
  const Element element = isMatrix && tensor.dtype != DType::F16 ? Element::BF16 : Element::F32;
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

Result<graph::StoredTensor> Weights::resolve(const std::string &canonical,
                                             std::span<const int64_t> dims) {
  if (checkpoint_.tensors().empty()) {
    const DType stored = config_.storedType.value_or(DType::BF16);
    return graph::StoredTensor{stored == DType::BF16 ? Element::BF16 : Element::F32, canonical, 0};
  }
  const std::string source = checkpoint_.isGguf() ? ggufName(canonical) : canonical;
  const SourceTensor *tensor = checkpoint_.find(source);
  if (!tensor)
    return missing(source);
  used_.insert(source);
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), dims.begin(), dims.end()))
    return Status::invalidInput(checkpoint_.path() + ": tensor " + quoteName(source) + ": found " +
                                shapeText(tensor->shape) + ", expected " + shapeText(dims) +
                                " from the configuration; correct the one that is wrong.");
  LLAMA4_ASSIGN_OR_RETURN(Element element, elementFor(*tensor));
  const int64_t heads = checkpoint_.isGguf() ? permutedHeads(canonical, config_) : 0;
  return graph::StoredTensor{element, source, heads};
}

bool Weights::isSuperfluous(const std::string &source) const {
  if (checkpoint_.isGguf())
    return source == "rope_freqs.weight"; // read by Config.cpp
  return source.ends_with("rotary_emb.inv_freq") ||
         (config_.tieWordEmbeddings && source == "lm_head.weight");
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
  return remarks;
}

} // namespace llama4::llama3
