// RUN: llama4-opt %s --lower-to-cmd | FileCheck %s

lm.rope_table @rope [1.0]
lm.param @n : tensor<64xf32, #target.layout<"row", 1>> from #lm.source<"n">
cmd.kernel @scale grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64xf32, #target.layout<"row", 1>>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = lm.element %w : tensor<64xf32, #target.layout<"row", 1>>
    %c = arith.mulf %a, %b : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
// CHECK: cmd.entry @main <"T", bound = 8> arguments [{name = "x"}, {name = "arg1", role = "cos", rope = @rope}] {
// CHECK: ^bb0([[X:%.*]]: !cmd.buffer<tensor<?x64xf32>>, %{{.*}}: !cmd.buffer<tensor<?x1xf32>>):
// CHECK: [[W:%.*]] = cmd.weight @n
// CHECK: [[A:%.*]] = cmd.alloc :
// CHECK: cmd.dispatch @scale ins([[X]], [[W]] : {{.*}}) outs([[A]] : {{.*}}) sources ["one"] {lm.unfused = ["why"]}
// CHECK: [[B:%.*]] = cmd.alloc :
// CHECK: cmd.dispatch @scale ins([[A]], [[W]] : {{.*}}) outs([[B]] : {{.*}}) sources ["two"]{{$}}
// CHECK: cmd.return [[B]]
// CHECK-NOT: func.func
func.func @main(%x: tensor<?x64xf32> {lm.name = "x"}, %c: tensor<?x1xf32> {lm.role = "cos", lm.rope = @rope}) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %w = lm.load_param @n : tensor<64xf32, #target.layout<"row", 1>>
  %0 = cmd.call @scale(%x, %w) sources ["one"] {lm.unfused = ["why"]} : (tensor<?x64xf32>, tensor<64xf32, #target.layout<"row", 1>>) -> tensor<?x64xf32>
  %1 = cmd.call @scale(%0, %w) sources ["two"] : (tensor<?x64xf32>, tensor<64xf32, #target.layout<"row", 1>>) -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
