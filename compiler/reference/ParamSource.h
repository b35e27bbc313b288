//===- ParamSource.h - where the interpreter's parameters come from -------===//
#ifndef LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H
#define LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/reference/HostTensor.h"

#include <functional>
#include <string>

namespace llama4::reference {

/// What an lm.param and its #lm.source say.
struct ParamRequest {
  std::string name;   ///< canonical
  std::string source; ///< in the checkpoint
  int64_t unpermuteHeads = 0;
  Element element = Element::F32; ///< the format in which the artifact stores it
  std::vector<int64_t> shape;
  bool transpose = false;
  int64_t firstRow = 0;
  bool perExpert = false; ///< `*` in source and scale stands for the expert
  std::string scale = {}; ///< tensor of factors; empty = none
};

class ParamSource {
public:
  virtual ~ParamSource() = default;
  /// The decoded values of a parameter as the artifact would hold them. Errors name the tensor.
  virtual Result<HostTensor> read(const ParamRequest &request) = 0;
};

/// Replaces a row by what remains of it when stored as q8_0 or q4_1.
using BlockRounding = std::function<void(Element element, std::span<float> row)>;

/// Parameters of a checkpoint: decoded, rows put back in order, rounded to the asked-for format.
class CheckpointParams : public ParamSource {
public:
  /// Refers to the checkpoint. Without `rounding`, a parameter that must be converted to a block
  /// format is an error.
  explicit CheckpointParams(const Checkpoint &checkpoint, BlockRounding rounding = {})
      : checkpoint_(checkpoint), rounding_(std::move(rounding)) {}
  Result<HostTensor> read(const ParamRequest &request) override;

private:
  Result<const SourceTensor *> find(const ParamRequest &request, const std::string &name,
                                    const std::vector<int64_t> &shape) const;
  Status readMatrix(const ParamRequest &request, int64_t expert, std::span<float> out) const;
  Status scaleRows(const ParamRequest &request, int64_t expert, std::span<float> out) const;
  Status round(const SourceTensor &tensor, const ParamRequest &request, HostTensor &values) const;

  const Checkpoint &checkpoint_;
  BlockRounding rounding_;
};

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H
