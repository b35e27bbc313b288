//===- LmRowOps.cpp - row work: verifiers and scalar bodies ---------------===//
//
// buildRowBody is the one definition of what a row op computes; lm-form-rows uses it, so the fused
// form, the compiled code and the documentation cannot drift apart. The interpreter has a second,
// independent definition on purpose.
//
//===----------------------------------------------------------------------===//

#include "dialects/lm/RowWork.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

int64_t lm::columnsOf(Value value) { return getColumns(cast<RankedTensorType>(value.getType())); }

Value lm::element(OpBuilder &builder, Location loc, Value source, Value rows, AffineMap column) {
  return ElementOp::create(builder, loc, builder.getF32Type(), source, rows, IntegerAttr(),
                           column ? AffineMapAttr::get(column) : AffineMapAttr());
}

Value lm::constant(OpBuilder &builder, Location loc, float value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
}

LogicalResult lm::verifyRowVector(Operation *op, Value vector, int64_t width, StringRef what) {
  auto type = cast<RankedTensorType>(vector.getType());
  bool fits = type.getRank() == 1 && type.getDimSize(0) == width;
  if (!fits || isa<BlockType>(type.getElementType()))
    return op->emitOpError(what) << " is " << type << ", expected tensor<" << width << "x...>";
  return success();
}

LogicalResult lm::verifyRowVectors(Operation *op, Value vectors, Value rows, StringRef what) {
  auto type = cast<RankedTensorType>(vectors.getType());
  auto unit = cast<RankedTensorType>(rows.getType());
  if (type.getRank() != 2 || unit.getRank() != 3)
    return verifyRowVector(op, vectors, columnsOf(rows), what);
  if (!type.hasStaticShape() || type.getDimSize(0) < 1 ||
      unit.getDimSize(1) % type.getDimSize(0) != 0 || type.getDimSize(1) != unit.getDimSize(2) ||
      isa<BlockType>(type.getElementType()))
    return op->emitOpError(what) << " is " << type << ", expected tensor<Rx" << unit.getDimSize(2)
                                 << "x...> where R divides the " << unit.getDimSize(1)
                                 << " rows of a unit";
  return success();
}

LogicalResult lm::verifyRows(Operation *op, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getRank() != 2 || !type.isDynamicDim(0) || type.isDynamicDim(1))
    return op->emitOpError("operand is ") << type << ", expected tensor<?xN>";
  return success();
}

LogicalResult lm::verifyUnitRows(Operation *op, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  const bool isUnits = type.getRank() == 3 && type.isDynamicDim(0) && !type.isDynamicDim(1) &&
                       !type.isDynamicDim(2) && type.getDimSize(1) > 0;
  if (!isUnits && type.getRank() == 3)
    return op->emitOpError("operand is ") << type << ", expected tensor<?xKxN>";
  return isUnits ? success() : verifyRows(op, value);
}

LogicalResult lm::verifyEps(Operation *op, const APFloat &eps) {
  if (!(eps.convertToFloat() >= 0.0f))
    return op->emitOpError("eps is negative or not a number, expected at least 0");
  return success();
}

//===----------------------------------------------------------------------===//
// add, mul, bias, silu
//===----------------------------------------------------------------------===//

LogicalResult AddOp::verify() { return verifyUnitRows(*this, getLhs()); }
int64_t AddOp::getRowWidth() { return columnsOf(getLhs()); }
void AddOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  yields.push_back(arith::AddFOp::create(b, getLoc(), element(b, getLoc(), getLhs()),
                                         element(b, getLoc(), getRhs())));
}

LogicalResult MulOp::verify() { return verifyUnitRows(*this, getLhs()); }
int64_t MulOp::getRowWidth() { return columnsOf(getLhs()); }
void MulOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  yields.push_back(arith::MulFOp::create(b, getLoc(), element(b, getLoc(), getLhs()),
                                         element(b, getLoc(), getRhs())));
}

void BiasOp::build(OpBuilder &builder, OperationState &state, Value input, Value bias) {
  build(builder, state, input.getType(), input, bias);
}
LogicalResult BiasOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())))
    return failure();
  return verifyRowVectors(*this, getBias(), getInput(), "bias");
}
int64_t BiasOp::getRowWidth() { return columnsOf(getInput()); }
void BiasOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  yields.push_back(arith::AddFOp::create(b, getLoc(), element(b, getLoc(), getInput()),
                                         element(b, getLoc(), getBias())));
}

LogicalResult SiluOp::verify() { return verifyUnitRows(*this, getInput()); }
int64_t SiluOp::getRowWidth() { return columnsOf(getInput()); }
void SiluOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  Value x = element(b, loc, getInput());
  Value e = math::ExpOp::create(b, loc, arith::NegFOp::create(b, loc, x));
  Value d = arith::AddFOp::create(b, loc, constant(b, loc, 1.0f), e);
  yields.push_back(arith::DivFOp::create(b, loc, x, d));
}

//===----------------------------------------------------------------------===//
// rms_norm
//===----------------------------------------------------------------------===//

void RmsNormOp::build(OpBuilder &builder, OperationState &state, Value input, Value weight,
                      float eps) {
  build(builder, state, input.getType(), input, weight, builder.getF32FloatAttr(eps));
}
LogicalResult RmsNormOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())) || failed(verifyEps(*this, getEps())))
    return failure();
  return verifyRowVector(*this, getWeight(), columnsOf(getInput()), "weight");
}
int64_t RmsNormOp::getRowWidth() { return columnsOf(getInput()); }
void RmsNormOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  Value x = element(b, loc, getInput());
  Value square = arith::MulFOp::create(b, loc, x, x);
  Value sum = ReduceOp::create(b, loc, ReduceKind::Sum, square);
  Value mean = arith::MulFOp::create(b, loc, sum, constant(b, loc, 1.0f / getRowWidth()));
  Value shifted = arith::AddFOp::create(b, loc, mean, constant(b, loc, getEps().convertToFloat()));
  Value scale = math::RsqrtOp::create(b, loc, shifted);
  Value normed = arith::MulFOp::create(b, loc, x, scale);
  yields.push_back(arith::MulFOp::create(b, loc, normed, element(b, loc, getWeight())));
}

//===----------------------------------------------------------------------===//
// rope
//===----------------------------------------------------------------------===//

void RopeOp::build(OpBuilder &builder, OperationState &state, Value input, Value cos, Value sin,
                   RotateStyle style) {
  build(builder, state, input.getType(), input, cos, sin, style);
}
LogicalResult RopeOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())))
    return failure();
  RankedTensorType input = getInput().getType(), cos = getCos().getType();
  const bool isFixed = cos.getRank() == 2 && cos.hasStaticShape() && cos.getDimSize(1) > 0;
  if (input.getRank() == 3 && (!isFixed || cos.getDimSize(0) != input.getDimSize(1)))
    return emitOpError("cos is ") << cos << ", expected tensor<" << input.getDimSize(1)
                                  << "xPxf32>: a row for each row of a unit";
  if (input.getRank() == 2 && failed(verifyRows(*this, getCos())))
    return failure();
  if (columnsOf(getInput()) % (2 * columnsOf(getCos())))
    return emitOpError("input has ")
           << columnsOf(getInput()) << " columns, expected heads of " << 2 * columnsOf(getCos());
  return success();
}
int64_t RopeOp::getRowWidth() { return columnsOf(getInput()); }
void RopeOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  int64_t half = columnsOf(getCos());
  AffineExpr j = getAffineDimExpr(0, getContext());
  AffineExpr index = getStyle() == RotateStyle::Half ? j % half : (j % (2 * half)).floorDiv(2);
  AffineMap map = AffineMap::get(1, 0, index);
  Value x = element(b, loc, getInput());
  Value rotated = RotateOp::create(b, loc, getStyle(), x, 2 * half);
  Value kept = arith::MulFOp::create(b, loc, x, element(b, loc, getCos(), {}, map));
  Value turned = arith::MulFOp::create(b, loc, rotated, element(b, loc, getSin(), {}, map));
  yields.push_back(arith::AddFOp::create(b, loc, kept, turned));
}

//===----------------------------------------------------------------------===//
// qk_norm, temperature
//===----------------------------------------------------------------------===//

LogicalResult QkNormOp::verify() {
  if (failed(verifyRows(*this, getInput())))
    return failure();
  const auto dim = static_cast<int64_t>(getDim());
  if (dim < 1 || columnsOf(getInput()) % dim != 0)
    return emitOpError("input has ")
           << columnsOf(getInput()) << " columns, expected heads of " << dim;
  return verifyEps(*this, getEps());
}
int64_t QkNormOp::getRowWidth() { return columnsOf(getInput()); }
void QkNormOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  Location loc = getLoc();
  Value x = element(b, loc, getInput());
  Value square = arith::MulFOp::create(b, loc, x, x);
  Value sum = ReduceOp::create(b, loc, b.getF32Type(), ReduceKind::Sum, square,
                               b.getI64IntegerAttr(getDim()));
  Value mean = arith::MulFOp::create(b, loc, sum, constant(b, loc, 1.0f / getDim()));
  Value shifted = arith::AddFOp::create(b, loc, mean, constant(b, loc, getEps().convertToFloat()));
  yields.push_back(arith::MulFOp::create(b, loc, x, math::RsqrtOp::create(b, loc, shifted)));
}

LogicalResult TemperatureOp::verify() {
  if (failed(verifyRows(*this, getInput())) || failed(verifyRows(*this, getTemperature())))
    return failure();
  if (columnsOf(getTemperature()) != 1)
    return emitOpError("temperature is ")
           << getTemperature().getType() << ", expected tensor<?x1xf32>";
  return success();
}
int64_t TemperatureOp::getRowWidth() { return columnsOf(getInput()); }
void TemperatureOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  AffineMap first = AffineMap::get(1, 0, getAffineConstantExpr(0, getContext()));
  Value factor = element(b, getLoc(), getTemperature(), {}, first);
  yields.push_back(arith::MulFOp::create(b, getLoc(), element(b, getLoc(), getInput()), factor));
}

//===----------------------------------------------------------------------===//
// kv_write, quantize_rows, gather
//===----------------------------------------------------------------------===//

LogicalResult KvWriteOp::verify() {
  if (failed(verifyRows(*this, getKey())))
    return failure();
  KvLayerType kv = getKv().getType();
  if (columnsOf(getKey()) != kv.getHeads() * kv.getDim())
    return emitOpError("key and value are ")
           << getKey().getType() << ", expected " << kv.getHeads() * kv.getDim() << " columns";
  return success();
}
int64_t KvWriteOp::getRowWidth() { return columnsOf(getKey()); }
void KvWriteOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &) {
  KvPutOp::create(b, getLoc(), KvPlane::Key, element(b, getLoc(), getKey()), getKv(), getBatch());
  KvPutOp::create(b, getLoc(), KvPlane::Value, element(b, getLoc(), getValue()), getKv(),
                  getBatch());
}

LogicalResult QuantizeRowsOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())))
    return failure();
  auto result = cast<RankedTensorType>(getResult().getType());
  if (result.getShape() != getInput().getType().getShape())
    return emitOpError("result is ") << result << ", expected the input's shape";
  if (!result.getElementType().isBF16() && !isActivationBlock(result.getElementType()))
    return emitOpError("result elements are ")
           << result.getElementType() << ", expected bf16, !lm.block<q8_32> or !lm.block<q8_128>";
  return success();
}
int64_t QuantizeRowsOp::getRowWidth() { return columnsOf(getInput()); }
void QuantizeRowsOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  yields.push_back(element(b, getLoc(), getInput()));
}

void GatherOp::build(OpBuilder &builder, OperationState &state, Value source, Value rows) {
  auto type = cast<RankedTensorType>(source.getType());
  build(builder, state,
        RankedTensorType::get({ShapedType::kDynamic, getColumns(type)}, type.getElementType()),
        source, rows);
}
LogicalResult GatherOp::verify() {
  auto source = getSource().getType(), result = getResult().getType();
  if (getRows().getType().getRank() != 1 || source.getRank() != 2 || source.isDynamicDim(1) ||
      result.getShape() != ArrayRef({ShapedType::kDynamic, source.getDimSize(1)}))
    return emitOpError("found ") << source << ", " << getRows().getType() << " -> " << result
                                 << ", expected tensor<MxNxf32>, tensor<?xi32> -> tensor<?xNxf32>";
  return success();
}
int64_t GatherOp::getRowWidth() { return columnsOf(getSource()); }
void GatherOp::buildRowBody(OpBuilder &b, SmallVectorImpl<Value> &yields) {
  yields.push_back(element(b, getLoc(), getSource(), getRows()));
}

//===----------------------------------------------------------------------===//
// row, element
//===----------------------------------------------------------------------===//

void ElementOp::build(OpBuilder &builder, OperationState &state, Value source) {
  build(builder, state, builder.getF32Type(), source, Value(), IntegerAttr(), AffineMapAttr());
}

LogicalResult ReduceOp::verify() {
  if (static_cast<int64_t>(getDim().value_or(1)) < 1)
    return emitOpError("reduces over ")
           << static_cast<int64_t>(*getDim()) << " columns, expected at least 1";
  return success();
}

/// Checks the rows by which an element is read: an index for each row, or with a slot the index of
/// one slot of each row. `slots` is what the region runs on.
static LogicalResult verifyIndices(ElementOp op, int64_t slots) {
  auto rows = cast<RankedTensorType>(op.getRows().getType());
  if (cast<RankedTensorType>(op.getSource().getType()).getRank() < 2)
    return op.emitOpError("source is ")
           << op.getSource().getType() << ", but only rows can be read by row index";
  const bool isSlots = rows.getRank() == 3 && rows.getShape().back() == 1;
  if (std::optional<uint64_t> slot = op.getSlot())
    return slots == 0 && isSlots && *slot < static_cast<uint64_t>(rows.getDimSize(1))
               ? success()
               : op.emitOpError("reads slot ")
                     << *slot << " of " << rows << ", expected a slot of tensor<?xKx1xi32>";
  if (slots == 0 && rows.getRank() != 1)
    return op.emitOpError("rows are ") << rows << ", expected tensor<?xi32>";
  if (slots != 0 && !(isSlots && rows.getDimSize(1) == slots))
    return op.emitOpError("rows are ") << rows << ", expected tensor<?x" << slots << "x1xi32>";
  return success();
}

bool ElementOp::readsBySlot() {
  auto source = cast<RankedTensorType>(getSource().getType());
  const int64_t slots = getRowSlots((*this)->getParentOp());
  return !getRows() && slots > 0 && source.getRank() == 2 && source.hasStaticShape() &&
         source.getDimSize(0) > 0 && slots % source.getDimSize(0) == 0;
}

LogicalResult ElementOp::verify() {
  auto source = cast<RankedTensorType>(getSource().getType());
  if (source.getRank() < 1 || source.getRank() > 3 ||
      llvm::is_contained(source.getShape().drop_front(), ShapedType::kDynamic) ||
      isa<BlockType>(source.getElementType()))
    return emitOpError("source is ") << source << ", expected f32 or bf16 rows or a row vector";
  const int64_t slots = getRowSlots((*this)->getParentOp());
  if (getSlot() && !getRows())
    return emitOpError("has a slot, but no rows to take it from");
  if (getRows() && failed(verifyIndices(*this, slots)))
    return failure();
  const int64_t own = source.getRank() == 3 ? source.getDimSize(1) : 0;
  if (!getRows() && source.getRank() > 1 && own != slots && !readsBySlot())
    return emitOpError("source is ")
           << source << ", expected rows as the region has them: tensor<?x"
           << (slots ? Twine(slots) + "x" : Twine()) << "N>";
  if (std::optional<AffineMap> map = getColumn();
      map && (map->getNumDims() != 1 || map->getNumSymbols() != 0 || map->getNumResults() != 1))
    return emitOpError("column map must map one column to one column");
  return success();
}

LogicalResult RowOp::verify() {
  if (getWidth() < 1)
    return emitOpError("width is ") << getWidth() << ", expected at least 1";
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getValues().size() != getOutputs().size())
    return emitOpError("body must end in lm.yield with one scalar per result");
  for (Type type : getOutputs().getTypes()) {
    auto tensor = cast<RankedTensorType>(type);
    if (tensor.getRank() < 2 || tensor.getRank() > 3 || !tensor.isDynamicDim(0) ||
        llvm::is_contained(tensor.getShape().drop_front(), ShapedType::kDynamic) ||
        tensor.getShape().back() != static_cast<int64_t>(getWidth()))
      return emitOpError("result is ") << tensor << ", expected tensor<?x" << getWidth()
                                       << "x...> or tensor<?xKx" << getWidth() << "x...>";
    auto first = cast<RankedTensorType>(getOutputs().front().getType());
    if (tensor.getShape() != first.getShape())
      return emitOpError("result is ") << tensor << ", expected the rows of " << first;
  }
  return success();
}
