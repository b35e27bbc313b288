// RUN: llama4-opt %s --kernel-expand-math | FileCheck %s

// ===== exp: rounded by the magic constant, a polynomial of degree 6, two powers of two =====
// CHECK-LABEL: func.func @exp(
// CHECK-DAG:     %[[MAGIC:.*]] = arith.constant dense<0x4B400000> : vector<16xf32>
// CHECK-NOT:     math.exp
// CHECK:         %[[K:.*]] = math.fma %{{.*}}, %{{.*}}, %[[MAGIC]] : vector<16xf32>
// CHECK:         arith.subf %[[K]], %[[MAGIC]]
// CHECK-COUNT-8: math.fma
// CHECK:         arith.bitcast %[[K]] : vector<16xf32> to vector<16xi32>
// CHECK:         arith.shrsi
// CHECK-COUNT-2: arith.mulf
// CHECK:         return
func.func @exp(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp %x : vector<16xf32>
  return %y : vector<16xf32>
}

// ===== Uniform values are scalars =====
// CHECK-LABEL: func.func @scalar(
// CHECK-NOT:     math.exp
// CHECK:         arith.bitcast %{{.*}} : f32 to i32
func.func @scalar(%x: f32) -> f32 {
  %y = math.exp %x : f32
  return %y : f32
}

// ===== tanh: a polynomial near 0, exp beyond =====
// CHECK-LABEL: func.func @tanh(
// CHECK-NOT:     math.tanh
// CHECK-NOT:     math.exp
// CHECK:         math.copysign
// CHECK:         %[[NEAR:.*]] = arith.cmpf olt
// CHECK:         arith.select %[[NEAR]]
func.func @tanh(%x: vector<32xf32>) -> vector<32xf32> {
  %y = math.tanh %x : vector<32xf32>
  return %y : vector<32xf32>
}

// ===== What the target has itself stays =====
// CHECK-LABEL: func.func @native(
// CHECK:         math.rsqrt
// CHECK:         math.absf
func.func @native(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.rsqrt %x : vector<16xf32>
  %z = math.absf %y : vector<16xf32>
  return %z : vector<16xf32>
}
