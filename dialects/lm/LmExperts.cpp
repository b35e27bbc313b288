//===- LmExperts.cpp - verifiers of mixture-of-experts ops ----------------===//

#include "dialects/lm/Lm.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

/// [symbol, columns] with a fixed number of columns.
static bool isRows(RankedTensorType type) {
  return type.getRank() == 2 && type.isDynamicDim(0) && !type.isDynamicDim(1);
}

//===----------------------------------------------------------------------===//
// Route
//===----------------------------------------------------------------------===//

void RouteOp::build(OpBuilder &builder, OperationState &state, Value logits, int64_t top) {
  auto type = [&](Type element) {
    return RankedTensorType::get({ShapedType::kDynamic, top}, element);
  };
  build(builder, state, type(builder.getI32Type()), type(builder.getF32Type()), logits,
        builder.getI64IntegerAttr(top));
}

LogicalResult RouteOp::verify() {
  RankedTensorType logits = getLogits().getType();
  if (!isRows(logits))
    return emitOpError("logits are ") << logits << ", expected tensor<?xExf32>";
  const auto top = static_cast<int64_t>(getTop());
  if (top < 1 || top > logits.getDimSize(1))
    return emitOpError("top is ") << top << ", expected 1 to the " << logits.getDimSize(1)
                                  << " experts of the logits";
  for (Value result : getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    if (type.getShape() != ArrayRef({ShapedType::kDynamic, top}))
      return emitOpError("result is ") << type << ", expected tensor<?x" << top << "x...>";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Group by expert
//===----------------------------------------------------------------------===//

void GroupByExpertOp::build(OpBuilder &builder, OperationState &state, Value logits, int64_t top,
                            int64_t tile) {
  auto type = [&](Type element, int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, top, columns}, element);
  };
  Type i32 = builder.getI32Type();
  build(builder, state, type(i32, 1), type(builder.getF32Type(), 1), type(i32, 1), type(i32, 4),
        logits, builder.getI64IntegerAttr(top), builder.getI64IntegerAttr(tile));
}

LogicalResult GroupByExpertOp::verify() {
  RankedTensorType logits = getLogits().getType();
  if (!isRows(logits))
    return emitOpError("logits are ") << logits << ", expected tensor<?xExf32>";
  const auto top = static_cast<int64_t>(getTop());
  if (top < 1 || top > logits.getDimSize(1))
    return emitOpError("top is ") << top << ", expected 1 to the " << logits.getDimSize(1)
                                  << " experts of the logits";
  if (static_cast<int64_t>(getTile()) < 1)
    return emitOpError("tile is ")
           << static_cast<int64_t>(getTile()) << ", expected at least one row";
  for (Value result : getResults()) {
    auto type = cast<RankedTensorType>(result.getType());
    const int64_t columns = result == getTiles() ? 4 : 1;
    if (type.getShape() != ArrayRef({ShapedType::kDynamic, top, columns}))
      return emitOpError("result is ")
             << type << ", expected tensor<?x" << top << "x" << columns << "x...>";
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Experts
//===----------------------------------------------------------------------===//

LogicalResult ExpertsOp::verify() {
  RankedTensorType input = getInput().getType(), ids = getIds().getType();
  auto gate = cast<RankedTensorType>(getGate().getType());
  auto down = cast<RankedTensorType>(getDown().getType());
  if (!isRows(input))
    return emitOpError("input is ") << input << ", expected tensor<?xHxf32>";
  if (!isRows(ids) || getScores().getType().getShape() != ids.getShape())
    return emitOpError("ids are ") << ids << " and scores " << getScores().getType()
                                   << ", expected tensor<?xKxi32> and tensor<?xKxf32>";
  if (gate.getRank() != 3 || !gate.hasStaticShape() || gate.getDimSize(2) != input.getDimSize(1))
    return emitOpError("gate is ")
           << gate << ", expected tensor<ExFx" << input.getDimSize(1) << "> to match the input";
  if (down.getShape() != ArrayRef({gate.getDimSize(0), gate.getDimSize(2), gate.getDimSize(1)}))
    return emitOpError("down is ")
           << down << ", expected tensor<" << gate.getDimSize(0) << "x" << gate.getDimSize(2) << "x"
           << gate.getDimSize(1) << "> to match the gate";
  if (ids.getDimSize(1) > gate.getDimSize(0))
    return emitOpError("ids are ") << ids << ", but there are " << gate.getDimSize(0) << " experts";
  return success();
}
