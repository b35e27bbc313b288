//===- EmitMoves.cpp - rows put in another order --------------------------===//
//
// A tile is one row of the result: runs of consecutive floats, each of which lies in one row of an
// operand. What differs between the ops is where a run lies.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/TypeSwitch.h"

#include <numeric>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static constexpr int64_t kLanes = 16, kFloat = sizeof(float);

namespace {

/// Emits one row of the result of a move.
class MoveEmitter {
public:
  MoveEmitter(KernelFrame &frame, Operation *op, Value tile) : frame_(frame), ir_(frame.ir) {
    auto result = cast<RankedTensorType>(op->getResult(0).getType());
    int64_t rows = lm::getRowsPerSymbol(result);
    columns_ = lm::getColumns(result);
    out_ = ir_.at(frame.bindings.lookup(op->getResult(0)), ir_.mul(tile, storedRowBytes(result)));
    tile_ = tile;
    unit_ = ir_.div(tile, rows);
    row_ = ir_.rem(tile, rows);
  }

  void emit(lm::PatchesOp op);
  void emit(lm::InsertRowOp op);
  void emit(lm::FitRowsOp op);
  void emit(lm::SpreadRowsOp op);
  void emit(lm::ReshapeOp op);
  void emit(lm::ConcatOp op);
  void emit(lm::PixelShuffleOp op);
  void emit(lm::MergeRowsOp op);

private:
  static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }
  static int64_t rowsOf(Value value) { return lm::getRowsPerSymbol(typeOf(value)); }

  /// Row `row` of a whole tensor.
  Value rowAt(Value tensor, Value row) {
    return ir_.at(frame_.bindings.lookup(tensor), ir_.mul(row, storedRowBytes(typeOf(tensor))));
  }
  /// Row `row` of the tile's unit.
  Value rowInUnit(Value tensor, Value row) {
    return rowAt(tensor, ir_.add(ir_.mul(unit_, rowsOf(tensor)), row));
  }
  Value floatAt(Value row, Value column) { return ir_.at(row, ir_.mul(column, kFloat)); }

  /// `source` is null for zeros.
  void fill(Value out, Value source, int64_t floats);
  void joinInterleaved(lm::ConcatOp op);

  KernelFrame &frame_;
  Ir &ir_;
  int64_t columns_ = 0;
  Value out_, tile_;
  Value unit_, row_; ///< of the result, `row_` from the unit's first
};

} // namespace

void MoveEmitter::fill(Value out, Value source, int64_t floats) {
  auto run = [&](Value column, int64_t active) {
    Value value = source ? ir_.load(ir_.b.getF32Type(), kLanes, active, floatAt(source, column))
                         : ir_.floatLike(ir_.floats(kLanes), 0.0);
    ir_.store(value, active, floatAt(out, column));
  };
  int64_t whole = floats / kLanes * kLanes;
  if (whole > 0)
    forEach(ir_, ir_.index(whole / kLanes),
            [&](Value index) { run(ir_.mul(index, kLanes), kLanes); });
  if (whole < floats)
    run(ir_.index(whole), floats - whole);
}

void MoveEmitter::emit(lm::PatchesOp op) {
  auto channels = static_cast<int64_t>(op.getChannels());
  auto patch = static_cast<int64_t>(op.getPatch());
  int64_t side = lm::getColumns(typeOf(op.getPixels())), grid = side / patch;
  Value picture = ir_.div(row_, grid * grid), place = ir_.rem(row_, grid * grid);
  Value y = ir_.mul(ir_.div(place, grid), patch), x = ir_.mul(ir_.rem(place, grid), patch);
  forEach(ir_, ir_.index(channels), [&](Value channel) {
    Value plane = ir_.mul(ir_.add(ir_.mul(picture, channels), channel), side);
    forEach(ir_, ir_.index(patch), [&](Value line) {
      Value source = rowInUnit(op.getPixels(), ir_.add(plane, ir_.add(y, line)));
      Value run = ir_.add(ir_.mul(channel, patch), line);
      fill(floatAt(out_, ir_.mul(run, patch)), floatAt(source, x), patch);
    });
  });
}

void MoveEmitter::emit(lm::InsertRowOp op) {
  int64_t rows = rowsOf(op.getInput()) / static_cast<int64_t>(op.getGroups());
  Value group = ir_.div(row_, rows + 1), inGroup = ir_.rem(row_, rows + 1);
  Value at = ir_.index(static_cast<int64_t>(op.getAt()));
  Value moved = ir_.select(ir_.less(inGroup, at), inGroup, ir_.sub(inGroup, ir_.index(1)));
  Value old = rowInUnit(op.getInput(), ir_.add(ir_.mul(group, rows), moved));
  Value vector = frame_.bindings.lookup(op.getVector());
  fill(out_, ir_.select(ir_.equal(inGroup, at), vector, old), columns_);
}

void MoveEmitter::emit(lm::FitRowsOp op) {
  auto groups = static_cast<int64_t>(op.getGroups());
  int64_t from = rowsOf(op.getInput()) / groups, to = rowsOf(op.getResult()) / groups;
  Value group = ir_.div(row_, to), inGroup = ir_.rem(row_, to);
  Value source = rowInUnit(op.getInput(), ir_.add(ir_.mul(group, from), inGroup));
  if (to <= from)
    return fill(out_, source, columns_);
  auto branch = ir_.make<scf::IfOp>(ir_.less(inGroup, ir_.index(from)), /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(ir_.b);
  ir_.b.setInsertionPointToStart(branch.thenBlock());
  fill(out_, source, columns_);
  ir_.b.setInsertionPointToStart(branch.elseBlock());
  fill(out_, Value(), columns_);
}

void MoveEmitter::emit(lm::SpreadRowsOp op) {
  int64_t times = rowsOf(op.getResult()) / rowsOf(op.getInput());
  fill(out_, rowInUnit(op.getInput(), ir_.div(row_, times)), columns_);
}

void MoveEmitter::emit(lm::ReshapeOp op) {
  // The longest runs that no row of either shape cuts.
  int64_t from = lm::getColumns(typeOf(op.getInput())), run = std::gcd(from, columns_);
  Value first = ir_.mul(row_, columns_);
  forEach(ir_, ir_.index(columns_ / run), [&](Value index) {
    Value element = ir_.mul(index, run), place = ir_.add(first, element);
    Value source = rowInUnit(op.getInput(), ir_.div(place, from));
    fill(floatAt(out_, element), floatAt(source, ir_.rem(place, from)), run);
  });
}

void MoveEmitter::emit(lm::ConcatOp op) {
  if (op.getInterleaved())
    return joinInterleaved(op);
  int64_t behind = 0;
  for (Value input : op.getInputs()) {
    int64_t columns = lm::getColumns(typeOf(input));
    fill(ir_.at(out_, behind * kFloat), rowInUnit(input, row_), columns);
    behind += columns;
  }
}

void MoveEmitter::joinInterleaved(lm::ConcatOp op) {
  auto count = static_cast<int64_t>(op.getInputs().size());
  SmallVector<Value> rows;
  for (Value input : op.getInputs())
    rows.push_back(rowInUnit(input, row_));
  forEach(ir_, ir_.index(columns_ / count), [&](Value column) {
    Value out = floatAt(out_, ir_.mul(column, count));
    for (auto [index, row] : llvm::enumerate(rows))
      ir_.store(ir_.load(ir_.b.getF32Type(), floatAt(row, column)),
                ir_.at(out, static_cast<int64_t>(index) * kFloat));
  });
}

void MoveEmitter::emit(lm::PixelShuffleOp op) {
  auto columns = static_cast<int64_t>(op.getColumns()), side = static_cast<int64_t>(op.getSide());
  int64_t squares = columns / side, run = lm::getColumns(typeOf(op.getInput()));
  Value y = ir_.mul(ir_.div(row_, squares), side), x = ir_.mul(ir_.rem(row_, squares), side);
  forEach(ir_, ir_.index(side), [&](Value line) {
    forEach(ir_, ir_.index(side), [&](Value place) {
      Value source = ir_.add(ir_.mul(ir_.add(y, line), columns), ir_.add(x, place));
      Value index = ir_.add(ir_.mul(line, side), place);
      fill(floatAt(out_, ir_.mul(index, run)), rowInUnit(op.getInput(), source), run);
    });
  });
}

void MoveEmitter::emit(lm::MergeRowsOp op) {
  Value row = ir_.loadInt32(ir_.at(frame_.bindings.lookup(op.getRows()), ir_.mul(tile_, 4)));
  Value isOwn = ir_.fold<arith::CmpIOp>(arith::CmpIPredicate::slt, row, ir_.index(0));
  fill(out_, ir_.select(isOwn, rowAt(op.getInput(), tile_), rowAt(op.getSource(), row)), columns_);
}

LogicalResult kernel::emitMoveTile(KernelFrame &frame, Operation *op, Value tile) {
  for (Value value : op->getOperands())
    if (auto type = cast<RankedTensorType>(value.getType()); storedRowBytes(type) == 0)
      return op->emitOpError("reads ") << type << ", expected plain rows";
  MoveEmitter emitter(frame, op, tile);
  llvm::TypeSwitch<Operation *>(op)
      .Case<lm::PatchesOp, lm::InsertRowOp, lm::FitRowsOp, lm::SpreadRowsOp, lm::ReshapeOp,
            lm::ConcatOp, lm::PixelShuffleOp, lm::MergeRowsOp>(
          [&](auto move) { emitter.emit(move); });
  return success();
}
