// RUN: llama4-opt %s --lower-outline-kernels | FileCheck %s
// RUN: llama4-opt %s --lower-outline-kernels | FileCheck %s --check-prefix=GRID
// A tile of row work is a token; of a linear, 64 tokens by one panel (40 columns are three panels).
// GRID-DAG: affine_map<(d0) -> (d0)>
// GRID-DAG: affine_map<(d0) -> ((d0 ceildiv 64) * 3)>

// ===== The op moves into a kernel; what it read becomes block arguments =====
// CHECK: cmd.kernel @main_row grid [[ROWS:#.*]] {
// CHECK: ^bb0(%{{.*}}: tensor<?x64xf32>, %{{.*}}: tensor<64xf32, #target.layout<"row", 1>>):
// CHECK: lm.row 64
// CHECK-NOT: lm.unfused
// CHECK: cmd.yield %{{.*}} : tensor<?x64xf32>
// CHECK: cmd.kernel @main_linear grid [[TILES:#.*]] {
// CHECK: lm.linear
// CHECK-LABEL: func.func @main
// CHECK: [[R:%.*]] = cmd.call @main_row(%arg0, %{{.*}}) sources ["model.norm", "model.scale"] {lm.unfused = ["why"]}
// CHECK: cmd.call @main_linear([[R]], %{{.*}}) sources ["lm.linear"]
lm.param @n : tensor<64xf32, #target.layout<"row", 1>> from #lm.source<"n">
lm.param @w : tensor<40x64xf32, #target.layout<"panels", 16>> from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x40xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %n = lm.load_param @n : tensor<64xf32, #target.layout<"row", 1>>
  %w = lm.load_param @w : tensor<40x64xf32, #target.layout<"panels", 16>>
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = lm.element %n : tensor<64xf32, #target.layout<"row", 1>>
    %c = arith.mulf %a, %b : f32
    lm.yield %c : f32
  } -> tensor<?x64xf32> {lm.unfused = ["why"]} loc(fused["model.norm"("a.cpp":1:1), "model.scale"("a.cpp":2:1)])
  %1 = lm.linear %0, %w core <"l4_linear_f32_float32", tokens = 64> : tensor<?x64xf32>, tensor<40x64xf32, #target.layout<"panels", 16>> -> tensor<?x40xf32>
  return %1 : tensor<?x40xf32>
}
