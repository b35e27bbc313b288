// RUN: llama4-opt %s --lm-fuse-linear | FileCheck %s
// RUN: llama4-opt %s --lm-fuse-linear=off | FileCheck %s --check-prefix=OFF
// Switched off it leaves that as the reason.
// OFF-LABEL: func.func @qkv
// OFF-COUNT-3: lm.linear {{.*}} {lm.unfused = ["lm-fuse-linear: the pass is switched off"]}
// OFF-LABEL: func.func @apart
// OFF-NOT: lm.unfused
// OFF-LABEL: func.func @epilogue

// ===== Three linears on one input become one of three segments =====
// CHECK-LABEL: func.func @qkv
func.func @qkv(%x: tensor<?x64xf32>, %a: tensor<64x64xf32>, %b: tensor<32x64xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: [[Y:%.*]]:3 = lm.linear %arg0, %arg1, %arg2, %arg2
  // CHECK-NOT: lm.linear
  // CHECK: return [[Y]]#0, [[Y]]#1, [[Y]]#2
  %0 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %x, %b : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  %2 = lm.linear %x, %b : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %0, %1, %2 : tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}

// ===== Other inputs stay apart =====
// CHECK-LABEL: func.func @apart
func.func @apart(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %a: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: lm.linear %arg0
  // CHECK: lm.linear %arg1
  %0 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %y, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// ===== A linear that already has an epilogue is left alone =====
// CHECK-LABEL: func.func @epilogue
func.func @epilogue(%x: tensor<?x64xf32>, %a: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: lm.linear %arg0, %arg1 {lm.unfused = ["lm-fuse-linear: the others that read its input do more than multiply"]} : {{.*}} -> tensor<?x64xf32>{{$}}
  // CHECK: lm.linear %arg0, %arg1 {lm.unfused = ["lm-fuse-linear: it does more than multiply, or rounds its results"]} : {{.*}} epilogue
  %0 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32> epilogue {
  ^bb0(%e: f32):
    %n = arith.negf %e : f32
    lm.yield %n : f32
  }
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// ===== A result that is rounded stays rounded =====
// CHECK-LABEL: func.func @rounded
func.func @rounded(%x: tensor<?x64xf32>, %a: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xbf16>) {
  // CHECK: lm.linear %arg0, %arg1 {{.*}} -> tensor<?x64xf32>{{$}}
  // CHECK: lm.linear %arg0, %arg1 {{.*}} -> tensor<?x64xbf16>{{$}}
  %0 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %x, %a : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xbf16>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xbf16>
}

// ===== A function without a body is none of its business =====
// CHECK: func.func private @external
func.func private @external(%x: tensor<?x64xf32>)
