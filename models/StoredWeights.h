//===- StoredWeights.h - a model's tensors in its checkpoint ----*- C++ -*-===//
//
// What every model does with the tensors of its checkpoint: looks them up by name, checks their
// extents, decides in which format the artifact keeps them, and keeps account, so that in the end
// none is missing and none was overlooked. Names and layouts are the models' own.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_MODELS_STOREDWEIGHTS_H
#define LLAMA4_MODELS_STOREDWEIGHTS_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/checkpoint/CompressedTensors.h"
#include "models/ModelOptions.h"

#include <functional>
#include <map>
#include <set>

namespace llama4::models {

/// What the configuration says about all weights of a model.
struct WeightFacts {
  std::optional<DType> storedType; ///< what dtype says; only for checkpoints without weights
  std::optional<CompressedTensors> quantization; ///< of FP8 and packed checkpoints
  bool isFloat32 = true;                         ///< compute type; else bfloat16
};

class StoredWeights {
public:
  /// Refers to the checkpoint, which must outlive the object.
  StoredWeights(const Checkpoint &checkpoint, WeightFacts facts)
      : checkpoint_(checkpoint), facts_(std::move(facts)) {}

  /// True where `source` is a tensor of the checkpoint or stands for packed ones.
  bool has(std::string_view source) const {
    return checkpoint_.find(source) || !packedName(source).empty();
  }
  /// The tensor `source`, checked to have the extents `dims`, and its scale where it is FP8; or the
  /// packed integers that stand for it, their scales and zero points. In a checkpoint without
  /// weights every tensor is there, of the type that dtype says. Errors name file, tensor and, for
  /// the first missing one, the nearest name.
  Result<graph::StoredTensor> take(const std::string &source, std::span<const int64_t> dims);
  /// A tensor of extents dims[1 ...] for each of dims[0] experts, whose number stands for the `*`
  /// of `pattern`. All have one type.
  Result<graph::StoredTensor> takeEach(const std::string &pattern, std::span<const int64_t> dims);

  using Predicate = std::function<bool(std::string_view source)>;
  /// An error where the checkpoint holds a tensor that was not taken, is none of the rotary
  /// frequencies that some checkpoints save, and that `isSuperfluous` doesn't know either.
  Status checkAllUsed(const Predicate &isSuperfluous) const;
  /// Tensors that fulfil `predicate`.
  int64_t count(const Predicate &predicate) const;

  /// One sentence for each stored type that the artifact doesn't have, and for what the
  /// quantization asks for in vain.
  std::vector<std::string> remarks() const;

private:
  graph::StoredTensor declare(const std::string &source) const;
  Status missing(const std::string &source);
  Status takeScale(const SourceTensor &tensor);
  /// "model.x.weight_packed" of "model.x.weight" where there is such a tensor; else empty.
  std::string packedName(std::string_view source) const;
  Result<graph::StoredTensor> takePacked(const std::string &source, std::span<const int64_t> dims);
  Result<const SourceTensor *> takePart(const std::string &name);
  Status checkShape(const std::string &name, std::span<const int64_t> dims);
  Status checkOrder(const std::string &name, int64_t columns, int64_t groupColumns);
  Status differs(const std::string &name, const std::string &found, const std::string &expected,
                 std::string_view remedy) const;
  Result<graph::Element> elementFor(const SourceTensor &tensor) const;
  /// For values that no block format has.
  graph::Element wideElement() const {
    return facts_.isFloat32 ? graph::Element::F32 : graph::Element::BF16;
  }

  const Checkpoint &checkpoint_;
  WeightFacts facts_;
  std::set<std::string> used_; ///< names in the checkpoint
  bool reportedMissing_ = false;
  /// Stored type and format in the artifact -> tensors.
  std::map<std::pair<std::string, graph::Element>, int64_t> converted_;
};

} // namespace llama4::models

#endif // LLAMA4_MODELS_STOREDWEIGHTS_H
