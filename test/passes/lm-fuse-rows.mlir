// RUN: llama4-opt %s --lm-form-rows --lm-fuse-rows --cse | FileCheck %s
// RUN: llama4-opt %s --lm-form-rows --lm-fuse-rows=off | FileCheck %s --check-prefix=OFF
// OFF-LABEL: func.func @norm
// OFF: {lm.unfused = ["lm-fuse-rows: not with add: the pass is switched off"]}
// OFF: {lm.unfused = ["lm-fuse-rows: not with rms_norm: the pass is switched off"]}

// ===== Residual add, norm, quantization: one op; the sum stays a result for its other reader =====
// CHECK-LABEL: func.func @norm
func.func @norm(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %w: tensor<64xf32>) -> (tensor<?x64xf32>, tensor<?x64x!lm.block<q8_32>>) {
  // CHECK: [[R:%.*]]:2 = lm.row 64 {
  // CHECK: [[A:%.*]] = lm.element %arg0
  // CHECK: [[B:%.*]] = lm.element %arg1
  // CHECK: [[S:%.*]] = arith.addf [[A]], [[B]]
  // CHECK: lm.reduce sum
  // CHECK: lm.yield [[S]], %{{.*}} : f32, f32
  // CHECK: } -> tensor<?x64xf32>, tensor<?x64x!lm.block<q8_32>>
  // CHECK-NOT: lm.row
  // CHECK: return [[R]]#0, [[R]]#1
  %0 = lm.add %x, %y : tensor<?x64xf32>
  %1 = lm.rms_norm %0, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  %2 = lm.quantize_rows %1 : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_32>>
  return %0, %2 : tensor<?x64xf32>, tensor<?x64x!lm.block<q8_32>>
}

// ===== What is read by row index must be in memory =====
// CHECK-LABEL: func.func @gather
func.func @gather(%x: tensor<?x64xf32>, %i: tensor<?xi32>) -> tensor<?x64xf32> {
  // CHECK: lm.row 64
  // CHECK: } -> tensor<?x64xf32> {lm.unfused = ["lm-fuse-rows: it reads nothing that the entry computes"]}
  // CHECK: lm.row 64
  // CHECK: } -> tensor<?x64xf32> {lm.unfused = ["lm-fuse-rows: not with silu: its elements are read by row number or in another order of columns, from memory"]}
  %0 = lm.silu %x : tensor<?x64xf32>
  %1 = lm.gather %0, %i : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// ===== A value that was rounded on its way to memory is read rounded =====
// CHECK-LABEL: func.func @rounded
func.func @rounded(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK-COUNT-2: lm.row 64
  // CHECK: {lm.unfused = ["lm-fuse-rows: not with quantize_rows: it is rounded on its way to memory"]}
  %0 = lm.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64xbf16>
  %1 = lm.row 64 {
    %e = lm.element %0 : tensor<?x64xbf16>
    lm.yield %e : f32
  } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// ===== Another width, or a reader that comes first, keeps them apart =====
// CHECK-LABEL: func.func @apart
func.func @apart(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: [[S:%.*]] = lm.row 64
  // CHECK: lm.linear [[S]]
  // CHECK: lm.row 64
  // CHECK: {lm.unfused = ["lm-fuse-rows: not with silu: another op reads it before"]}
  %0 = lm.silu %x : tensor<?x64xf32>
  %1 = lm.linear %0, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %2 = lm.add %0, %x : tensor<?x64xf32>
  return %1, %2 : tensor<?x64xf32>, tensor<?x64xf32>
}

// ===== A function without a body is none of its business =====
// CHECK: func.func private @external
func.func private @external(%x: tensor<?x64xf32>)
