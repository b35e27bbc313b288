//===- GgufNames.cpp - what GGUF calls the tensors of a model -------------===//

#include "models/GgufNames.h"

namespace llama4::models {

static constexpr GgufName kTopNames[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
static constexpr std::string_view kLayers = "model.layers.";

static std::string_view nameIn(std::span<const GgufName> names, std::string_view module) {
  for (const GgufName &name : names)
    if (name.canonical == module)
      return name.gguf;
  return {};
}

std::string ggufName(std::string_view canonical, std::span<const GgufName> layerNames) {
  const size_t dot = canonical.rfind('.');
  if (dot == std::string_view::npos)
    return "";
  const std::string_view module = canonical.substr(0, dot), kind = canonical.substr(dot);
  std::string prefix;
  std::string_view name;
  if (module.starts_with(kLayers)) {
    const std::string_view rest = module.substr(kLayers.size());
    const size_t end = rest.find('.');
    if (end == std::string_view::npos)
      return "";
    prefix = "blk." + std::string(rest.substr(0, end)) + ".";
    name = nameIn(layerNames, rest.substr(end + 1));
  } else {
    name = nameIn(kTopNames, module);
  }
  return name.empty() ? std::string() : prefix + std::string(name) + std::string(kind);
}

} // namespace llama4::models
