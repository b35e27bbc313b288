// Norms of heads, temperatures, routing and experts are read back as they were printed.
// RUN: llama4-opt %s | llama4-opt | FileCheck %s
// RUN: llama4-opt %s --mlir-print-op-generic | llama4-opt | FileCheck %s

// CHECK: lm.temperature_table @temperature {attn_scale = 1.000000e-01 : f32, floor_scale = 8192 : i64}
lm.temperature_table @temperature {attn_scale = 0.1 : f32, floor_scale = 8192 : i64}
// CHECK: lm.param @gate : tensor<4x16x64xbf16> from <"e.gate_up", transpose = true>
lm.param @gate : tensor<4x16x64xbf16> from #lm.source<"e.gate_up", transpose = true>
// CHECK: lm.param @up : tensor<4x16x64xbf16> from <"e.gate_up", transpose = true, first_row = 16>
lm.param @up : tensor<4x16x64xbf16> from #lm.source<"e.gate_up", transpose = true, first_row = 16>
// CHECK: lm.param @packed : tensor<4x16x128x!lm.block<int4_g128>> from <"e.*.weight_packed", per_expert = true, scale = "e.*.weight_scale", bits = 4, zero_point = "e.*.weight_zero_point">
lm.param @packed : tensor<4x16x128x!lm.block<int4_g128>> from #lm.source<"e.*.weight_packed", per_expert = true, scale = "e.*.weight_scale", bits = 4, zero_point = "e.*.weight_zero_point">
// CHECK: lm.param @down : tensor<4x64x16xf32> from <"e.*.down.weight", per_expert = true, scale = "e.*.down.weight_scale">
lm.param @down : tensor<4x64x16xf32> from #lm.source<"e.*.down.weight", per_expert = true, scale = "e.*.down.weight_scale">
// CHECK: lm.param @blocks : tensor<4x16x64x!lm.block<q8_0>> from <"e.blocks">
lm.param @blocks : tensor<4x16x64x!lm.block<q8_0>> from #lm.source<"e.blocks">

// CHECK: %arg1: tensor<?x1xf32> {lm.role = "temperature", lm.temperature = @temperature}
func.func @step(%x: tensor<?x64xf32>, %t: tensor<?x1xf32> {lm.role = "temperature", lm.temperature = @temperature}, %l: tensor<?x4xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %gate = lm.load_param @gate : tensor<4x16x64xbf16>
  %up = lm.load_param @up : tensor<4x16x64xbf16>
  %down = lm.load_param @down : tensor<4x64x16xf32>
  // CHECK: lm.qk_norm %arg0 {dim = 16 : i64, eps = 9.99999974E-6 : f32} : tensor<?x64xf32>
  %n = lm.qk_norm %x {dim = 16, eps = 1.0e-5 : f32} : tensor<?x64xf32>
  // CHECK: lm.temperature %{{.*}}, %arg1 : tensor<?x64xf32>, tensor<?x1xf32>
  %s = lm.temperature %n, %t : tensor<?x64xf32>, tensor<?x1xf32>
  // CHECK: %ids, %scores = lm.route %arg2 top 2 : tensor<?x4xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  %ids, %scores = lm.route %l top 2 : tensor<?x4xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  // CHECK: %rows, %scores_{{[0-9]+}}, %places, %tiles = lm.group_by_expert %arg2 top 2 tile 64 : tensor<?x4xf32> -> tensor<?x2x1xi32>, tensor<?x2x1xf32>, tensor<?x2x1xi32>, tensor<?x2x4xi32>
  %rows, %sorted, %places, %tiles = lm.group_by_expert %l top 2 tile 64 : tensor<?x4xf32> -> tensor<?x2x1xi32>, tensor<?x2x1xf32>, tensor<?x2x1xi32>, tensor<?x2x4xi32>
  // CHECK: [[IN:%.*]] = lm.row 64
  %in = lm.row 64 {
    // CHECK: lm.element %{{.*}} rows %rows : tensor<?x2x1xi32> : tensor<?x64xf32>
    %e = lm.element %s rows %rows : tensor<?x2x1xi32> : tensor<?x64xf32>
    lm.yield %e : f32
  } -> tensor<?x2x64xf32>
  // CHECK: [[OUT:%.*]] = lm.linear [[IN]], %{{.*}} by %tiles : tensor<?x2x64xf32>, tensor<4x16x64xbf16>, tensor<?x2x4xi32> -> tensor<?x2x16xf32>
  %out = lm.linear %in, %gate by %tiles : tensor<?x2x64xf32>, tensor<4x16x64xbf16>, tensor<?x2x4xi32> -> tensor<?x2x16xf32>
  %sum = lm.row 16 {
    // CHECK: lm.element [[OUT]] rows %places slot 1 : tensor<?x2x1xi32> : tensor<?x2x16xf32>
    %e = lm.element %out rows %places slot 1 : tensor<?x2x1xi32> : tensor<?x2x16xf32>
    lm.yield %e : f32
  } -> tensor<?x16xf32>
  // CHECK: lm.experts %{{.*}}, %ids, %scores, %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<4x16x64xbf16>, tensor<4x64x16xf32>
  %y = lm.experts %s, %ids, %scores, %gate, %up, %down : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<4x16x64xbf16>, tensor<4x64x16xf32>
  return %y : tensor<?x64xf32>
}
