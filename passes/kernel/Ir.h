//===- Ir.h - the few kinds of ops that kernels are made of ------*- C++ -*-===//
//
// A builder and a location with short names for what the emitter writes: addresses, 64-bit index
// arithmetic (folded while it is built), vectors of floats, masked access. Addresses are llvm.ptr
// and byte offsets; there are no memrefs.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL_IR_H
#define LLAMA4_PASSES_KERNEL_IR_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"

namespace llama4::kernel {

class Ir {
public:
  Ir(mlir::OpBuilder &builder, mlir::Location loc) : b(builder), loc(loc) {}

  mlir::OpBuilder &b;
  mlir::Location loc;

  // Types.
  mlir::Type pointerType() { return mlir::LLVM::LLVMPointerType::get(b.getContext()); }
  mlir::VectorType vectorOf(int64_t lanes, mlir::Type element) {
    return mlir::VectorType::get({lanes}, element);
  }
  mlir::VectorType floats(int64_t lanes) { return vectorOf(lanes, b.getF32Type()); }

  // Constants. `like` is a type or a vector type.
  mlir::Value index(int64_t value);
  mlir::Value constant(mlir::Type like, mlir::Attribute scalar);
  mlir::Value floatLike(mlir::Type like, double value);
  mlir::Value intLike(mlir::Type like, int64_t value);
  /// 0, 1, 2, ... as vector<lanes x i32>.
  mlir::Value lanesOf(int64_t lanes);
  /// vector<lanes x i1> whose first `active` lanes are true.
  mlir::Value firstLanes(int64_t lanes, int64_t active);

  // Index arithmetic on i64, operands non-negative.
  mlir::Value add(mlir::Value lhs, mlir::Value rhs) { return fold<mlir::arith::AddIOp>(lhs, rhs); }
  mlir::Value add(mlir::Value lhs, int64_t rhs) { return rhs ? add(lhs, index(rhs)) : lhs; }
  mlir::Value sub(mlir::Value lhs, mlir::Value rhs) { return fold<mlir::arith::SubIOp>(lhs, rhs); }
  mlir::Value mul(mlir::Value lhs, mlir::Value rhs) { return fold<mlir::arith::MulIOp>(lhs, rhs); }
  mlir::Value mul(mlir::Value lhs, int64_t rhs) {
    return fold<mlir::arith::MulIOp>(lhs, index(rhs));
  }
  mlir::Value div(mlir::Value lhs, int64_t rhs) {
    return fold<mlir::arith::DivUIOp>(lhs, index(rhs));
  }
  mlir::Value rem(mlir::Value lhs, int64_t rhs) {
    return fold<mlir::arith::RemUIOp>(lhs, index(rhs));
  }
  mlir::Value less(mlir::Value lhs, mlir::Value rhs);
  mlir::Value equal(mlir::Value lhs, mlir::Value rhs);
  mlir::Value min(mlir::Value lhs, mlir::Value rhs) { return fold<mlir::arith::MinUIOp>(lhs, rhs); }
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no) {
    return fold<mlir::arith::SelectOp>(condition, yes, no);
  }
  template <typename Op, typename... Args> mlir::Value fold(Args &&...args) {
    return b.createOrFold<Op>(loc, std::forward<Args>(args)...);
  }
  template <typename Op, typename... Args> Op make(Args &&...args) {
    return Op::create(b, loc, std::forward<Args>(args)...);
  }

  // Memory. Offsets are bytes.
  mlir::Value at(mlir::Value pointer, mlir::Value offset);
  mlir::Value at(mlir::Value pointer, int64_t offset);
  /// A scalar, or a vector at its element's alignment.
  mlir::Value load(mlir::Type type, mlir::Value pointer);
  void store(mlir::Value value, mlir::Value pointer);
  /// The first `active` of `lanes` elements; the others are zero and not touched.
  mlir::Value load(mlir::Type element, int64_t lanes, int64_t active, mlir::Value pointer);
  void store(mlir::Value vector, int64_t active, mlir::Value pointer);
  /// Elements `indices` (vector<lanes x i32>) of an array at `pointer`.
  mlir::Value gather(mlir::Type element, mlir::Value indices, int64_t active, mlir::Value pointer);
  /// i32 at `pointer`, sign extended to i64.
  mlir::Value loadInt32(mlir::Value pointer);

  // Vectors.
  mlir::Value splat(mlir::Value scalar, int64_t lanes);
  mlir::Value shuffle(mlir::Value vector, llvm::ArrayRef<int64_t> mask);
  /// The larger of two vectors as one instruction; `y` where `x` is no number.
  mlir::Value larger(mlir::Value x, mlir::Value y);
  /// Joins the two halves of `vector` until `lanes` are left, in one fixed order.
  mlir::Value foldHalves(mlir::Value vector, int64_t lanes,
                         llvm::function_ref<mlir::Value(mlir::Value, mlir::Value)> join);
  mlir::Value lane(mlir::Value vector, int64_t index);

  // bfloat16 as i16 bits.
  mlir::Value widenBf16(mlir::Value bits);
  /// Round to nearest even; NaN stays NaN.
  mlir::Value narrowToBf16(mlir::Value floats);
};

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_IR_H
