//===- RegionEmitter.cpp - chunk loops, barriers and expressions ----------===//

#include "passes/kernel/RegionEmitter.h"

#include "passes/Formats.h"
#include "passes/kernel/EmitKernel.h"
#include "passes/kernel/StepAbi.h"
#include "passes/kernel/Units.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/OpDefinition.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>
#include <numeric>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

/// Lanes of an ordinary chunk, of a reduction's main loop.
static constexpr int64_t kLanes = 16, kReduceLanes = 64;

RegionEmitter::RegionEmitter(KernelFrame &frame, const RegionSite &site)
    : frame_(frame), ir_(frame.ir), site_(site) {}

void RegionEmitter::emit() {
  prepare();
  for (Operation &op : site_.body->without_terminator()) {
    if (auto reduce = dyn_cast<lm::ReduceOp>(op))
      emitReduce(reduce);
    else if (auto rotate = dyn_cast<lm::RotateOp>(op); rotate && needsSlot(&op))
      fillSlot(rotate);
    else if (op.getNumResults() == 1 && op.hasTrait<OpTrait::Elementwise>() &&
             llvm::all_of(op.getOperands(), [&](Value value) { return isUniform(value); }))
      emitUniform(&op);
  }
  forAllChunks(std::lcm(kLanes, storedBlock(site_.results)),
               [&](Chunk &chunk) { emitStores(chunk); });
}

//===----------------------------------------------------------------------===//
// Row addresses
//===----------------------------------------------------------------------===//

void RegionEmitter::prepare() {
  for (Operation &op : *site_.body) {
    if (auto put = dyn_cast<lm::KvPutOp>(op))
      prepareKv(put);
    auto element = dyn_cast<lm::ElementOp>(op);
    if (!element)
      continue;
    auto type = cast<RankedTensorType>(element.getSource().getType());
    Value base = frame_.bindings.lookup(element.getSource());
    Value row = site_.row;
    if (element.getRows())
      row = loadRowIndex(element);
    else if (element.readsBySlot())
      row = ir_.rem(row, type.getDimSize(0));
    elementRows_[&op] =
        type.getRank() == 1 ? base : ir_.at(base, ir_.mul(row, storedRowBytes(type)));
  }
  for (Value result : site_.results) {
    int64_t bytes = storedRowBytes(cast<RankedTensorType>(result.getType()));
    resultRows_[result] = ir_.at(frame_.bindings.lookup(result), ir_.mul(site_.row, bytes));
  }
}

/// The row that `element` reads instead of the region's own. Indices over the symbol lie side by
/// side, those of slots in rows.
Value RegionEmitter::loadRowIndex(lm::ElementOp element) {
  auto type = cast<RankedTensorType>(element.getRows().getType());
  Value base = frame_.bindings.lookup(element.getRows()), row = site_.row;
  if (type.getRank() == 1)
    return ir_.loadInt32(ir_.at(base, ir_.mul(row, 4)));
  if (std::optional<uint64_t> slot = element.getSlot())
    row = ir_.add(ir_.mul(row, type.getDimSize(1)), static_cast<int64_t>(*slot));
  return ir_.loadInt32(ir_.at(base, ir_.mul(row, storedRowBytes(type))));
}

void RegionEmitter::prepareKv(lm::KvPutOp put) {
  if (kvPlaces_.contains(put.getKv()))
    return;
  lm::KvLayerType kv = put.getKv().getType();
  StepAbi step(ir_, frame_.step);
  Value position = step.position(site_.row);
  Value page = step.page(kv.getKind(), step.sequence(site_.row), position);
  Value pool = frame_.bindings.lookup(put.getKv());
  kvPlaces_[put.getKv()] = {ir_.at(pool, ir_.mul(page, kvPageBytes(kv))),
                            ir_.rem(position, L4_PAGE_TOKENS)};
}

//===----------------------------------------------------------------------===//
// Chunk loops
//===----------------------------------------------------------------------===//

RegionEmitter::Chunk RegionEmitter::makeChunk(Value start, int64_t lanes, int64_t active) {
  if (head_)
    start = ir_.add(head_, start);
  Chunk chunk;
  chunk.start = start;
  chunk.column = site_.base ? ir_.add(site_.base, start) : start;
  chunk.lanes = lanes;
  chunk.active = active;
  chunk.divisor = std::gcd(std::gcd(lanes, site_.baseMultiple), headMultiple_);
  return chunk;
}

/// Runs `body` on the whole chunks in [begin, end), both multiples of `lanes`.
RegionEmitter::Values RegionEmitter::loop(int64_t lanes, int64_t begin, Value end, ValueRange init,
                                          ChunkBody body) {
  auto loop = ir_.make<scf::ForOp>(ir_.index(begin), end, ir_.index(lanes), init);
  OpBuilder::InsertionGuard guard(ir_.b);
  ir_.b.setInsertionPointToStart(loop.getBody());
  Chunk chunk = makeChunk(loop.getInductionVar(), lanes, lanes);
  Values next = body(chunk, loop.getRegionIterArgs());
  if (!init.empty())
    ir_.make<scf::YieldOp>(next);
  return Values(loop.getResults());
}

/// Runs `body` on all chunks; the last one may be masked.
void RegionEmitter::forAllChunks(int64_t lanes, function_ref<void(Chunk &)> body) {
  auto withoutValues = [&](Chunk &chunk, ValueRange) {
    body(chunk);
    return Values();
  };
  int64_t rest = site_.isPartial ? site_.partialWidth % lanes : site_.width % lanes;
  int64_t cut = (site_.isPartial ? site_.partialWidth : site_.width) - rest;
  Value end = ir_.index(cut);
  if (site_.isPartial)
    end = ir_.select(site_.isPartial, end, ir_.index(site_.width));
  if (site_.isPartial || cut > 0)
    loop(lanes, 0, end, {}, withoutValues);
  if (rest == 0)
    return;
  OpBuilder::InsertionGuard guard(ir_.b);
  if (site_.isPartial) {
    auto tail = ir_.make<scf::IfOp>(site_.isPartial, /*withElseRegion=*/false);
    ir_.b.setInsertionPointToStart(tail.thenBlock());
  }
  Chunk chunk = makeChunk(ir_.index(cut), lanes, rest);
  body(chunk);
}

//===----------------------------------------------------------------------===//
// Barriers
//===----------------------------------------------------------------------===//

/// The result over `width` columns, of the row or of the current head.
Value RegionEmitter::reduceColumns(lm::ReduceOp op, int64_t width, int64_t wideLanes) {
  bool isSum = op.getKind() == lm::ReduceKind::Sum;
  double identity = isSum ? 0.0 : -std::numeric_limits<double>::infinity();
  auto join = [&](Value x, Value y) -> Value {
    return isSum ? Value(ir_.make<arith::AddFOp>(y, x)) : ir_.larger(x, y);
  };
  auto body = [&](Chunk &chunk, ValueRange carried) -> Values {
    Value value = emitValue(op.getInput(), chunk);
    if (chunk.active < chunk.lanes)
      value = ir_.make<arith::SelectOp>(ir_.firstLanes(chunk.lanes, chunk.active), value,
                                        ir_.floatLike(value.getType(), identity));
    return {join(value, carried[0])};
  };
  int64_t wide = width / wideLanes * wideLanes;
  int64_t whole = width / kLanes * kLanes;
  Value sum;
  if (wide > 0) {
    Value init = ir_.floatLike(ir_.floats(wideLanes), identity);
    sum = ir_.foldHalves(loop(wideLanes, 0, ir_.index(wide), init, body)[0], kLanes, join);
  } else {
    sum = ir_.floatLike(ir_.floats(kLanes), identity);
  }
  if (whole > wide)
    sum = loop(kLanes, wide, ir_.index(whole), sum, body)[0];
  if (whole < width) {
    Chunk tail = makeChunk(ir_.index(whole), kLanes, width - whole);
    sum = body(tail, sum)[0];
  }
  return ir_.lane(ir_.foldHalves(sum, 1, join), 0);
}

void RegionEmitter::emitReduce(lm::ReduceOp op) {
  if (op.getDim())
    return reduceHeads(op);
  uniform_.map(op.getResult(), reduceColumns(op, site_.width, kReduceLanes));
}

/// Fills a slot with the result of each head at all of its columns.
void RegionEmitter::reduceHeads(lm::ReduceOp op) {
  auto dim = static_cast<int64_t>(*op.getDim());
  Value slot = newSlot(op), heads = ir_.index(site_.width / dim);
  if (site_.isPartial)
    heads = ir_.select(site_.isPartial, ir_.index(site_.partialWidth / dim), heads);
  headMultiple_ = dim;
  forEach(ir_, heads, [&](Value head) {
    head_ = ir_.mul(head, dim);
    Value result = ir_.splat(reduceColumns(op, dim, kLanes), kLanes);
    auto fill = [&](Chunk &chunk, ValueRange) {
      ir_.store(result, chunk.active, ir_.at(slot, ir_.mul(chunk.start, 4)));
      return Values();
    };
    int64_t whole = dim / kLanes * kLanes;
    loop(kLanes, 0, ir_.index(whole), {}, fill);
    if (whole == dim)
      return;
    Chunk tail = makeChunk(ir_.index(whole), kLanes, dim - whole);
    fill(tail, {});
  });
  head_ = Value();
  headMultiple_ = 0;
}

Value RegionEmitter::newSlot(Operation *op) {
  int64_t offset = slotBytes(site_.width) * static_cast<int64_t>(slots_.size());
  return slots_[op] = ir_.at(site_.slots, offset);
}

void RegionEmitter::fillSlot(lm::RotateOp op) {
  Value slot = newSlot(op);
  forAllChunks(kLanes, [&](Chunk &chunk) {
    ir_.store(emitValue(op.getInput(), chunk), chunk.active, ir_.at(slot, ir_.mul(chunk.start, 4)));
  });
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

bool RegionEmitter::isUniform(Value value) {
  return uniform_.contains(value) || matchPattern(value, m_Constant());
}

void RegionEmitter::emitUniform(Operation *op) {
  // A constant only becomes a scalar together with a uniform reader.
  if (isa<arith::ConstantOp>(op))
    return;
  for (Value operand : op->getOperands())
    if (!uniform_.contains(operand))
      uniform_.map(operand, ir_.b.clone(*operand.getDefiningOp())->getResult(0));
  ir_.b.clone(*op, uniform_);
}

Value RegionEmitter::emitValue(Value value, Chunk &chunk) {
  if (Value known = chunk.values.lookup(value))
    return known;
  Value result;
  Operation *op = value.getDefiningOp();
  if (auto constant = dyn_cast_or_null<arith::ConstantOp>(op))
    result = ir_.constant(ir_.vectorOf(chunk.lanes, value.getType()), constant.getValue());
  else if (Value scalar = uniform_.lookupOrNull(value))
    result = ir_.splat(scalar, chunk.lanes);
  else if (!op)
    result = loadArgument(cast<BlockArgument>(value).getArgNumber(), chunk);
  else if (auto element = dyn_cast<lm::ElementOp>(op))
    result = loadElement(element, chunk);
  else if (auto rotate = dyn_cast<lm::RotateOp>(op))
    result = emitRotate(rotate, chunk);
  else if (isa<lm::ReduceOp>(op)) // over heads: the others are uniform
    result =
        loadFloats(ir_.b.getF32Type(), slots_.lookup(op), chunk.start, chunk.lanes, chunk.active);
  else
    result = emitElementwise(op, chunk);
  chunk.values[value] = result;
  return result;
}

/// The same op on vectors.
Value RegionEmitter::emitElementwise(Operation *op, Chunk &chunk) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(emitValue(operand, chunk));
  OperationState state(ir_.loc, op->getName(), operands,
                       ir_.vectorOf(chunk.lanes, op->getResult(0).getType()), op->getAttrs());
  return ir_.b.create(state)->getResult(0);
}

void RegionEmitter::emitStores(Chunk &chunk) {
  auto yield = cast<lm::YieldOp>(site_.body->getTerminator());
  for (auto [result, value] : llvm::zip_equal(site_.results, yield.getValues()))
    storeResult(result, emitValue(value, chunk), chunk);
  for (lm::KvPutOp put : site_.body->getOps<lm::KvPutOp>())
    putKv(put, emitValue(put.getInput(), chunk), chunk);
}

//===----------------------------------------------------------------------===//
// Checks
//===----------------------------------------------------------------------===//

static LogicalResult checkElement(lm::ElementOp op, int64_t columns) {
  auto type = cast<RankedTensorType>(op.getSource().getType());
  if (type.getRank() == 1 && type.isDynamicDim(0))
    return op.emitOpError("reads ") << type << ", expected rows or a row vector";
  if (type.getRank() >= 2 && storedRowBytes(type) == 0)
    return op.emitOpError("reads ") << type << ", expected plain rows";
  if (!op.getColumn() && type.getShape().back() < columns)
    return op.emitOpError("reads column ")
           << columns - 1 << " of " << type << ", which has fewer columns";
  return success();
}

static LogicalResult checkRotate(lm::RotateOp op, int64_t columns) {
  int64_t dim = op.getDim();
  if (dim < 2 || dim % 2 != 0 || columns % dim != 0)
    return op.emitOpError("rotates heads of ")
           << dim << " columns in rows of " << columns << ", expected an even divisor";
  return success();
}

static LogicalResult checkReduce(lm::ReduceOp op, int64_t columns) {
  auto dim = static_cast<int64_t>(op.getDim().value_or(columns));
  if (dim < 1 || columns % dim != 0)
    return op.emitOpError("reduces heads of ")
           << dim << " columns in rows of " << columns << ", expected a divisor";
  return success();
}

static LogicalResult checkKvPut(lm::KvPutOp op, int64_t columns) {
  lm::KvLayerType kv = op.getKv().getType();
  if (kv.getHeads() * kv.getDim() != columns)
    return op.emitOpError("puts rows of ") << columns << " columns, but the state is " << kv;
  if (kvPageBytes(kv) == 0)
    return op.emitOpError("found state ")
           << kv << ", expected f32 or bf16 elements, heads of an even dimension and at most "
           << L4_MAX_KV_KINDS << " kinds";
  return success();
}

LogicalResult kernel::checkRegion(Operation *op, Block &body, int64_t columns) {
  for (Operation &inner : body.without_terminator()) {
    LogicalResult ok =
        TypeSwitch<Operation *, LogicalResult>(&inner)
            .Case([&](lm::ElementOp element) { return checkElement(element, columns); })
            .Case([&](lm::RotateOp rotate) { return checkRotate(rotate, columns); })
            .Case([&](lm::KvPutOp put) { return checkKvPut(put, columns); })
            .Case([&](lm::ReduceOp reduce) { return checkReduce(reduce, columns); })
            .Case([](arith::ConstantOp) { return success(); })
            .Default([](Operation *other) -> LogicalResult {
              if (OpTrait::hasElementwiseMappableTraits(other) && other->getNumResults() == 1)
                return success();
              return other->emitError("cannot be part of a kernel's region: expected lm.element, "
                                      "lm.reduce, lm.rotate, lm.kv_put or an elementwise op");
            });
    if (failed(ok))
      return failure();
  }
  return success();
}
