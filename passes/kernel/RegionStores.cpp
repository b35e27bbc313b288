//===- RegionStores.cpp - results and pages -------------------------------===//

#include "passes/kernel/RegionEmitter.h"
#include "passes/kernel/StepAbi.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/Sequence.h"
#include "llvm/Support/MathExtras.h"

#include <limits>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

void RegionEmitter::storeResult(Value result, Value value, Chunk &chunk) {
  auto type = cast<RankedTensorType>(result.getType());
  Value row = resultRows_.lookup(result);
  if (isa<lm::BlockType>(type.getElementType()))
    return storeQuantized(result, value, chunk);
  if (type.getElementType().isBF16())
    return ir_.store(ir_.narrowToBf16(value), chunk.active, ir_.at(row, ir_.mul(chunk.column, 2)));
  ir_.store(value, chunk.active, ir_.at(row, ir_.mul(chunk.column, 4)));
}

/// Stores the blocks of a q8_32 or q8_128 row (KernelAbi.h) that `chunk` holds: whole ones.
void RegionEmitter::storeQuantized(Value result, Value value, Chunk &chunk) {
  int64_t block = lm::getBlockColumns(cast<RankedTensorType>(result.getType()).getElementType());
  if (block == chunk.lanes)
    return storeBlock(result, value, chunk.column, chunk.active);
  for (int64_t first = 0; first < chunk.active; first += block) {
    SmallVector<int64_t> lanes = llvm::to_vector(llvm::seq(first, first + block));
    storeBlock(result, ir_.shuffle(value, lanes), ir_.add(chunk.column, first),
               std::min(block, chunk.active - first));
  }
}

/// Stores `value`, one block of the row from `column` on, of which the first `active` lanes are
/// columns.
void RegionEmitter::storeBlock(Value result, Value value, Value column, int64_t active) {
  auto type = cast<RankedTensorType>(result.getType());
  int64_t lanes = lm::getBlockColumns(type.getElementType());
  int64_t blocks = llvm::divideCeil(lm::getColumns(type), lanes);
  Value row = resultRows_.lookup(result);
  Type f32 = ir_.b.getF32Type(), i32 = ir_.b.getI32Type();
  if (active < lanes)
    value = ir_.make<arith::SelectOp>(ir_.firstLanes(lanes, active), value,
                                      ir_.floatLike(value.getType(), 0.0));
  Value magnitudes = ir_.make<math::AbsFOp>(value);
  Value largest = ir_.lane(
      ir_.foldHalves(magnitudes, 1, [&](Value x, Value y) { return ir_.larger(x, y); }), 0);
  Value scale = ir_.make<arith::DivFOp>(largest, ir_.floatLike(f32, 127.0));
  // 127 / max overflows for the smallest numbers of all; a finite inverse keeps 0 * inverse at 0.
  Value finite = ir_.floatLike(f32, std::numeric_limits<float>::max());
  Value inverse = ir_.make<arith::DivFOp>(ir_.floatLike(f32, 127.0), largest);
  Value isSmall = ir_.make<arith::CmpFOp>(arith::CmpFPredicate::OLT, inverse, finite);
  inverse = ir_.make<arith::SelectOp>(isSmall, inverse, finite);
  Value scaled = ir_.make<arith::MulFOp>(value, ir_.splat(inverse, lanes));
  Value ints =
      ir_.make<arith::FPToSIOp>(ir_.vectorOf(lanes, i32), ir_.make<math::RoundEvenOp>(scaled));
  ir_.store(ir_.make<arith::TruncIOp>(ir_.vectorOf(lanes, ir_.b.getI8Type()), ints),
            ir_.at(row, column));
  const bool isWide = lanes == L4_Q8_WIDE_BLOCK;
  const auto bytes = static_cast<int64_t>(isWide ? sizeof(l4_q8_wide_block) : sizeof(l4_q8_block));
  Value place = ir_.mul(ir_.div(column, lanes), bytes);
  Value block = ir_.at(row, ir_.add(place, blocks * lanes));
  isWide ? storeWideSums(block, scale, ints) : storeSums(block, scale, ints);
}

/// Fills the l4_q8_block at `block`.
void RegionEmitter::storeSums(Value block, Value scale, Value ints) {
  Value sum = ir_.make<vector::ReductionOp>(vector::CombiningKind::ADD, ints);
  Value scaledSum =
      ir_.make<arith::MulFOp>(scale, ir_.make<arith::SIToFPOp>(ir_.b.getF32Type(), sum));
  ir_.store(scale, ir_.at(block, int64_t{offsetof(l4_q8_block, scale)}));
  ir_.store(scaledSum, ir_.at(block, int64_t{offsetof(l4_q8_block, scaled_sum)}));
  Value offset = ir_.make<arith::MulIOp>(sum, ir_.intLike(sum.getType(), -128));
  ir_.store(offset, ir_.at(block, int64_t{offsetof(l4_q8_block, offset)}));
}

/// Fills the l4_q8_wide_block at `block`.
void RegionEmitter::storeWideSums(Value block, Value scale, Value ints) {
  constexpr int64_t parts = std::extent_v<decltype(l4_q8_wide_block::part_sums)>;
  constexpr int64_t columns = L4_Q8_WIDE_BLOCK / parts;
  Value sum;
  for (int64_t part = 0; part < parts; ++part) {
    SmallVector<int64_t> lanes = llvm::to_vector(llvm::seq(part * columns, (part + 1) * columns));
    Value own = ir_.make<vector::ReductionOp>(vector::CombiningKind::ADD, ir_.shuffle(ints, lanes));
    ir_.store(ir_.make<arith::TruncIOp>(ir_.b.getI16Type(), own),
              ir_.at(block, int64_t{offsetof(l4_q8_wide_block, part_sums)} + part * 2));
    sum = sum ? ir_.make<arith::AddIOp>(sum, own) : own;
  }
  ir_.store(scale, ir_.at(block, int64_t{offsetof(l4_q8_wide_block, scale)}));
  ir_.store(sum, ir_.at(block, int64_t{offsetof(l4_q8_wide_block, sum)}));
}

//===----------------------------------------------------------------------===//
// Pages
//===----------------------------------------------------------------------===//

void RegionEmitter::putKv(lm::KvPutOp op, Value value, Chunk &chunk) {
  lm::KvLayerType kv = op.getKv().getType();
  const KvPlace &place = kvPlaces_.find(op.getKv())->second;
  bool isNarrow = kv.getElementType().isBF16();
  if (isNarrow)
    value = ir_.narrowToBf16(value);
  if (op.getPlane() == lm::KvPlane::Value)
    return putValuePlane(kv, place, value, chunk);
  if (isNarrow)
    return putKeyPairs(place, value, chunk);
  // K [head][dim][16 tokens]: consecutive columns are 16 elements apart.
  Value first = ir_.add(ir_.mul(chunk.column, L4_PAGE_TOKENS), place.slot);
  Value pointer = ir_.at(place.page, ir_.mul(first, 4));
  for (int64_t i = 0; i < chunk.active; ++i)
    ir_.store(ir_.lane(value, i), ir_.at(pointer, i * L4_PAGE_TOKENS * 4));
}

/// K [head][dim / 2][16 tokens][2]. Chunks begin at even columns; heads have an even dimension.
void RegionEmitter::putKeyPairs(const KvPlace &place, Value value, Chunk &chunk) {
  Value pair = ir_.mul(chunk.column, L4_PAGE_TOKENS * 2); // bytes of a column's 16 tokens
  Value pointer = ir_.at(place.page, ir_.add(pair, ir_.mul(place.slot, 4)));
  Value pairs =
      ir_.make<vector::BitCastOp>(ir_.vectorOf(chunk.lanes / 2, ir_.b.getI32Type()), value);
  for (int64_t i = 0; i < chunk.active / 2; ++i)
    ir_.store(ir_.lane(pairs, i), ir_.at(pointer, i * L4_PAGE_TOKENS * 4));
}

/// V, behind K: float32 [head][16 tokens][dim padded to 16], bfloat16 [head][8][padded dim][2].
void RegionEmitter::putValuePlane(lm::KvLayerType kv, const KvPlace &place, Value value,
                                  Chunk &chunk) {
  int64_t dim = kv.getDim(), padded = llvm::alignTo(dim, 16);
  bool isNarrow = kv.getElementType().isBF16();
  Value plane = ir_.at(place.page, kv.getHeads() * dim * L4_PAGE_TOKENS * (isNarrow ? 2 : 4));
  // Bytes from one column to the next: those of a pair of tokens lie together.
  constexpr int64_t step = 4;
  Value token = isNarrow ? ir_.div(place.slot, 2) : place.slot;
  auto pointerTo = [&](Value column) {
    Value row = ir_.add(ir_.mul(ir_.div(column, dim), L4_PAGE_TOKENS / (isNarrow ? 2 : 1)), token);
    Value bytes = ir_.mul(ir_.add(ir_.mul(row, padded), ir_.rem(column, dim)), step);
    return ir_.at(plane, isNarrow ? ir_.add(bytes, ir_.mul(ir_.rem(place.slot, 2), 2)) : bytes);
  };
  bool isOneHead = dim % chunk.lanes == 0 && chunk.divisor % chunk.lanes == 0;
  if (isOneHead && !isNarrow)
    return ir_.store(value, chunk.active, pointerTo(chunk.column));
  Value first = isOneHead ? pointerTo(chunk.column) : Value();
  for (int64_t i = 0; i < chunk.active; ++i)
    ir_.store(ir_.lane(value, i),
              isOneHead ? ir_.at(first, i * step) : pointerTo(ir_.add(chunk.column, i)));
}
