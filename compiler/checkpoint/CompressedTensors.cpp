//===- CompressedTensors.cpp - FP8 checkpoints of compressed-tensors ------===//

#include "compiler/checkpoint/CompressedTensors.h"

#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4 {

/// A text field that has exactly one value we can honour.
static Status expectText(const Config &config, std::string_view name, const std::string &expected) {
  LLAMA4_ASSIGN_OR_RETURN(std::string found, config.string(name));
  if (found != expected)
    return config.error(name, "the text " + quoteName(found), expected);
  return {};
}

static Status expectTruth(const Config &config, std::string_view name, bool expected) {
  LLAMA4_ASSIGN_OR_RETURN(bool found, config.boolean(name, expected));
  if (found != expected)
    return config.error(name, found ? "true" : "false", expected ? "true" : "false");
  return {};
}

Status CompressedTensors::readGroup(const Config &group) {
  LLAMA4_ASSIGN_OR_RETURN(Config weights, group.section("weights"));
  LLAMA4_RETURN_IF_ERROR(weights.integer("num_bits", 8, 8).status());
  LLAMA4_RETURN_IF_ERROR(expectText(weights, "type", "float"));
  LLAMA4_RETURN_IF_ERROR(expectTruth(weights, "symmetric", true));
  LLAMA4_RETURN_IF_ERROR(expectTruth(weights, "dynamic", false));
  LLAMA4_ASSIGN_OR_RETURN(std::string strategy, weights.string("strategy"));
  if (strategy != "channel" && strategy != "tensor")
    return weights.error("strategy", "the text " + quoteName(strategy), "channel or tensor");
  LLAMA4_RETURN_IF_ERROR(group.strings("targets").status());
  quantizesActivations_ |= group.has("input_activations");
  // How the scales were found doesn't matter once they are there.
  group.acknowledgeAll();
  return {};
}

Status CompressedTensors::readIgnored(const Config &quantization) {
  constexpr std::string_view kMark = "re:";
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> ignored, quantization.strings("ignore"));
  for (std::string &name : ignored) {
    if (!name.starts_with(kMark)) {
      ignored_.insert(std::move(name));
      continue;
    }
    std::optional<NamePattern> pattern =
        NamePattern::parse(std::string_view(name).substr(kMark.size()));
    if (!pattern)
      return quantization.error(
          "ignore", "the pattern " + quoteName(name),
          "characters, '.', '\\d', '*', '+', '?', '^' and '$' only, or names");
    patterns_.push_back(std::move(*pattern));
  }
  return {};
}

bool CompressedTensors::isIgnored(std::string_view module) const {
  return ignored_.find(module) != ignored_.end() ||
         std::any_of(patterns_.begin(), patterns_.end(),
                     [&](const NamePattern &pattern) { return pattern.matches(module); });
}

Result<std::optional<CompressedTensors>> CompressedTensors::read(const Config &config) {
  if (!config.has("quantization_config"))
    return std::optional<CompressedTensors>();
  LLAMA4_ASSIGN_OR_RETURN(Config quantization, config.section("quantization_config"));
  LLAMA4_RETURN_IF_ERROR(expectText(quantization, "quant_method", "compressed-tensors"));
  LLAMA4_RETURN_IF_ERROR(expectText(quantization, "format", "float-quantized"));
  LLAMA4_ASSIGN_OR_RETURN(Config groups, quantization.section("config_groups"));
  const std::vector<std::string> names = groups.fields();
  if (names.empty())
    return quantization.error("config_groups", "no group", "at least one");
  CompressedTensors result;
  for (const std::string &name : names) {
    LLAMA4_ASSIGN_OR_RETURN(Config group, groups.section(name));
    LLAMA4_RETURN_IF_ERROR(result.readGroup(group));
  }
  LLAMA4_RETURN_IF_ERROR(result.readIgnored(quantization));
  quantization.acknowledge({"global_compression_ratio", "quantization_status", "version"});
  return std::optional(std::move(result));
}

std::string CompressedTensors::scaleName(std::string_view weight) {
  return weight.ends_with(".weight") ? std::string(weight) + "_scale" : std::string();
}

} // namespace llama4
