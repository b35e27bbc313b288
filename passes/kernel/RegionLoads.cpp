//===- RegionLoads.cpp - elements and rotation partners -------------------===//

#include "passes/kernel/ColumnAccess.h"
#include "passes/kernel/RegionEmitter.h"

#include "passes/Formats.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

Type kernel::storedElement(RankedTensorType type) {
  return type.getRank() == 1 ? Float32Type::get(type.getContext()) : type.getElementType();
}

int64_t kernel::storedRowBytes(RankedTensorType type) {
  // A parameter that row work reads lies in rows like any other tensor.
  if (auto layout = dyn_cast_or_null<target::LayoutAttr>(type.getEncoding());
      layout && layout.getKind() == "row")
    type = RankedTensorType::get(type.getShape(), type.getElementType());
  return static_cast<int64_t>(getRowBytes(type).value_or(0));
}

/// Bytes of one stored f32 or bf16.
static int64_t bytesOf(Type element) { return element.isBF16() ? 2 : 4; }

Value RegionEmitter::loadFloats(Type element, Value row, Value column, int64_t lanes,
                                int64_t active) {
  Value pointer = ir_.at(row, ir_.mul(column, bytesOf(element)));
  if (!element.isBF16())
    return ir_.load(element, lanes, active, pointer);
  return ir_.widenBf16(ir_.load(ir_.b.getI16Type(), lanes, active, pointer));
}

Value RegionEmitter::gatherFloats(Type element, Value row, Value columns, int64_t active) {
  ++frame_.numGathers;
  if (!element.isBF16())
    return ir_.gather(element, columns, active, row);
  return ir_.widenBf16(ir_.gather(ir_.b.getI16Type(), columns, active, row));
}

Value RegionEmitter::loadArgument(unsigned argument, Chunk &chunk) {
  return loadFloats(ir_.b.getF32Type(), site_.arguments[argument], chunk.start, chunk.lanes,
                    chunk.active);
}

/// Columns `column`, `column` + 1, ... as vector<lanes x i32>.
static Value columnsFrom(Ir &ir, Value column, int64_t lanes) {
  Value first = ir.fold<arith::TruncIOp>(ir.b.getI32Type(), column);
  return ir.make<arith::AddIOp>(ir.splat(first, lanes), ir.lanesOf(lanes));
}

Value RegionEmitter::loadElement(lm::ElementOp op, Chunk &chunk) {
  Value row = elementRows_.lookup(op);
  Type element = storedElement(cast<RankedTensorType>(op.getSource().getType()));
  AffineExpr expr =
      op.getColumn() ? op.getColumn()->getResult(0) : getAffineDimExpr(0, op.getContext());
  ColumnAccess access = analyseColumns(expr, chunk.lanes, chunk.divisor);
  if (access.stride == ColumnStride::Any) {
    Value columns = columnsFrom(ir_, chunk.column, chunk.lanes);
    return gatherFloats(element, row, emitColumns(ir_.b, ir_.loc, expr, columns), chunk.active);
  }
  Value first = emitColumns(ir_.b, ir_.loc, expr, chunk.column);
  if (access.stride == ColumnStride::Unit)
    return loadFloats(element, row, first, chunk.lanes, chunk.active);
  if (access.stride == ColumnStride::Uniform)
    return ir_.splat(ir_.lane(loadFloats(element, row, first, 1, 1), 0), chunk.lanes);
  SmallVector<int64_t> twice(chunk.lanes);
  for (int64_t i = 0; i < chunk.lanes; ++i)
    twice[i] = i / 2;
  Value half = loadFloats(element, row, first, chunk.lanes / 2, (chunk.active + 1) / 2);
  return ir_.shuffle(half, twice);
}

//===----------------------------------------------------------------------===//
// Rotation
//===----------------------------------------------------------------------===//

Value RegionEmitter::emitRotate(lm::RotateOp op, Chunk &chunk) {
  if (op.getStyle() == lm::RotateStyle::Half)
    return rotateHalf(op, chunk);
  // Heads and chunks start at even columns: partners are neighbours in the chunk.
  SmallVector<int64_t> swapped(chunk.lanes);
  SmallVector<bool> even(chunk.lanes);
  for (int64_t i = 0; i < chunk.lanes; ++i) {
    swapped[i] = i ^ 1;
    even[i] = i % 2 == 0;
  }
  Value partner = ir_.shuffle(emitValue(op.getInput(), chunk), swapped);
  Value isEven = ir_.make<arith::ConstantOp>(ir_.b.getBoolVectorAttr(even));
  return ir_.make<arith::SelectOp>(isEven, ir_.make<arith::NegFOp>(partner), partner);
}

Value RegionEmitter::rotateHalf(lm::RotateOp op, Chunk &chunk) {
  // The partner lies in a slot or in the tile, by column from `base`; or in the row of an operand.
  int64_t dim = op.getDim(), half = dim / 2;
  Type element = ir_.b.getF32Type();
  Value row = slots_.lookup(op), origin = chunk.start;
  if (auto argument = dyn_cast<BlockArgument>(op.getInput())) {
    row = site_.arguments[argument.getArgNumber()];
  } else if (!row) {
    auto source = op.getInput().getDefiningOp<lm::ElementOp>();
    row = elementRows_.lookup(source);
    origin = chunk.column;
    element = storedElement(cast<RankedTensorType>(source.getSource().getType()));
  }
  if (half % chunk.lanes == 0 && chunk.divisor % chunk.lanes == 0) {
    Value isFirst = ir_.less(ir_.rem(chunk.column, dim), ir_.index(half));
    Value shifted = ir_.add(origin, ir_.select(isFirst, ir_.index(half), ir_.index(-half)));
    Value partner = loadFloats(element, row, shifted, chunk.lanes, chunk.active);
    return ir_.make<arith::SelectOp>(isFirst, ir_.make<arith::NegFOp>(partner), partner);
  }
  Value columns = columnsFrom(ir_, chunk.column, chunk.lanes);
  Type ints = columns.getType();
  Value inHead = ir_.make<arith::RemUIOp>(columns, ir_.intLike(ints, dim));
  Value isFirst =
      ir_.make<arith::CmpIOp>(arith::CmpIPredicate::ult, inHead, ir_.intLike(ints, half));
  Value shift =
      ir_.make<arith::SelectOp>(isFirst, ir_.intLike(ints, half), ir_.intLike(ints, -half));
  Value partners = ir_.make<arith::AddIOp>(columnsFrom(ir_, origin, chunk.lanes), shift);
  Value partner = gatherFloats(element, row, partners, chunk.active);
  return ir_.make<arith::SelectOp>(isFirst, ir_.make<arith::NegFOp>(partner), partner);
}
