//===- CompressedTensors.h - FP8 checkpoints of compressed-tensors -*- C++ -*-===//
//
// The `quantization_config` of checkpoints whose linear weights are stored as e4m3 numbers with a
// scale per output channel (or one in all) beside them: `NAME.weight` and `NAME.weight_scale`, the
// weight being their product. Modules in `ignore` are stored plainly. There may be several groups
// of modules, as long as all are stored like this: which modules they name is not looked at, since
// the tensors themselves say how they are stored. What the configuration says about activations
// concerns only engines that quantise them.
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

class CompressedTensors {
public:
  /// The description in `config` ("quantization_config"), nothing where there is none. Errors:
  /// InvalidInput for other methods, formats, number types and scale layouts, and for patterns that
  /// NamePattern doesn't know.
  static Result<std::optional<CompressedTensors>> read(const Config &config);

  /// True where `module` ("model.layers.0.self_attn.q_proj") is listed as stored plainly, by its
  /// name or by a pattern ("re:.*self_attn.*").
  bool isIgnored(std::string_view module) const;
  /// "model.x.weight_scale" of "model.x.weight"; empty for other names.
  static std::string scaleName(std::string_view weight);
  /// True where the configuration asks for quantised activations.
  bool quantizesActivations() const { return quantizesActivations_; }

private:
  Status readGroup(const Config &group);
  Status readIgnored(const Config &quantization);

  std::set<std::string, std::less<>> ignored_;
  std::vector<NamePattern> patterns_;
  bool quantizesActivations_ = false;
};

} // namespace llama4

#endif // LLAMA4_COMPILER_CHECKPOINT_COMPRESSEDTENSORS_H
