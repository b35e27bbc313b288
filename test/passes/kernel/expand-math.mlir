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

// ===== exp that is added to 1: one power of two, whose bits are those of the rounded quotient =====
// CHECK-LABEL: func.func @sigmoid(
// CHECK-DAG:     %[[MAGIC:.*]] = arith.constant dense<0x4B40007E> : vector<16xf32>
// CHECK:         %[[K:.*]] = math.fma %{{.*}}, %{{.*}}, %[[MAGIC]] : vector<16xf32>
// CHECK-COUNT-8: math.fma
// CHECK:         arith.bitcast %[[K]] : vector<16xf32> to vector<16xi32>
// CHECK-NEXT:    arith.shli
// CHECK-NEXT:    arith.bitcast
// CHECK-NEXT:    arith.mulf
// CHECK-NEXT:    arith.addf
// CHECK-NEXT:    arith.divf
func.func @sigmoid(%x: vector<16xf32>) -> vector<16xf32> {
  %one = arith.constant dense<1.0> : vector<16xf32>
  %e = math.exp %x : vector<16xf32>
  %s = arith.addf %e, %one : vector<16xf32>
  %y = arith.divf %one, %s : vector<16xf32>
  return %y : vector<16xf32>
}

// ===== exp that is added to less than 1, or used otherwise, keeps its smallest numbers =====
// CHECK-LABEL: func.func @small(
// CHECK:         arith.shrsi
// CHECK:         arith.shrsi
func.func @small(%x: vector<16xf32>) -> (vector<16xf32>, vector<16xf32>, vector<16xf32>) {
  %one = arith.constant dense<1.0> : vector<16xf32>
  %half = arith.constant dense<0.5> : vector<16xf32>
  %e = math.exp %x : vector<16xf32>
  %s = arith.addf %e, %half : vector<16xf32>
  %z = arith.negf %x : vector<16xf32>
  %f = math.exp %z : vector<16xf32>
  %t = arith.addf %f, %one : vector<16xf32>
  return %s, %f, %t : vector<16xf32>, vector<16xf32>, vector<16xf32>
}

// ===== Rounding to an integer =====
// CHECK-LABEL: func.func @round(
// CHECK-NEXT:    llvm.intr.lrint(%{{.*}}) : (vector<16xf32>) -> vector<16xi32>
func.func @round(%x: vector<16xf32>) -> vector<16xi32> {
  %r = math.roundeven %x : vector<16xf32>
  %y = arith.fptosi %r : vector<16xf32> to vector<16xi32>
  return %y : vector<16xi32>
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
