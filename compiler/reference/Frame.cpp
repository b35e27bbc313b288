//===- Frame.cpp - one running entry of the interpreter -------------------===//

#include "compiler/reference/Frame.h"

#include "compiler/reference/RowRegion.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace llama4::reference {

Element elementOf(Type type) {
  if (type.isBF16())
    return Element::BF16;
  if (type.isInteger(32))
    return Element::I32;
  if (auto block = dyn_cast<lm::BlockType>(type))
    return *lm::shape::parseElement(lm::stringifyBlockFormat(block.getFormat()));
  return Element::F32;
}

/// The first location of kind T inside of `loc`; null where there is none.
template <typename T> static T findLocation(Location loc) {
  T found;
  loc->walk([&](Location part) {
    found = dyn_cast<T>(part);
    return found ? WalkResult::interrupt() : WalkResult::advance();
  });
  return found;
}

std::string pathOf(Location loc) {
  auto name = findLocation<NameLoc>(loc);
  return name ? name.getName().str() : "";
}

std::string placeOf(Location loc) {
  std::string path = pathOf(loc);
  auto file = findLocation<FileLineColLoc>(loc);
  if (!file)
    return path;
  return (path.empty() ? "" : path + " ") + "(" + file.getFilename().str() + ":" +
         std::to_string(file.getLine()) + ")";
}

void Frame::evaluateConstant(arith::ConstantOp op) {
  if (auto number = dyn_cast<FloatAttr>(op.getValue()))
    scalars_[op.getResult()] = static_cast<float>(number.getValueAsDouble());
  else if (auto truth = dyn_cast<IntegerAttr>(op.getValue()))
    scalars_[op.getResult()] = truth.getValue().isZero() ? 0.0f : 1.0f;
}

Status Frame::bindResults(Operation *op, std::vector<HostTensor> results) {
  for (auto [index, value] : llvm::enumerate(results)) {
    auto tensor = std::make_shared<const HostTensor>(std::move(value));
    bind(op->getResult(index), tensor);
    if (interpreter_.observer_)
      interpreter_.observer_(
          {pathOf(op->getLoc()), op->getName().stripDialect().str(), static_cast<unsigned>(index)},
          *tensor);
  }
  return {};
}

Status Frame::dispatch(Operation *op) {
  return llvm::TypeSwitch<Operation *, Status>(op)
      .Case<lm::LoadParamOp, lm::EmbedOp, lm::LinearOp, lm::AttentionOp, lm::AddOp, lm::MulOp,
            lm::BiasOp, lm::SiluOp, lm::RmsNormOp, lm::RopeOp, lm::KvWriteOp, lm::QuantizeRowsOp,
            lm::GatherOp, lm::QkNormOp, lm::TemperatureOp, lm::RouteOp, lm::ExpertsOp,
            lm::GroupByExpertOp, lm::RowOp>([&](auto known) { return evaluate(known); })
      .Case<lm::LayerNormOp, lm::GeluOp, lm::HeadNormOp, lm::TanhGateOp, lm::GatedBiasOp,
            lm::PatchesOp, lm::InsertRowOp, lm::FitRowsOp, lm::SpreadRowsOp, lm::ReshapeOp,
            lm::ConcatOp, lm::PixelShuffleOp, lm::MergeRowsOp, lm::UnitAttentionOp,
            lm::CrossAttentionOp>([&](auto known) { return evaluate(known); })
      .Case([&](lm::KvLayerOp layer) {
        layers_[layer.getResult()] = {layer.getKv().getType().getKind(),
                                      static_cast<int64_t>(layer.getLayer())};
        return Status();
      })
      .Case([&](arith::ConstantOp constant) {
        evaluateConstant(constant);
        return Status();
      })
      .Case([&](func::ReturnOp) { return Status(); })
      .Default([&](Operation *) {
        return Status::invalidInput("the interpreter doesn't know this op; it runs modules of the "
                                    "lm dialect before lowering");
      });
}

Status Frame::execute(Operation *op) {
  Status status = dispatch(op);
  if (status.ok())
    return status;
  return status.in(op->getName().getStringRef().str() + " " + placeOf(op->getLoc()));
}

//===----------------------------------------------------------------------===//
// Regions
//===----------------------------------------------------------------------===//

Status Frame::runRegion(Region &region, ValueRange outputs, int64_t rows, int64_t width,
                        const std::vector<HostTensor> &inputs, std::vector<HostTensor> &results) {
  std::vector<HostTensor> stored;
  for (Value output : outputs) {
    auto type = cast<RankedTensorType>(output.getType());
    std::vector<int64_t> shape = {rows, width};
    if (type.getRank() == 3)
      shape = {rows / type.getDimSize(1), type.getDimSize(1), width};
    stored.push_back(HostTensor::zeros(elementOf(type.getElementType()), shape));
  }
  RowRegion body(*this, region, width);
  for (int64_t row = 0; row < rows; ++row) {
    for (auto [index, input] : llvm::enumerate(inputs))
      body.setArgument(index, input.row(row));
    LLAMA4_RETURN_IF_ERROR(body.run(row));
    for (auto [index, output] : llvm::enumerate(stored))
      output.store(row, body.yield(index));
  }
  std::move(stored.begin(), stored.end(), std::back_inserter(results));
  return {};
}

Result<int64_t> Frame::rowsOf(lm::RowOp op) const {
  std::optional<int64_t> direct, indexed;
  bool agree = true;
  op.getBody().walk([&](lm::ElementOp load) {
    std::optional<int64_t> &rows = load.getRows() ? indexed : direct;
    const HostTensor &tensor = get(load.getRows() ? load.getRows() : load.getSource());
    if ((!load.getRows() && tensor.shape.size() == 1) || load.readsBySlot())
      return;
    const int64_t found = load.getSlot() ? tensor.shape[0] : tensor.rows();
    agree &= !rows || *rows == found;
    rows = found;
  });
  if (!agree || (direct && indexed && *direct != *indexed))
    return Status::invalidInput("its loads read tensors of different numbers of rows");
  if (direct || indexed)
    return indexed ? *indexed : *direct;
  return batch_.tokens();
}

Status Frame::evaluate(lm::RowOp op) {
  LLAMA4_ASSIGN_OR_RETURN(int64_t rows, rowsOf(op));
  std::vector<HostTensor> results;
  LLAMA4_RETURN_IF_ERROR(runRegion(op.getBody(), op.getOutputs(), rows,
                                   static_cast<int64_t>(op.getWidth()), {}, results));
  return bindResults(op, std::move(results));
}

//===----------------------------------------------------------------------===//
// State
//===----------------------------------------------------------------------===//

Status Frame::needTokens(int64_t rows) const {
  if (rows == batch_.tokens())
    return {};
  return Status::invalidInput("has " + std::to_string(rows) + " rows, but the batch has " +
                              std::to_string(batch_.tokens()) + " tokens");
}

Status Frame::storeKv(lm::KvLayerType type, KvLayerRef layer, Plane plane, int64_t token,
                      std::span<const float> row) {
  if (token >= batch_.tokens())
    return needTokens(token + 1);
  if (static_cast<int64_t>(row.size()) != type.getHeads() * type.getDim())
    return Status::invalidInput("stores " + std::to_string(row.size()) + " columns in " +
                                std::to_string(type.getHeads()) + " heads of " +
                                std::to_string(type.getDim()));
  std::vector<float> stored(row.begin(), row.end());
  if (type.getElementType().isBF16())
    for (float &value : stored)
      value = roundToBFloat16(value);
  interpreter_.kv_.write(layer, plane, batch_.sequences[token], batch_.positions[token],
                         std::move(stored));
  return {};
}

} // namespace llama4::reference
