//===- KernelPasses.h - bodies to vectors to LLVM ----------------*- C++ -*-===//
#ifndef LLAMA4_PASSES_KERNEL_KERNELPASSES_H
#define LLAMA4_PASSES_KERNEL_KERNELPASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class OpPassManager;
class RewritePatternSet;
} // namespace mlir

namespace llama4::kernel {

// GEN_PASS_REGISTRATION also declares registerKernelPasses(), for llama4-opt.
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "passes/kernel/KernelPasses.h.inc"

/// kernel-emit-rows, then clean-up: what `--dump-kernels` shows.
void addEmitPasses(mlir::OpPassManager &manager);

/// kernel-expand-math and kernel-to-llvm.
void addLoweringPasses(mlir::OpPassManager &manager);

/// exp and tanh on f32 scalars and vectors.
void populateExpandMathPatterns(mlir::RewritePatternSet &patterns);

} // namespace llama4::kernel

#endif // LLAMA4_PASSES_KERNEL_KERNELPASSES_H
