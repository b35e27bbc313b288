//===- LmVision.cpp - rows put in order, attention without state ----------===//

#include "dialects/lm/RowWork.h"

#include <cmath>

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

/// tensor<?xRxNxf32>
static RankedTensorType unitType(MLIRContext *context, int64_t rows, int64_t columns) {
  return RankedTensorType::get({ShapedType::kDynamic, rows, columns}, Float32Type::get(context));
}

/// The value is [symbol, rows of a unit, columns].
static LogicalResult verifyUnits(Operation *op, Value value, StringRef what) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getRank() != 3 || !type.isDynamicDim(0) || type.isDynamicDim(1) ||
      type.isDynamicDim(2) || type.getDimSize(1) < 1 || type.getDimSize(2) < 1)
    return op->emitOpError(what) << " is " << type << ", expected tensor<?xKxNxf32>";
  return success();
}

static int64_t rowsOf(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(1); }

static LogicalResult verifyResult(Operation *op, Value result, int64_t rows, int64_t columns) {
  RankedTensorType expected = unitType(op->getContext(), rows, columns);
  if (result.getType() != expected)
    return op->emitOpError("result is ") << result.getType() << ", expected " << expected;
  return success();
}

/// The rows of a unit fall into `groups` groups.
static LogicalResult verifyGroups(Operation *op, int64_t rows, uint64_t groups) {
  const auto count = static_cast<int64_t>(groups);
  if (count < 1 || rows % count != 0)
    return op->emitOpError("has ")
           << count << " groups, expected a divisor of the " << rows << " rows of a unit";
  return success();
}

//===----------------------------------------------------------------------===//
// rope_grid
//===----------------------------------------------------------------------===//

LogicalResult RopeGridOp::verify() {
  const auto rows = static_cast<int64_t>(getRows()), columns = static_cast<int64_t>(getColumns());
  if (rows < 1 || columns < 1 || getRows() > maxGridSide || getColumns() > maxGridSide)
    return emitOpError("is ") << rows << " by " << columns << ", expected 1 to " << maxGridSide
                              << " each";
  if (getInvFreq().empty())
    return emitOpError("has no inverse frequencies, expected one per pair of half a head");
  return success();
}

//===----------------------------------------------------------------------===//
// Rows put in order
//===----------------------------------------------------------------------===//

LogicalResult PatchesOp::verify() {
  if (failed(verifyUnits(*this, getPixels(), "pixels")))
    return failure();
  const auto channels = static_cast<int64_t>(getChannels());
  const auto patch = static_cast<int64_t>(getPatch());
  const int64_t side = columnsOf(getPixels()), lines = rowsOf(getPixels());
  if (channels < 1 || channels > lines || lines % (channels * side) != 0)
    return emitOpError("pixels are ")
           << getPixels().getType() << ", expected square pictures of " << channels << " channels";
  if (patch < 1 || patch > side || side % patch != 0)
    return emitOpError("patch is ") << patch << ", expected a divisor of the side " << side;
  const int64_t grid = side / patch, pictures = lines / (channels * side);
  return verifyResult(*this, getResult(), pictures * grid * grid, channels * patch * patch);
}

LogicalResult InsertRowOp::verify() {
  const int64_t columns = columnsOf(getInput());
  if (failed(verifyUnits(*this, getInput(), "input")) ||
      failed(verifyRowVector(*this, getVector(), columns, "vector")) ||
      failed(verifyGroups(*this, rowsOf(getInput()), getGroups())))
    return failure();
  const auto groups = static_cast<int64_t>(getGroups()), at = static_cast<int64_t>(getAt());
  const int64_t rows = rowsOf(getInput()) / groups;
  if (at < 0 || at > rows)
    return emitOpError("inserts at ") << at << ", expected 0 to " << rows;
  return verifyResult(*this, getResult(), groups * (rows + 1), columns);
}

LogicalResult FitRowsOp::verify() {
  if (failed(verifyUnits(*this, getInput(), "input")) ||
      failed(verifyUnits(*this, getResult(), "result")) ||
      failed(verifyGroups(*this, rowsOf(getInput()), getGroups())) ||
      failed(verifyGroups(*this, rowsOf(getResult()), getGroups())))
    return failure();
  return verifyResult(*this, getResult(), rowsOf(getResult()), columnsOf(getInput()));
}

LogicalResult SpreadRowsOp::verify() {
  if (failed(verifyUnits(*this, getInput(), "input")) ||
      failed(verifyUnits(*this, getResult(), "result")))
    return failure();
  if (rowsOf(getResult()) % rowsOf(getInput()) != 0)
    return emitOpError("result is ") << getResult().getType() << ", expected a multiple of the "
                                     << rowsOf(getInput()) << " rows of a unit";
  return verifyResult(*this, getResult(), rowsOf(getResult()), columnsOf(getInput()));
}

LogicalResult ReshapeOp::verify() {
  if (failed(verifyUnitRows(*this, getInput())) || failed(verifyUnitRows(*this, getResult())))
    return failure();
  auto elements = [](RankedTensorType type) { return getRowsPerSymbol(type) * getColumns(type); };
  if (elements(getInput().getType()) != elements(getResult().getType()))
    return emitOpError("result is ")
           << getResult().getType() << ", expected the " << elements(getInput().getType())
           << " elements of a unit of the input";
  return success();
}

LogicalResult ConcatOp::verify() {
  if (getInputs().empty())
    return emitOpError("has no inputs, expected at least one");
  int64_t columns = 0;
  for (Value input : getInputs()) {
    if (failed(verifyUnits(*this, input, "input")))
      return failure();
    if (rowsOf(input) != rowsOf(getInputs().front()) ||
        (getInterleaved() && input.getType() != getInputs().front().getType()))
      return emitOpError("inputs are ")
             << getInputs().front().getType() << " and " << input.getType() << ", expected "
             << (getInterleaved() ? "one type" : "as many rows in a unit");
    columns += columnsOf(input);
  }
  return verifyResult(*this, getResult(), rowsOf(getInputs().front()), columns);
}

LogicalResult PixelShuffleOp::verify() {
  if (failed(verifyUnits(*this, getInput(), "input")))
    return failure();
  const auto columns = static_cast<int64_t>(getColumns()), side = static_cast<int64_t>(getSide());
  if (columns < 1 || columns > rowsOf(getInput()) || columns * columns > rowsOf(getInput()))
    return emitOpError("grid is ")
           << columns << " by " << columns << ", but a unit has " << rowsOf(getInput()) << " rows";
  if (side < 1 || side > columns || columns % side != 0)
    return emitOpError("side is ") << side << ", expected a divisor of " << columns;
  const int64_t out = columns / side;
  return verifyResult(*this, getResult(), out * out, side * side * columnsOf(getInput()));
}

LogicalResult MergeRowsOp::verify() {
  if (failed(verifyRows(*this, getInput())))
    return failure();
  RankedTensorType rows = getRows().getType(), source = getSource().getType();
  if (rows.getShape() != ArrayRef({ShapedType::kDynamic}))
    return emitOpError("rows are ") << rows << ", expected tensor<?xi32>";
  if (source.getRank() != 2 || !source.hasStaticShape() ||
      source.getDimSize(1) != columnsOf(getInput()))
    return emitOpError("source is ")
           << source << ", expected tensor<Mx" << columnsOf(getInput()) << "xf32>";
  return success();
}

//===----------------------------------------------------------------------===//
// Attention without state
//===----------------------------------------------------------------------===//

/// A scale is a number, heads divide the columns.
static LogicalResult verifyHeads(Operation *op, const APFloat &scale, uint64_t heads,
                                 int64_t columns) {
  if (!scale.isFinite())
    return op->emitOpError("scale is not finite");
  const auto count = static_cast<int64_t>(heads);
  if (count < 1 || columns % count != 0)
    return op->emitOpError("has ")
           << count << " heads, expected a divisor of the " << columns << " columns";
  return success();
}

LogicalResult UnitAttentionOp::verify() {
  if (failed(verifyUnits(*this, getQuery(), "query")) ||
      failed(verifyHeads(*this, getScale(), getHeads(), columnsOf(getQuery()))))
    return failure();
  const int64_t dim = columnsOf(getQuery()) / static_cast<int64_t>(getHeads());
  if (getQuery().getType().getElementType().isBF16() && dim % 2 != 0)
    return emitOpError("has bf16 heads of ") << dim << " columns, expected an even number";
  if (bool(getPictures()) != getGroups().has_value() ||
      bool(getPictures()) != getReal().has_value())
    return emitOpError("needs pictures, groups and real together");
  if (!getPictures())
    return success();
  auto pictures = cast<RankedTensorType>(getPictures().getType());
  if (pictures.getShape() != ArrayRef({ShapedType::kDynamic}))
    return emitOpError("pictures are ") << pictures << ", expected tensor<?xi32>";
  if (failed(verifyGroups(*this, rowsOf(getQuery()), *getGroups())))
    return failure();
  const int64_t rows = rowsOf(getQuery()) / static_cast<int64_t>(*getGroups());
  const auto real = static_cast<int64_t>(*getReal());
  if (real < 1 || real > rows)
    return emitOpError("real is ") << real << ", expected 1 to the " << rows << " rows of a group";
  return success();
}

LogicalResult CrossAttentionOp::verify() {
  RankedTensorType key = getKey().getType(), tiles = getTiles().getType();
  if (failed(verifyRows(*this, getQuery())) ||
      failed(verifyHeads(*this, getScale(), getHeads(), columnsOf(getQuery()))))
    return failure();
  if (key.getRank() != 3 || !key.hasStaticShape() || llvm::is_contained(key.getShape(), 0))
    return emitOpError("key is ") << key << ", expected tensor<IxKxNxf32>";
  const auto heads = static_cast<int64_t>(getHeads());
  const int64_t dim = columnsOf(getQuery()) / heads, kvHeads = key.getDimSize(2) / dim;
  if (key.getDimSize(2) % dim != 0 || kvHeads < 1 || heads % kvHeads != 0)
    return emitOpError("key has ") << key.getDimSize(2) << " columns, expected KV heads of " << dim
                                   << ", a divisor of " << heads;
  if (failed(verifyGroups(*this, key.getDimSize(1), getGroups())))
    return failure();
  if (getFirst().getType().getShape() != ArrayRef({ShapedType::kDynamic}) ||
      tiles.getShape() != ArrayRef({key.getDimSize(0)}))
    return emitOpError("first is ")
           << getFirst().getType() << " and tiles " << tiles
           << ", expected tensor<?xi32> and tensor<" << key.getDimSize(0) << "xi32>";
  return success();
}
