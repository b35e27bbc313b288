//===- Ir.cpp - the few kinds of ops that kernels are made of -------------===//

#include "passes/kernel/Ir.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

static int64_t lanesIn(Value vector) { return cast<VectorType>(vector.getType()).getDimSize(0); }

/// Bytes of one element; the alignment of every vector access.
static unsigned elementAlignment(Type type) {
  Type element = getElementTypeOrSelf(type);
  return isa<LLVM::LLVMPointerType>(element) ? 8 : element.getIntOrFloatBitWidth() / 8;
}

//===----------------------------------------------------------------------===//
// Constants and index arithmetic
//===----------------------------------------------------------------------===//

Value Ir::constant(Type like, Attribute scalar) {
  if (auto vector = dyn_cast<VectorType>(like))
    scalar = DenseElementsAttr::get(vector, scalar);
  return make<arith::ConstantOp>(cast<TypedAttr>(scalar));
}

Value Ir::index(int64_t value) { return make<arith::ConstantOp>(b.getI64IntegerAttr(value)); }

Value Ir::floatLike(Type like, double value) {
  return constant(like, b.getFloatAttr(getElementTypeOrSelf(like), value));
}

Value Ir::intLike(Type like, int64_t value) {
  return constant(like, b.getIntegerAttr(getElementTypeOrSelf(like), value));
}

Value Ir::lanesOf(int64_t lanes) {
  SmallVector<int32_t> values(lanes);
  std::iota(values.begin(), values.end(), 0);
  return make<arith::ConstantOp>(b.getI32VectorAttr(values));
}

Value Ir::firstLanes(int64_t lanes, int64_t active) {
  SmallVector<bool> values(lanes);
  std::fill_n(values.begin(), active, true);
  return make<arith::ConstantOp>(b.getBoolVectorAttr(values));
}

Value Ir::less(Value lhs, Value rhs) {
  return fold<arith::CmpIOp>(arith::CmpIPredicate::ult, lhs, rhs);
}

Value Ir::equal(Value lhs, Value rhs) {
  return fold<arith::CmpIOp>(arith::CmpIPredicate::eq, lhs, rhs);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value Ir::at(Value pointer, Value offset) {
  return make<LLVM::GEPOp>(pointerType(), b.getI8Type(), pointer, ArrayRef<LLVM::GEPArg>{offset});
}

Value Ir::at(Value pointer, int64_t offset) {
  return offset == 0 ? pointer : at(pointer, index(offset));
}

Value Ir::load(Type type, Value pointer) {
  return make<LLVM::LoadOp>(type, pointer, elementAlignment(type));
}

void Ir::store(Value value, Value pointer) {
  make<LLVM::StoreOp>(value, pointer, elementAlignment(value.getType()));
}

Value Ir::load(Type element, int64_t lanes, int64_t active, Value pointer) {
  VectorType type = vectorOf(lanes, element);
  if (active == lanes)
    return load(type, pointer);
  Value zeros = constant(type, b.getZeroAttr(element));
  return make<LLVM::MaskedLoadOp>(type, pointer, firstLanes(lanes, active), zeros,
                                  b.getI32IntegerAttr(elementAlignment(element)), UnitAttr());
}

void Ir::store(Value vector, int64_t active, Value pointer) {
  int64_t lanes = lanesIn(vector);
  if (active == lanes)
    return store(vector, pointer);
  make<LLVM::MaskedStoreOp>(vector, pointer, firstLanes(lanes, active),
                            b.getI32IntegerAttr(elementAlignment(vector.getType())));
}

Value Ir::gather(Type element, Value indices, int64_t active, Value pointer) {
  int64_t lanes = lanesIn(indices);
  VectorType type = vectorOf(lanes, element);
  Value pointers = make<LLVM::GEPOp>(vectorOf(lanes, pointerType()), element, pointer,
                                     ArrayRef<LLVM::GEPArg>{indices});
  Value zeros = constant(type, b.getZeroAttr(element));
  return make<LLVM::masked_gather>(type, pointers, firstLanes(lanes, active), ValueRange{zeros},
                                   b.getI32IntegerAttr(elementAlignment(element)));
}

Value Ir::loadInt32(Value pointer) {
  return fold<arith::ExtSIOp>(b.getI64Type(), load(b.getI32Type(), pointer));
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

Value Ir::splat(Value scalar, int64_t lanes) {
  return make<vector::BroadcastOp>(vectorOf(lanes, scalar.getType()), scalar);
}

Value Ir::shuffle(Value vector, ArrayRef<int64_t> mask) {
  return make<vector::ShuffleOp>(vector, vector, mask);
}

Value Ir::larger(Value x, Value y) {
  Value isLarger = make<arith::CmpFOp>(arith::CmpFPredicate::OGT, x, y);
  return make<arith::SelectOp>(isLarger, x, y);
}

Value Ir::foldHalves(Value vector, int64_t lanes, function_ref<Value(Value, Value)> join) {
  for (int64_t count = lanesIn(vector); count > lanes; count /= 2) {
    SmallVector<int64_t> low(count / 2), high(count / 2);
    std::iota(low.begin(), low.end(), 0);
    std::iota(high.begin(), high.end(), count / 2);
    vector = join(shuffle(vector, low), shuffle(vector, high));
  }
  return vector;
}

Value Ir::lane(Value vector, int64_t index) {
  return make<vector::ExtractOp>(vector, ArrayRef<int64_t>{index});
}

//===----------------------------------------------------------------------===//
// bfloat16
//===----------------------------------------------------------------------===//

Value Ir::widenBf16(Value bits) {
  int64_t lanes = lanesIn(bits);
  VectorType ints = vectorOf(lanes, b.getI32Type());
  Value wide = make<arith::ExtUIOp>(ints, bits);
  return make<arith::BitcastOp>(floats(lanes), make<arith::ShLIOp>(wide, intLike(ints, 16)));
}

Value Ir::narrowToBf16(Value values) {
  int64_t lanes = lanesIn(values);
  VectorType ints = vectorOf(lanes, b.getI32Type());
  Value bits = make<arith::BitcastOp>(ints, values);
  Value high = make<arith::ShRUIOp>(bits, intLike(ints, 16));
  Value odd = make<arith::AndIOp>(high, intLike(ints, 1));
  Value bias = make<arith::AddIOp>(odd, intLike(ints, 0x7fff));
  Value rounded = make<arith::ShRUIOp>(make<arith::AddIOp>(bits, bias), intLike(ints, 16));
  Value isNan = make<arith::CmpFOp>(arith::CmpFPredicate::UNO, values, values);
  Value quiet = make<arith::OrIOp>(high, intLike(ints, 0x40));
  Value chosen = make<arith::SelectOp>(isNan, quiet, rounded);
  return make<arith::TruncIOp>(vectorOf(lanes, b.getI16Type()), chosen);
}
