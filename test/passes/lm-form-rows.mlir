// RUN: llama4-opt %s --lm-form-rows | FileCheck %s

// CHECK-LABEL: func.func @named
func.func @named(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %w: tensor<64xf32>, %cos: tensor<?x8xf32>, %i: tensor<?xi32>) -> tensor<?x64xbf16> {
  // CHECK: [[S:%.*]] = lm.row 64 {
  // CHECK: [[A:%.*]] = lm.element %arg0
  // CHECK: [[B:%.*]] = lm.element %arg1
  // CHECK: arith.addf [[A]], [[B]]
  %0 = lm.add %x, %y : tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: [[E:%.*]] = lm.element [[S]]
  // CHECK: [[Q:%.*]] = arith.mulf [[E]], [[E]]
  // CHECK: lm.reduce sum [[Q]]
  // CHECK: math.rsqrt
  // CHECK: lm.element %arg2 : tensor<64xf32>
  %1 = lm.rms_norm %0, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: lm.row 64 {
  // CHECK: lm.rotate half %{{.*}}, 16
  // CHECK: lm.element %arg3 at [[MAP:#.*]] :
  %2 = lm.rope %1, %cos, %cos, half : tensor<?x64xf32>, tensor<?x8xf32>
  // CHECK: lm.row 64 {
  // CHECK: math.exp
  %3 = lm.silu %2 : tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: arith.mulf
  %4 = lm.mul %3, %x : tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: lm.element %arg2 : tensor<64xf32>
  // CHECK: arith.addf
  %5 = lm.bias %4, %w : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: lm.row 64 {
  // CHECK: lm.element %{{.*}} rows %arg4 : tensor<?xi32>
  %6 = lm.gather %5, %i : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: } -> tensor<?x64xbf16>
  %7 = lm.quantize_rows %6 : tensor<?x64xf32> -> tensor<?x64xbf16>
  return %7 : tensor<?x64xbf16>
}

// ===== A KV write is row work without a result =====
// CHECK-LABEL: func.func @state
func.func @state(%k: tensor<?x32xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // CHECK: lm.row 32 {
  // CHECK: lm.kv_put key
  // CHECK: lm.kv_put value
  // CHECK: lm.yield
  lm.kv_write %k, %k into %kv, %b : tensor<?x32xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
  return
}

// ===== What a dispatch will be called: the op before the module =====
// RUN: llama4-opt %s --lm-form-rows --mlir-print-debuginfo | FileCheck %s --check-prefix=LOC
// LOC-DAG: loc("silu model.layers.0.mlp"
// LOC-DAG: loc("linear model.layers.0.mlp.gate"
// LOC-DAG: loc("linear model.layers.0.mlp.up"
func.func @sources(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %0, %1 = lm.linear %x, %w, %w : tensor<?x64xf32>, tensor<64x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>, tensor<?x64xf32> loc(fused["model.layers.0.mlp.gate"("m.cpp":1:1), "model.layers.0.mlp.up"("m.cpp":2:1)])
  %2 = lm.silu %0 : tensor<?x64xf32> loc("model.layers.0.mlp"("m.cpp":3:1))
  return %2 : tensor<?x64xf32>
}
