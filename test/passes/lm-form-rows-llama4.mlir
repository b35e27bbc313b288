// Head norms and temperatures are row work.
// RUN: llama4-opt %s --lm-form-rows | FileCheck %s

// CHECK: [[FIRST:#.*]] = affine_map<(d0) -> (0)>
// CHECK-LABEL: func.func @named
func.func @named(%x: tensor<?x64xf32>, %t: tensor<?x1xf32>) -> tensor<?x64xf32> {
  // CHECK: [[N:%.*]] = lm.row 64 {
  // CHECK: [[X:%.*]] = lm.element %arg0
  // CHECK: [[Q:%.*]] = arith.mulf [[X]], [[X]]
  // CHECK: lm.reduce sum [[Q]] over 16
  // CHECK: math.rsqrt
  // CHECK: } -> tensor<?x64xf32>
  %0 = lm.qk_norm %x {dim = 16 : i64, eps = 1.0e-5 : f32} : tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: lm.element %arg1 at [[FIRST]] : tensor<?x1xf32>
  // CHECK: lm.element [[N]]
  // CHECK: arith.mulf
  %1 = lm.temperature %0, %t : tensor<?x64xf32>, tensor<?x1xf32>
  return %1 : tensor<?x64xf32>
}
