//===- CompressedTensors.h - checkpoints of compressed-tensors --*- C++ -*-===//
//
// The `quantization_config` of checkpoints whose linear weights are stored in one of two forms:
//   float-quantized  e4m3 numbers with a scale per output channel (or one in all) beside them,
//                    `NAME.weight` and `NAME.weight_scale`, the weight being their product
//   pack-quantized   integers of 4 or 8 bits with a scale, and perhaps a zero point, per group of
//                    columns: PackedTensor.h
// Modules in `ignore` are stored plainly. There may be several groups of modules, in the format
// mixed-precision also of different forms. The tensors themselves say which form they have; which
// modules a group names is looked at only where several groups might describe packed integers. What
// the configuration says about activations concerns only engines that quantise them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_CHECKPOINT_COMPRESSEDTENSORS_H
#define LLAMA4_COMPILER_CHECKPOINT_COMPRESSEDTENSORS_H

#include "compiler/checkpoint/Config.h"
#include "compiler/checkpoint/NamePattern.h"

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace llama4 {

/// How a group of modules is packed.
struct PackedFormat {
  int64_t bits = 4;         ///< of an integer: 4 or 8
  int64_t groupColumns = 0; ///< with one scale; 0 = all of a row
  bool hasZeroPoints = false;
};

class CompressedTensors {
public:
  /// The description in `config` ("quantization_config"), nothing where there is none. Errors:
  /// InvalidInput for other methods, formats, number types and scale layouts, for keys and values
  /// in 8 bits, transforms and sparse weights, and for patterns that NamePattern doesn't know.
  static Result<std::optional<CompressedTensors>> read(const Config &config);

  /// True where `module` ("model.layers.0.self_attn.q_proj") is listed as stored plainly, by its
  /// name or by a pattern ("re:.*self_attn.*").
  bool isIgnored(std::string_view module) const { return ignored_.contains(module); }
  /// "model.x.weight_scale" of "model.x.weight"; empty for other names.
  static std::string scaleName(std::string_view weight);
  /// True where a group is of e4m3 numbers.
  bool hasFloat8() const;
  /// How `module` is packed: what the only group says, or of several the one that lists its name,
  /// or a pattern of it, or "Linear"; nothing where that is none of packed integers.
  std::optional<PackedFormat> packedFormat(std::string_view module) const;
  /// True where the configuration asks for quantised activations.
  bool quantizesActivations() const { return quantizesActivations_; }

private:
  /// Modules by their names or patterns.
  struct Modules {
    std::set<std::string, std::less<>> names;
    std::vector<NamePattern> patterns;
    bool matchesPattern(std::string_view module) const;
    bool contains(std::string_view module) const {
      return names.find(module) != names.end() || matchesPattern(module);
    }
  };
  struct Group {
    std::optional<PackedFormat> packed; ///< none: e4m3
    Modules targets;                    ///< where it matters
  };

  Status readGroups(const Config &groups, const std::string &format);
  Status readGroup(const Config &group, const std::string &format);
  static Result<Modules> readModules(const Config &section, std::string_view field);

  Modules ignored_;
  std::vector<Group> groups_;
  bool quantizesActivations_ = false;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_COMPRESSEDTENSORS_H
