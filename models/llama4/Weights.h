//===- Weights.h - names and layouts of Llama 4 weights ---------*- C++ -*-===//
//
// Canonical names are those of the Hugging Face layout of Llama4ForCausalLM, weights [outputs,
// inputs]; a multimodal checkpoint has them behind "language_model.". The routed experts of a layer
// are three parameters of rank 3, "...feed_forward.experts.{gate,up,down}_proj.weight", stored
//
//   fused        experts.gate_up_proj [E, H, 2 F] (gate first), experts.down_proj [E, F, H],
//                both [inputs, outputs]
//   per expert   experts.N.gate_proj.weight [F, H] and so on, [outputs, inputs]
//
// Any weight may be stored as FP8 numbers with a scale per row beside it (CompressedTensors.h).
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_LLAMA4_WEIGHTS_H
#define LLAMA4_MODELS_LLAMA4_WEIGHTS_H

#include "models/ModelOptions.h"
#include "models/llama4/Config.h"

#include <map>
#include <set>

namespace llama4::llama4text {

/// Finds parameters in a checkpoint and keeps account of what was asked for.
class Weights {
public:
  /// Refers to `checkpoint` and `config`; they must outlive the object.
  Weights(const Checkpoint &checkpoint, const ModelConfig &config,
          const models::ModelOptions &options)
      : checkpoint_(checkpoint), config_(config), isFloat32_(options.compute == "float32") {}

  /// Where the values of `canonical` are, checked to have the extents `dims`. In a checkpoint
  /// without weights every parameter has the type that dtype says. Errors name file, tensor and,
  /// for a missing one, the nearest name.
  Result<graph::StoredTensor> resolve(const std::string &canonical, std::span<const int64_t> dims);

  /// An error where the checkpoint holds a tensor that was neither resolved nor belongs to the
  /// vision part nor is known to be superfluous.
  Status checkAllUsed() const;

  /// One sentence for each stored type that the artifact doesn't have, and for what is left out.
  std::vector<std::string> remarks() const;

private:
  Result<graph::StoredTensor> resolveExperts(const std::string &canonical,
                                             std::span<const int64_t> dims);
  Result<graph::StoredTensor> resolvePerExpert(const std::string &pattern,
                                               std::span<const int64_t> dims);
  /// The tensor `source` of exactly `dims`, counted as used.
  Result<const SourceTensor *> take(const std::string &source, std::span<const int64_t> dims);
  /// Checks and counts the scale of an FP8 tensor.
  Status takeScale(const SourceTensor &tensor);
  Status missing(const std::string &source);
  bool isVision(std::string_view source) const;
  bool isSuperfluous(std::string_view source) const;
  Result<graph::Element> elementFor(const SourceTensor &tensor);

  const Checkpoint &checkpoint_;
  const ModelConfig &config_;
  bool isFloat32_;
  std::set<std::string> used_; ///< names in the checkpoint
  bool reportedMissing_ = false;
  std::map<DType, std::pair<graph::Element, int64_t>> converted_;
};

} // namespace llama4::llama4text

#endif // LLAMA4_MODELS_LLAMA4_WEIGHTS_H
