// The row work of image towers becomes rows of units.
// RUN: llama4-opt %s --lm-form-rows | FileCheck %s

// CHECK: [[HALF:#.*]] = affine_map<(d0) -> ((d0 mod 4) floordiv 2)>
// CHECK-LABEL: func.func @towers
func.func @towers(%x: tensor<?x5x4xf32>, %w: tensor<4xf32>, %p: tensor<5x4xf32>, %c: tensor<5x2xf32>) -> tensor<?x5x4xf32> {
  // CHECK: [[N:%.*]] = lm.row 4 {
  // CHECK: lm.element %arg0 : tensor<?x5x4xf32>
  // CHECK: lm.reduce sum
  // CHECK: arith.subf
  // CHECK: lm.reduce sum
  // CHECK: math.rsqrt
  // CHECK: } -> tensor<?x5x4xf32>
  %0 = lm.layer_norm %x, %w, %w {eps = 1.0e-5 : f32} : tensor<?x5x4xf32>, tensor<4xf32>, tensor<4xf32>
  // CHECK: lm.row 4 {
  // CHECK: lm.element [[N]] : tensor<?x5x4xf32>
  // CHECK: lm.element %arg2 : tensor<5x4xf32>
  %1 = lm.bias %0, %p : tensor<?x5x4xf32>, tensor<5x4xf32>
  // CHECK: lm.row 4 {
  // CHECK: lm.element %arg3 at [[HALF]] : tensor<5x2xf32>
  %2 = lm.rope %1, %c, %c, pairs : tensor<?x5x4xf32>, tensor<5x2xf32>
  // CHECK: lm.row 4 {
  // CHECK: math.erf
  %3 = lm.gelu %2 : tensor<?x5x4xf32>
  return %3 : tensor<?x5x4xf32>
}
