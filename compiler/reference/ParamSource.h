//===- ParamSource.h - where the interpreter's parameters come from -------===//
#ifndef LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H
#define LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H

#include "compiler/checkpoint/Checkpoint.h"
#include "compiler/checkpoint/SourceParam.h"
#include "compiler/reference/HostTensor.h"

#include <functional>

namespace llama4::reference {

/// What an lm.param and its #lm.source say.
struct ParamRequest : SourceSpec {
  Element element = Element::F32; ///< the format in which the artifact stores it
};

class ParamSource {
public:
  virtual ~ParamSource() = default;
  /// The decoded values of a parameter as the artifact would hold them. Errors name the tensor.
  virtual Result<HostTensor> read(const ParamRequest &request) = 0;
};

/// Replaces a row by what remains of it when stored in a block format.
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
  Status round(const SourceParam &source, const ParamRequest &request, int64_t matrix,
               std::span<float> values) const;

  const Checkpoint &checkpoint_;
  BlockRounding rounding_;
};

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_PARAMSOURCE_H
