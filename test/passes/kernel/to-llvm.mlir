// RUN: llama4-opt %s --kernel-emit-rows --kernel-expand-math --kernel-to-llvm | FileCheck %s

// ===== Nothing but the llvm dialect is left =====
// CHECK-LABEL: llvm.func @silu(
// CHECK-NOT:     {{[ ](arith|math|scf|cf|vector)\.}}
// CHECK:         llvm.fneg %{{.*}} : vector<16xf32>
// CHECK:         llvm.intr.fma
// CHECK:         llvm.fdiv %{{.*}} : vector<16xf32>
// CHECK:         llvm.br
// CHECK-NOT:     {{[ ](arith|math|scf|cf|vector)\.}}
// CHECK:         llvm.return
cmd.kernel @silu grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x160xf32>):
  %0 = lm.row 160 {
    %a = lm.element %x : tensor<?x160xf32>
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %one = arith.constant 1.0 : f32
    %d = arith.addf %one, %e : f32
    %s = arith.divf %a, %d : f32
    lm.yield %s : f32
  } -> tensor<?x160xf32>
  cmd.yield %0 : tensor<?x160xf32>
}

// ===== Reductions, quantization, gathers and pages =====
// CHECK-LABEL: llvm.func @everything(
// CHECK-NOT:     {{[ ](arith|math|scf|cf|vector)\.}}
// CHECK:         llvm.intr.masked.gather
// CHECK-NOT:     {{[ ](arith|math|scf|cf|vector)\.}}
// CHECK:         llvm.intr.vector.reduce.add
// CHECK-NOT:     {{[ ](arith|math|scf|cf|vector)\.}}
// CHECK:         llvm.return
cmd.kernel @everything grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x40xf32>, %kv: !lm.kv_layer<kind = 0, heads = 1, dim = 40, bf16>, %b: !lm.batch):
  %0 = lm.row 40 {
    %a = lm.element %x at affine_map<(j) -> ((j - 3) floordiv 2 + 2)> : tensor<?x40xf32>
    %m = lm.reduce max %a
    %y = arith.subf %a, %m : f32
    lm.kv_put value %y into %kv, %b : !lm.kv_layer<kind = 0, heads = 1, dim = 40, bf16>
    lm.yield %y : f32
  } -> tensor<?x40x!lm.block<q8_32>>
  cmd.yield %0 : tensor<?x40x!lm.block<q8_32>>
}
