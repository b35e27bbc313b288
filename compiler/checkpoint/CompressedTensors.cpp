//===- CompressedTensors.cpp - checkpoints of compressed-tensors ----------===//

#include "compiler/checkpoint/CompressedTensors.h"

#include "runtime/format/Quoted.h"

#include <algorithm>

namespace llama4 {

static constexpr std::string_view kFloat = "float-quantized", kPacked = "pack-quantized",
                                  kMixed = "mixed-precision";

static Status wrongText(const Config &config, std::string_view name, const std::string &found,
                        const std::string &expected) {
  return config.error(name, "the text " + quoteName(found), expected);
}

/// A text field that has exactly one value we can honour.
static Status expectText(const Config &config, std::string_view name, const std::string &expected) {
  LLAMA4_ASSIGN_OR_RETURN(std::string found, config.string(name));
  return found == expected ? Status() : wrongText(config, name, found, expected);
}

static Status expectTruth(const Config &config, std::string_view name, bool expected) {
  LLAMA4_ASSIGN_OR_RETURN(bool found, config.boolean(name, expected));
  if (found != expected)
    return config.error(name, found ? "true" : "false", expected ? "true" : "false");
  return {};
}

static Status expectScales(const Config &weights, const std::string &strategy, std::string_view one,
                           std::string_view other) {
  if (strategy == one || strategy == other)
    return {};
  return wrongText(weights, "strategy", strategy, std::string(one) + " or " + std::string(other));
}

/// e4m3 numbers with scales.
static Status checkFloats(const Config &weights) {
  LLAMA4_RETURN_IF_ERROR(weights.integer("num_bits", 8, 8).status());
  LLAMA4_RETURN_IF_ERROR(expectText(weights, "type", "float"));
  LLAMA4_RETURN_IF_ERROR(expectTruth(weights, "symmetric", true));
  LLAMA4_ASSIGN_OR_RETURN(std::string strategy, weights.string("strategy"));
  return expectScales(weights, strategy, "channel", "tensor");
}

static Result<PackedFormat> readPacked(const Config &weights) {
  PackedFormat format;
  LLAMA4_ASSIGN_OR_RETURN(format.bits, weights.integer("num_bits", 1, 8));
  if (format.bits != 4 && format.bits != 8)
    return weights.error("num_bits", std::to_string(format.bits), "4 or 8");
  LLAMA4_RETURN_IF_ERROR(expectText(weights, "type", "int"));
  LLAMA4_ASSIGN_OR_RETURN(bool symmetric, weights.boolean("symmetric", true));
  format.hasZeroPoints = !symmetric;
  LLAMA4_ASSIGN_OR_RETURN(std::string strategy, weights.string("strategy"));
  LLAMA4_RETURN_IF_ERROR(expectScales(weights, strategy, "group", "channel"));
  if (strategy == "group") {
    LLAMA4_ASSIGN_OR_RETURN(format.groupColumns, weights.integer("group_size", 1, 1 << 20));
  }
  return format;
}

Status CompressedTensors::readGroup(const Config &group, const std::string &format) {
  LLAMA4_ASSIGN_OR_RETURN(Config weights, group.section("weights"));
  LLAMA4_RETURN_IF_ERROR(expectTruth(weights, "dynamic", false));
  // A group of the mixed format says its own; one of another format may repeat that.
  LLAMA4_ASSIGN_OR_RETURN(
      std::string own,
      group.string("format", format == kMixed ? std::nullopt : std::optional(format)));
  Group result;
  if (own == kPacked) {
    LLAMA4_ASSIGN_OR_RETURN(result.packed, readPacked(weights));
  } else if (own == kFloat) {
    LLAMA4_RETURN_IF_ERROR(checkFloats(weights));
  } else {
    return wrongText(group, "format", own, std::string(kFloat) + " or " + std::string(kPacked));
  }
  LLAMA4_RETURN_IF_ERROR(group.strings("targets").status());
  quantizesActivations_ |= group.has("input_activations");
  groups_.push_back(std::move(result));
  // How the scales were found doesn't matter once they are there.
  group.acknowledgeAll();
  return {};
}

Result<CompressedTensors::Modules> CompressedTensors::readModules(const Config &section,
                                                                  std::string_view field) {
  constexpr std::string_view kMark = "re:";
  LLAMA4_ASSIGN_OR_RETURN(std::vector<std::string> listed, section.strings(field));
  Modules modules;
  for (std::string &name : listed) {
    if (!name.starts_with(kMark)) {
      modules.names.insert(std::move(name));
      continue;
    }
    std::optional<NamePattern> pattern =
        NamePattern::parse(std::string_view(name).substr(kMark.size()));
    if (!pattern)
      return section.error(field, "the pattern " + quoteName(name),
                           "characters, '.', '\\d', '*', '+', '?', '^' and '$' only, or names");
    modules.patterns.push_back(std::move(*pattern));
  }
  return modules;
}

bool CompressedTensors::Modules::matchesPattern(std::string_view module) const {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const NamePattern &pattern) { return pattern.matches(module); });
}

Status CompressedTensors::readGroups(const Config &groups, const std::string &format) {
  const std::vector<std::string> names = groups.fields();
  bool isPacked = false;
  for (const std::string &name : names) {
    LLAMA4_ASSIGN_OR_RETURN(Config group, groups.section(name));
    LLAMA4_RETURN_IF_ERROR(readGroup(group, format));
    isPacked |= groups_.back().packed.has_value();
  }
  for (size_t i = 0; isPacked && names.size() > 1 && i < names.size(); ++i) {
    LLAMA4_ASSIGN_OR_RETURN(Config group, groups.section(names[i]));
    LLAMA4_ASSIGN_OR_RETURN(groups_[i].targets, readModules(group, "targets"));
  }
  return {};
}

bool CompressedTensors::hasFloat8() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const Group &group) { return !group.packed; });
}

std::optional<PackedFormat> CompressedTensors::packedFormat(std::string_view module) const {
  if (groups_.size() == 1)
    return groups_.front().packed;
  // The package's own order: names, patterns, classes.
  for (const Group &group : groups_)
    if (group.targets.names.find(module) != group.targets.names.end())
      return group.packed;
  for (const Group &group : groups_)
    if (group.targets.matchesPattern(module))
      return group.packed;
  for (const Group &group : groups_)
    if (group.targets.names.count("Linear"))
      return group.packed;
  return std::nullopt;
}

/// What would change the weights, or need tensors beside them, in a way that is not read.
static Status checkPlain(const Config &quantization) {
  if (quantization.has("kv_cache_scheme"))
    return quantization.error("kv_cache_scheme", "a scheme",
                              "null, since stored scales of keys and values are not read");
  if (quantization.has("transform_config")) {
    LLAMA4_ASSIGN_OR_RETURN(Config transforms, quantization.section("transform_config"));
    if (!transforms.fields().empty())
      return quantization.error("transform_config", "transforms",
                                "none, since weights are read as they are stored");
  }
  if (!quantization.has("sparsity_config"))
    return {};
  LLAMA4_ASSIGN_OR_RETURN(Config sparsity, quantization.section("sparsity_config"));
  if (sparsity.fields().empty())
    return {};
  LLAMA4_RETURN_IF_ERROR(expectText(sparsity, "format", "dense"));
  sparsity.acknowledgeAll();
  return {};
}

/// The layouts that other packages write say so here.
static Status checkMethod(const Config &quantization) {
  constexpr std::string_view kMethod = "compressed-tensors";
  LLAMA4_ASSIGN_OR_RETURN(std::string method, quantization.string("quant_method"));
  if (method == kMethod)
    return {};
  if (method != "gptq" && method != "awq")
    return wrongText(quantization, "quant_method", method, std::string(kMethod));
  return Status::invalidInput(quantization.file() +
                              ": field \"quantization_config.quant_method\": found the layout " +
                              method + ", expected " + std::string(kMethod) +
                              "; give a checkpoint in its format pack-quantized, which "
                              "llm-compressor writes, or the one that this was made from.");
}

Result<std::optional<CompressedTensors>> CompressedTensors::read(const Config &config) {
  if (!config.has("quantization_config"))
    return std::optional<CompressedTensors>();
  LLAMA4_ASSIGN_OR_RETURN(Config quantization, config.section("quantization_config"));
  LLAMA4_RETURN_IF_ERROR(checkMethod(quantization));
  LLAMA4_ASSIGN_OR_RETURN(std::string format, quantization.string("format"));
  if (format != kFloat && format != kPacked && format != kMixed)
    return wrongText(quantization, "format", format,
                     std::string(kFloat) + ", " + std::string(kPacked) + " or " +
                         std::string(kMixed));
  LLAMA4_RETURN_IF_ERROR(checkPlain(quantization));
  LLAMA4_ASSIGN_OR_RETURN(Config groups, quantization.section("config_groups"));
  if (groups.fields().empty())
    return quantization.error("config_groups", "no group", "at least one");
  CompressedTensors result;
  LLAMA4_RETURN_IF_ERROR(result.readGroups(groups, format));
  LLAMA4_ASSIGN_OR_RETURN(result.ignored_, readModules(quantization, "ignore"));
  quantization.acknowledge({"global_compression_ratio", "quantization_status", "version"});
  return std::optional(std::move(result));
}

std::string CompressedTensors::scaleName(std::string_view weight) {
  return weight.ends_with(".weight") ? std::string(weight) + "_scale" : std::string();
}

} // namespace llama4
