// RUN: llama4-opt %s --lm-form-rows --lm-fuse-rows --lm-fuse-epilogue --cse | FileCheck %s
// RUN: llama4-opt %s --lm-form-rows --lm-fuse-rows --lm-fuse-epilogue=off | FileCheck %s --check-prefix=OFF
// OFF-LABEL: func.func @residual
// OFF: lm.linear {{.*}} {lm.unfused = ["lm-fuse-epilogue: not with add: the pass is switched off"]}
// OFF: lm.row 64
// OFF: {lm.unfused = [{{.*}}"lm-fuse-epilogue: not with linear: the pass is switched off"]}

!layer = !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>

// ===== SwiGLU and the quantization for the next linear: gate and up become one group =====
// CHECK-LABEL: func.func @swiglu
func.func @swiglu(%x: tensor<?x64xf32>, %w: tensor<128x64xf32>) -> tensor<?x128x!lm.block<q8_32>> {
  // CHECK: lm.linear %arg0, %arg1, %arg1 groups [2] {{.*}} -> tensor<?x128x!lm.block<q8_32>> epilogue {
  // CHECK: ^bb0([[G:%.*]]: f32, [[U:%.*]]: f32):
  // CHECK: arith.negf [[G]]
  // CHECK: arith.mulf %{{.*}}, [[U]]
  // CHECK-NOT: lm.row
  %g, %u = lm.linear %x, %w, %w : tensor<?x64xf32>, tensor<128x64xf32>, tensor<128x64xf32> -> tensor<?x128xf32>, tensor<?x128xf32>
  %s = lm.silu %g : tensor<?x128xf32>
  %m = lm.mul %s, %u : tensor<?x128xf32>
  %q = lm.quantize_rows %m : tensor<?x128xf32> -> tensor<?x128x!lm.block<q8_32>>
  return %q : tensor<?x128x!lm.block<q8_32>>
}

// ===== RoPE on the query; RoPE and the KV write on key and value =====
// CHECK-LABEL: func.func @qkv
func.func @qkv(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %k: tensor<32x64xf32>, %cos: tensor<?x8xf32>, %kv: !layer, %b: !lm.batch) -> tensor<?x64xf32> {
  // CHECK: [[Y:%.*]] = lm.linear %arg0, %arg1, %arg2, %arg2 groups [1, 2] {{.*}} epilogue {
  // CHECK: lm.rotate half
  // CHECK: lm.yield %{{.*}} : f32
  // CHECK: }, {
  // CHECK: ^bb0(%{{.*}}: f32, [[V:%.*]]: f32):
  // CHECK: lm.kv_put key
  // CHECK: lm.kv_put value [[V]]
  // CHECK: lm.yield{{$}}
  // CHECK: lm.attention [[Y]]
  // CHECK-NOT: lm.row
  %q0, %k0, %v0 = lm.linear %x, %w, %k, %k : tensor<?x64xf32>, tensor<64x64xf32>, tensor<32x64xf32>, tensor<32x64xf32> -> tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>
  %q1 = lm.rope %q0, %cos, %cos, half : tensor<?x64xf32>, tensor<?x8xf32>
  %k1 = lm.rope %k0, %cos, %cos, half : tensor<?x32xf32>, tensor<?x8xf32>
  lm.kv_write %k1, %v0 into %kv, %b : tensor<?x32xf32>, !layer
  %a = lm.attention %q1, %kv, %b mask causal scale 0.25 : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}

// ===== Bias and residual, one after the other =====
// CHECK-LABEL: func.func @residual
func.func @residual(%x: tensor<?x64xf32>, %r: tensor<?x64xf32>, %w: tensor<64x64xf32>, %b: tensor<64xf32>) -> tensor<?x64xf32> {
  // CHECK: lm.linear %arg0, %arg2 : {{.*}} epilogue {
  // CHECK: lm.element %arg3 : tensor<64xf32>
  // CHECK: lm.element %arg1 : tensor<?x64xf32>
  // CHECK-NOT: lm.row
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.bias %0, %b : tensor<?x64xf32>, tensor<64xf32>
  %2 = lm.add %1, %r : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// ===== The result that others read stays a result =====
// CHECK-LABEL: func.func @both
func.func @both(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: [[Y:%.*]]:2 = lm.linear {{.*}} epilogue {
  // CHECK: ^bb0([[E:%.*]]: f32):
  // CHECK: lm.yield [[E]], %{{.*}} : f32, f32
  // CHECK: return [[Y]]#0, [[Y]]#1
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.silu %0 : tensor<?x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// ===== A row reduction needs the whole row: it stays a dispatch of its own =====
// CHECK-LABEL: func.func @norm
func.func @norm(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %n: tensor<64xf32>) -> tensor<?x64xf32> {
  // CHECK: lm.linear {{.*}} {lm.unfused = ["lm-fuse-epilogue: not with rms_norm: the row work reduces over the row, a tile has only a part of it"]} {{.*}} -> tensor<?x64xf32>{{$}}
  // CHECK: lm.row 64
  // CHECK: {lm.unfused = ["lm-fuse-epilogue: not with linear: the row work reduces over the row, a tile has only a part of it"]}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.rms_norm %0, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  return %1 : tensor<?x64xf32>
}

// ===== A unit wider than a tile may be: heads of 1040 columns =====
// CHECK-LABEL: func.func @unit
func.func @unit(%x: tensor<?x64xf32>, %w: tensor<1040x64xf32>, %cos: tensor<?x520xf32>) -> tensor<?x1040xf32> {
  // CHECK: lm.linear {{.*}} -> tensor<?x1040xf32>{{$}}
  // CHECK: lm.row 1040
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<1040x64xf32> -> tensor<?x1040xf32>
  %1 = lm.rope %0, %cos, %cos, half : tensor<?x1040xf32>, tensor<?x520xf32>
  return %1 : tensor<?x1040xf32>
}

// ===== What another op computes in between can't be read before =====
// CHECK-LABEL: func.func @order
func.func @order(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  // CHECK: [[A:%.*]] = lm.linear %arg0, %arg1 {lm.unfused = ["lm-fuse-epilogue: not with {{.*}}: lm.linear is no row work", "lm-fuse-epilogue: not with {{.*}}: an epilogue of another contraction reads it"]} : {{.*}}{{$}}
  // CHECK: lm.linear [[A]], %arg1 {{.*}} epilogue {
  // CHECK: lm.element [[A]]
  // CHECK-NOT: lm.row
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %0, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %2 = lm.add %0, %1 : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// ===== A reduction over heads stays inside a unit: a norm of each head fuses behind RoPE =====
// CHECK-LABEL: func.func @head_norm
func.func @head_norm(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>, %cos: tensor<?x16xf32>) -> tensor<?x64xf32> {
  // CHECK: lm.linear {{.*}} -> tensor<?x64xf32> epilogue {
  // CHECK: lm.rotate half
  // CHECK: lm.reduce sum %{{.*}} over 32
  // CHECK-NOT: lm.row
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.row 64 {
    %a = lm.element %0 : tensor<?x64xf32>
    %r = lm.rotate half %a, 32
    %q = arith.mulf %r, %r : f32
    %s = lm.reduce sum %q over 32
    %y = arith.divf %r, %s : f32
    lm.yield %y : f32
  } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// ===== Heads that don't divide the width have no unit =====
// CHECK-LABEL: func.func @cut_heads
func.func @cut_heads(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  // CHECK: lm.linear {{.*}} -> tensor<?x64xf32>{{$}}
  // CHECK: lm.row 64
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.row 64 {
    %a = lm.element %0 : tensor<?x64xf32>
    %s = lm.reduce sum %a over 24
    lm.yield %s : f32
  } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}

// ===== Writes of state keep their order: tiles of one dispatch have none =====
// CHECK-LABEL: func.func @twice
func.func @twice(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>, %kv: !layer, %b: !lm.batch) {
  // CHECK: lm.linear {{.*}} epilogue {
  // CHECK: lm.kv_put value
  // CHECK: lm.row 32
  // CHECK: lm.kv_put value
  %0, %1 = lm.linear %x, %w, %w : tensor<?x64xf32>, tensor<32x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>, tensor<?x32xf32>
  lm.kv_write %0, %0 into %kv, %b : tensor<?x32xf32>, !layer
  lm.kv_write %1, %1 into %kv, %b : tensor<?x32xf32>, !layer
  return
}
