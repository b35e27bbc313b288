//===- KernelPasses.td - bodies to vectors to LLVM ------*- tablegen -*-===//
//
// In the order in which compiler/target runs them, on a module that holds the kernels of one code
// object. The passes know no instruction set: what differs between CPU levels is the bitcode of the
// micro-kernels and the target machine.
//
//===----------------------------------------------------------------------===//
#ifndef LLAMA4_PASSES_KERNEL
#define LLAMA4_PASSES_KERNEL

include "mlir/Pass/PassBase.td"

def KernelEmitRows : Pass<"kernel-emit-rows", "::mlir::ModuleOp"> {
  let summary = "Kernels become functions over tiles, their regions loops over vectors";
  let description = [{
    A `cmd.kernel` becomes a function of the kernel ABI (runtime/format/KernelAbi.h): it loads its
    bindings and loops over tiles. The scalar region of row work or of an epilogue is walked once
    per chunk of 16 columns (32 where a result is quantized) and emitted on vectors; reductions and
    rotations come first, in chunk loops of their own. Contractions become calls of micro-kernels
    per panel of 16 weight rows. Memory is llvm.ptr and byte offsets.
    Results never share memory with operands (cmd-plan-memory): a row may be read again after parts
    of a result were stored.

    Whatever else stands in the module (parameters, entries) is no code and is removed.

    ```mlir
    cmd.kernel @add grid affine_map<(T) -> (T)> {
    ^bb0(%x: tensor<?x32xf32>, %y: tensor<?x32xf32>):
      %0 = lm.row 32 {
        %a = lm.element %x : tensor<?x32xf32>
        %b = lm.element %y : tensor<?x32xf32>
        %s = arith.addf %a, %b : f32
        lm.yield %s : f32
      } -> tensor<?x32xf32>
      cmd.yield %0 : tensor<?x32xf32>
    }
    // becomes
    llvm.func @add(%dispatch: !llvm.ptr, %begin: i32, %end: i32, %scratch: !llvm.ptr) {
      ... loads of the bindings ...
      scf.for %row = %first to %last step %c1 {
        scf.for %j = %c0 to %c32 step %c16 {
          %a = llvm.load %pa : !llvm.ptr -> vector<16xf32>
          %b = llvm.load %pb : !llvm.ptr -> vector<16xf32>
          %s = arith.addf %a, %b : vector<16xf32>
          llvm.store %s, %pc : vector<16xf32>, !llvm.ptr
    ```
  }];
  let statistics = [
    Statistic<"numKernels", "kernels", "kernels turned into functions">,
    Statistic<"numGathers", "gathers", "element loads that are no contiguous vector loads">
  ];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::scf::SCFDialect",
                           "::mlir::vector::VectorDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect"];
}

def KernelExpandMath : Pass<"kernel-expand-math", "::mlir::ModuleOp"> {
  let summary = "exp, tanh and erf become polynomials";
  let description = [{
    There is no library behind a kernel. `math.exp` on f32 becomes 2^n * p(r) with
    n = round(x / ln 2): relative error below 2e-7 over the whole range, 0 and infinity where they
    belong, NaN stays NaN. Where it is only added to constants of at least 1 (silu, sigmoid), what
    is below 2^-125 becomes 0, which gives the same sums by fewer operations. `math.tanh` is an odd polynomial near 0 and 1 - 2 / (exp(2x) + 1) beyond.
    What MLIR knows an approximation for (erf, log, sin, cos) takes that one. Rounding to even and
    then to i32 becomes one operation, `llvm.intr.lrint`.

    ```mlir
    %y = math.exp %x : vector<16xf32>
    // becomes
    %k = math.fma %x, %log2e, %magic : vector<16xf32>
    ...
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::arith::ArithDialect",
                           "::mlir::math::MathDialect", "::mlir::vector::VectorDialect"];
}

def KernelToLlvm : Pass<"kernel-to-llvm", "::mlir::ModuleOp"> {
  let summary = "scf, cf, arith, math and vector become the llvm dialect";
  let description = [{
    One conversion of everything that the emitter writes. What is left must be the llvm dialect;
    anything else is an error at the op.

    ```mlir
    %s = arith.addf %a, %b : vector<16xf32>
    // becomes
    %s = llvm.fadd %a, %b : vector<16xf32>
    ```
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::cf::ControlFlowDialect"];
}

#endif // LLAMA4_PASSES_KERNEL
