//===- Frame.h - one running entry of the interpreter -----------*- C++ -*-===//
//
// Private to the interpreter: the values of a function's ops, and the evaluation of ops and
// regions on them.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_COMPILER_REFERENCE_FRAME_H
#define LLAMA4_COMPILER_REFERENCE_FRAME_H

#include "compiler/reference/Interpreter.h"

#include "dialects/lm/Lm.h"

namespace llama4::reference {

using TensorRef = std::shared_ptr<const HostTensor>;
/// The elements of a scalar expression along one row.
using Lanes = std::vector<float>;

class Frame {
public:
  Frame(Interpreter &interpreter, const Batch &batch) : interpreter_(interpreter), batch_(batch) {}

  void bind(mlir::Value value, TensorRef tensor) { tensors_[value] = std::move(tensor); }
  /// Executes an op; its tensor results are bound and observed. Errors name op and place.
  Status execute(mlir::Operation *op);
  const TensorRef &tensor(mlir::Value value) const { return tensors_.find(value)->second; }

private:
  friend class RowRegion;

  const HostTensor &get(mlir::Value value) const { return *tensor(value); }
  KvLayerRef layerOf(mlir::Value value) const { return layers_.find(value)->second; }
  Status bindResults(mlir::Operation *op, std::vector<HostTensor> results);
  Status dispatch(mlir::Operation *op);
  void evaluateConstant(mlir::arith::ConstantOp op);

  // NamedOps.cpp: each op from its description.
  Status evaluate(lm::LoadParamOp op);
  Status evaluate(lm::EmbedOp op);
  Status evaluate(lm::AddOp op);
  Status evaluate(lm::MulOp op);
  Status evaluate(lm::BiasOp op);
  Status evaluate(lm::SiluOp op);
  Status evaluate(lm::RmsNormOp op);
  Status evaluate(lm::RopeOp op);
  Status evaluate(lm::KvWriteOp op);
  Status evaluate(lm::QuantizeRowsOp op);
  Status evaluate(lm::GatherOp op);
  Status evaluate(lm::QkNormOp op);
  Status evaluate(lm::TemperatureOp op);

  // VisionRows.cpp and VisionAttention.cpp
  Status evaluate(lm::LayerNormOp op);
  Status evaluate(lm::GeluOp op);
  Status evaluate(lm::HeadNormOp op);
  Status evaluate(lm::TanhGateOp op);
  Status evaluate(lm::GatedBiasOp op);
  Status evaluate(lm::PatchesOp op);
  Status evaluate(lm::InsertRowOp op);
  Status evaluate(lm::FitRowsOp op);
  Status evaluate(lm::SpreadRowsOp op);
  Status evaluate(lm::ReshapeOp op);
  Status evaluate(lm::ConcatOp op);
  Status evaluate(lm::PixelShuffleOp op);
  Status evaluate(lm::MergeRowsOp op);
  Status evaluate(lm::UnitAttentionOp op);
  Status evaluate(lm::CrossAttentionOp op);

  // Experts.cpp
  Status evaluate(lm::RouteOp op);
  Status evaluate(lm::ExpertsOp op);
  Status evaluate(lm::GroupByExpertOp op);

  // Contractions.cpp and Frame.cpp: ops with regions.
  Status evaluate(lm::LinearOp op);
  Status evaluate(lm::AttentionOp op);
  Status evaluate(lm::RowOp op);
  Status attendToken(lm::AttentionOp op, int64_t token, std::span<float> out);
  /// Runs an epilogue on the rows of `inputs` and appends a tensor for each of `outputs`.
  Status runRegion(mlir::Region &region, mlir::ValueRange outputs, int64_t rows, int64_t width,
                   const std::vector<HostTensor> &inputs, std::vector<HostTensor> &results);
  /// Rows that the loads of a row region read.
  Result<int64_t> rowsOf(lm::RowOp op) const;

  /// Stores a row of keys or values at a token's place, rounded to the state's format.
  Status storeKv(lm::KvLayerType type, KvLayerRef layer, Plane plane, int64_t token,
                 std::span<const float> row);
  Status needTokens(int64_t rows) const;

  Interpreter &interpreter_;
  const Batch &batch_;
  llvm::DenseMap<mlir::Value, TensorRef> tensors_;
  llvm::DenseMap<mlir::Value, KvLayerRef> layers_;
  llvm::DenseMap<mlir::Value, float> scalars_; ///< constants outside of regions
};

/// The element format of a tensor type of the dialect.
Element elementOf(mlir::Type type);
/// "arg0" or the argument's lm.name.
std::string argumentName(mlir::func::FuncOp func, unsigned index);
/// The name of a location for traces and errors, and the file and line behind it.
std::string pathOf(mlir::Location loc);
std::string placeOf(mlir::Location loc);

} // namespace llama4::reference

#endif // LLAMA4_COMPILER_REFERENCE_FRAME_H
