// RUN: llama4-opt %s --cmd-dedup-kernels | FileCheck %s

// ===== The same body from another place is the same kernel; another constant or grid is not =====
// CHECK: cmd.kernel @a grid
// CHECK-NOT: cmd.kernel @b grid
// CHECK: cmd.kernel @c grid
// CHECK: cmd.kernel @grid grid
// CHECK: cmd.dispatch @a {{.*}} sources ["one"]
// CHECK: cmd.dispatch @a {{.*}} sources ["two"]
// CHECK: cmd.dispatch @c {{.*}} sources ["three"]
cmd.kernel @a grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %k = arith.constant 2.0 : f32
    %a = lm.element %x : tensor<?x64xf32>
    %c = arith.mulf %a, %k : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32> loc("one")
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @b grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %k = arith.constant 2.0 : f32
    %a = lm.element %x : tensor<?x64xf32>
    %c = arith.mulf %a, %k : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32> loc("two")
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @c grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %k = arith.constant 3.0 : f32
    %a = lm.element %x : tensor<?x64xf32>
    %c = arith.mulf %a, %k : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @grid grid affine_map<(T) -> (T * 2)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %k = arith.constant 2.0 : f32
    %a = lm.element %x : tensor<?x64xf32>
    %c = arith.mulf %a, %k : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{name = "x"}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  %a = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @a ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x64xf32>>) sources ["one"]
  %b = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @b ins(%a : !cmd.buffer<tensor<?x64xf32>>) outs(%b : !cmd.buffer<tensor<?x64xf32>>) sources ["two"]
  %c = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @c ins(%b : !cmd.buffer<tensor<?x64xf32>>) outs(%c : !cmd.buffer<tensor<?x64xf32>>) sources ["three"]
  cmd.return %c : !cmd.buffer<tensor<?x64xf32>>
}
