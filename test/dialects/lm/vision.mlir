// Ops of image towers are read back as they were printed.
// RUN: llama4-opt %s | llama4-opt | FileCheck %s
// RUN: llama4-opt %s --mlir-print-op-generic | llama4-opt | FileCheck %s

// CHECK: lm.rope_grid @grid 2 by 2 [1.000000e+00, 1.000000e-01]
lm.rope_grid @grid 2 by 2 [1.0, 0.1]
lm.param @patch : tensor<8x12xbf16> from #lm.source<"patch">
lm.param @token : tensor<8xbf16> from #lm.source<"token">
lm.param @places : tensor<5x8xbf16> from #lm.source<"places">
lm.param @gate : tensor<1xbf16> from #lm.source<"gate">
lm.param @head : tensor<4xbf16> from #lm.source<"head">

// CHECK: %arg1: tensor<5x4xf32> {lm.role = "cos", lm.rope = @grid}
func.func @encode_image(%p: tensor<?x12x4xf32>, %cos: tensor<5x4xf32> {lm.role = "cos", lm.rope = @grid}, %sin: tensor<5x4xf32> {lm.role = "sin", lm.rope = @grid}, %n: tensor<?xi32>) -> tensor<?x1x32xf32> attributes {lm.entry = #lm.entry<"N", bound = 4>} {
  %patch = lm.load_param @patch : tensor<8x12xbf16>
  %token = lm.load_param @token : tensor<8xbf16>
  %places = lm.load_param @places : tensor<5x8xbf16>
  %gate = lm.load_param @gate : tensor<1xbf16>
  %head = lm.load_param @head : tensor<4xbf16>
  // CHECK: lm.patches %arg0 channels 3 patch 2 : tensor<?x12x4xf32> -> tensor<?x4x12xf32>
  %0 = lm.patches %p channels 3 patch 2 : tensor<?x12x4xf32> -> tensor<?x4x12xf32>
  // CHECK: lm.linear %{{.*}}, %{{.*}} : tensor<?x4x12xf32>, tensor<8x12xbf16> -> tensor<?x4x8xf32>
  %1 = lm.linear %0, %patch : tensor<?x4x12xf32>, tensor<8x12xbf16> -> tensor<?x4x8xf32>
  // CHECK: lm.insert_row %{{.*}}, %{{.*}} at 4 groups 1 : tensor<?x4x8xf32>, tensor<8xbf16> -> tensor<?x5x8xf32>
  %2 = lm.insert_row %1, %token at 4 groups 1 : tensor<?x4x8xf32>, tensor<8xbf16> -> tensor<?x5x8xf32>
  // CHECK: lm.bias %{{.*}}, %{{.*}} : tensor<?x5x8xf32>, tensor<5x8xbf16>
  %3 = lm.bias %2, %places : tensor<?x5x8xf32>, tensor<5x8xbf16>
  // CHECK: lm.gated_bias %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x5x8xf32>, tensor<5x8xbf16>, tensor<1xbf16>
  %4 = lm.gated_bias %3, %places, %gate : tensor<?x5x8xf32>, tensor<5x8xbf16>, tensor<1xbf16>
  // CHECK: lm.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x5x8xf32>, tensor<8xbf16>, tensor<8xbf16>
  %5 = lm.layer_norm %4, %token, %token {eps = 1.0e-5 : f32} : tensor<?x5x8xf32>, tensor<8xbf16>, tensor<8xbf16>
  // CHECK: lm.rope %{{.*}}, %arg1, %arg2, pairs : tensor<?x5x8xf32>, tensor<5x4xf32>
  %6 = lm.rope %5, %cos, %sin, pairs : tensor<?x5x8xf32>, tensor<5x4xf32>
  // CHECK: lm.head_norm %{{.*}}, %{{.*}} {eps = 9.99999974E-6 : f32} : tensor<?x5x8xf32>, tensor<4xbf16>
  %7 = lm.head_norm %6, %head {eps = 1.0e-5 : f32} : tensor<?x5x8xf32>, tensor<4xbf16>
  // CHECK: lm.unit_attention %{{.*}}, %{{.*}}, %{{.*}} heads 2 scale 5.000000e-01 : tensor<?x5x8xf32>
  %8 = lm.unit_attention %7, %7, %5 heads 2 scale 0.5 : tensor<?x5x8xf32>
  // CHECK: lm.unit_attention %{{.*}}, %{{.*}}, %{{.*}} heads 4 scale 5.000000e-01 : tensor<?x5x8xbf16>
  %narrow = lm.quantize_rows %7 : tensor<?x5x8xf32> -> tensor<?x5x8xbf16>
  %wide = lm.unit_attention %narrow, %narrow, %narrow heads 4 scale 0.5 : tensor<?x5x8xbf16>
  %sum = lm.add %wide, %7 : tensor<?x5x8xf32>
  // CHECK: lm.unit_attention %{{.*}}, %{{.*}}, %{{.*}} pictures %arg3 heads 2 scale 5.000000e-01 {groups = 1 : i64, real = 4 : i64} : tensor<?x5x8xf32>, tensor<?xi32>
  %9 = lm.unit_attention %7, %7, %5 pictures %n heads 2 scale 0.5 {groups = 1, real = 4} : tensor<?x5x8xf32>, tensor<?xi32>
  // CHECK: lm.tanh_gate %{{.*}}, %{{.*}} : tensor<?x5x8xf32>, tensor<1xbf16>
  %10 = lm.tanh_gate %9, %gate : tensor<?x5x8xf32>, tensor<1xbf16>
  // CHECK: lm.add %{{.*}}, %{{.*}} : tensor<?x5x8xf32>
  %11 = lm.add %8, %10 : tensor<?x5x8xf32>
  // CHECK: lm.gelu %{{.*}} : tensor<?x5x8xf32>
  %12 = lm.gelu %11 : tensor<?x5x8xf32>
  // CHECK: lm.fit_rows %{{.*}} groups 1 : tensor<?x5x8xf32> -> tensor<?x4x8xf32>
  %13 = lm.fit_rows %12 groups 1 : tensor<?x5x8xf32> -> tensor<?x4x8xf32>
  // CHECK: lm.concat interleaved %{{.*}}, %{{.*}} : tensor<?x4x8xf32>, tensor<?x4x8xf32> -> tensor<?x4x16xf32>
  %14 = lm.concat interleaved %13, %13 : tensor<?x4x8xf32>, tensor<?x4x8xf32> -> tensor<?x4x16xf32>
  // CHECK: lm.concat %{{.*}}, %{{.*}} : tensor<?x4x8xf32>, tensor<?x4x16xf32> -> tensor<?x4x24xf32>
  %15 = lm.concat %13, %14 : tensor<?x4x8xf32>, tensor<?x4x16xf32> -> tensor<?x4x24xf32>
  // CHECK: lm.reshape %{{.*}} : tensor<?x4x24xf32> -> tensor<?x1x96xf32>
  %16 = lm.reshape %15 : tensor<?x4x24xf32> -> tensor<?x1x96xf32>
  // CHECK: lm.spread_rows %{{.*}} : tensor<?x1x96xf32> -> tensor<?x3x96xf32>
  %17 = lm.spread_rows %16 : tensor<?x1x96xf32> -> tensor<?x3x96xf32>
  // CHECK: lm.pixel_shuffle %{{.*}} columns 2 side 2 : tensor<?x5x8xf32> -> tensor<?x1x32xf32>
  %18 = lm.pixel_shuffle %12 columns 2 side 2 : tensor<?x5x8xf32> -> tensor<?x1x32xf32>
  return %18 : tensor<?x1x32xf32>
}

func.func @step(%x: tensor<?x8xf32>, %r: tensor<?xi32>, %f: tensor<16x8xf32>, %k: tensor<3x10x4xf32>, %c: tensor<?xi32>, %t: tensor<3xi32>) -> tensor<?x8xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // CHECK: lm.merge_rows %arg0, %arg1, %arg2 : tensor<?x8xf32>, tensor<?xi32>, tensor<16x8xf32>
  %0 = lm.merge_rows %x, %r, %f : tensor<?x8xf32>, tensor<?xi32>, tensor<16x8xf32>
  // CHECK: lm.cross_attention %{{.*}}, %arg3, %arg3, %arg1, %arg4, %arg5 heads 4 groups 2 scale 5.000000e-01 : tensor<?x8xf32>, tensor<3x10x4xf32>, tensor<?xi32>, tensor<3xi32>
  %1 = lm.cross_attention %0, %k, %k, %r, %c, %t heads 4 groups 2 scale 0.5 : tensor<?x8xf32>, tensor<3x10x4xf32>, tensor<?xi32>, tensor<3xi32>
  return %1 : tensor<?x8xf32>
}
