//===- StepAbi.h - fields of the kernel ABI as loads -------------*- C++ -*-===//
//
// The only place of the code generator that knows where the fields of l4_dispatch and l4_step lie.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL_STEPABI_H
#define LLAMA4_PASSES_KERNEL_STEPABI_H

#include "dialects/lm/Lm.h"
#include "passes/kernel/Ir.h"
#include "runtime/format/KernelAbi.h"

namespace llama4::kernel {

/// Loads from an l4_step. Everything is i64 where it is a number.
class StepAbi {
public:
  StepAbi(Ir &ir, mlir::Value step) : ir_(ir), step_(step) {}

  mlir::Value symbol();
  mlir::Value position(mlir::Value token);
  mlir::Value sequence(mlir::Value token);
  /// Page id of the page that holds `position` of `sequence`.
  mlir::Value page(int64_t kind, mlir::Value sequence, mlir::Value position);

private:
  mlir::Value pointerField(int64_t offset);

  Ir &ir_;
  mlir::Value step_;
};

/// Fields of an l4_dispatch.
mlir::Value loadStep(Ir &ir, mlir::Value dispatch);
mlir::Value loadBindings(Ir &ir, mlir::Value dispatch);
mlir::Value loadTiles(Ir &ir, mlir::Value dispatch);

/// Bytes of one page of a layer's state, or 0 where the state has no page layout: elements that are
/// not f32 or bf16, an odd head dimension, a kind without page table.
int64_t kvPageBytes(lm::KvLayerType kv);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_STEPABI_H
