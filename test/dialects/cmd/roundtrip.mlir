// RUN: llama4-opt %s | llama4-opt | FileCheck %s
// RUN: llama4-opt %s --mlir-print-op-generic | llama4-opt | FileCheck %s

lm.param @w : tensor<64xf32, #target.layout<"row", 1>> from #lm.source<"w">

// CHECK: cmd.kernel @scale grid #{{.*}} scratch 64 {
// CHECK: ^bb0(%{{.*}}: tensor<?x64xf32>, %{{.*}}: tensor<64xf32, #target.layout<"row", 1>>):
// CHECK: cmd.yield %{{.*}} : tensor<?x64xf32>
cmd.kernel @scale grid affine_map<(T) -> (T)> scratch 64 {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64xf32, #target.layout<"row", 1>>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = lm.element %w : tensor<64xf32, #target.layout<"row", 1>>
    %c = arith.mulf %a, %b : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// CHECK: cmd.entry @main <"T", bound = 8> arguments [{name = "x"}] arena 2048 {
cmd.entry @main <"T", bound = 8> arguments [{name = "x"}] arena 2048 {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  // CHECK: cmd.weight @w
  %w = cmd.weight @w : <tensor<64xf32, #target.layout<"row", 1>>>
  // CHECK: cmd.alloc at 0
  %t = cmd.alloc at 0 : <tensor<?x64xf32>>
  // CHECK: cmd.dispatch @scale ins(%{{.*}}, %{{.*}} : {{.*}}) outs(%{{.*}} : {{.*}}) sources ["a", "b"]
  cmd.dispatch @scale ins(%x, %w : !cmd.buffer<tensor<?x64xf32>>, !cmd.buffer<tensor<64xf32, #target.layout<"row", 1>>>) outs(%t : !cmd.buffer<tensor<?x64xf32>>) sources ["a", "b"]
  %o = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @scale ins(%t, %w : !cmd.buffer<tensor<?x64xf32>>, !cmd.buffer<tensor<64xf32, #target.layout<"row", 1>>>) outs(%o : !cmd.buffer<tensor<?x64xf32>>) sources ["c"]
  // CHECK: cmd.return
  cmd.return %o : !cmd.buffer<tensor<?x64xf32>>
}

// CHECK: cmd.call @scale(%{{.*}}, %{{.*}}) sources ["a"] : (tensor<?x64xf32>
func.func @call(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %w = lm.load_param @w : tensor<64xf32, #target.layout<"row", 1>>
  %0 = cmd.call @scale(%x, %w) sources ["a"] : (tensor<?x64xf32>, tensor<64xf32, #target.layout<"row", 1>>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
