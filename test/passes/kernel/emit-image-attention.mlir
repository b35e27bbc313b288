// Attention without pages: a tile is a block of rows or tokens x the query heads that share keys.
// RUN: llama4-opt %s --kernel-emit-rows --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

// 577 rows are 10 tiles of at most 58, times 4 heads.
// CHECK-LABEL: llvm.func @tower(
// CHECK-DAG:     %[[ROWS:.*]] = arith.constant 577 : i64
// CHECK-DAG:     %[[TILES:.*]] = arith.constant 10 : i64
// CHECK-DAG:     %[[HEADS:.*]] = arith.constant 4 : i64
// CHECK-DAG:     %[[TOKENS:.*]] = arith.constant 58 : i64
// CHECK-DAG:     %[[DIM:.*]] = arith.constant 16 : i64
// CHECK-DAG:     %[[ONE:.*]] = arith.constant 1 : i64
// CHECK:         scf.for %[[TILE:.*]] =
// CHECK:           %[[BLOCK:.*]] = arith.divui %[[TILE]], %[[HEADS]]
// CHECK:           %[[INUNIT:.*]] = arith.remui %[[BLOCK]], %[[TILES]]
// CHECK:           %[[FIRST:.*]] = arith.muli %[[INUNIT]], %[[TOKENS]]
// CHECK:           arith.divui %[[BLOCK]], %[[TILES]]
// CHECK:           arith.remui %[[TILE]], %[[HEADS]]
// CHECK:           llvm.call @l4_unit_attention_f32({{.*}}, %[[FIRST]], %{{.*}}, %[[ROWS]], %[[DIM]], %[[ONE]], %[[ROWS]], %[[ONE]], %{{.*}}, %{{.*}})
cmd.kernel @tower grid affine_map<(N) -> (N * 40)> {
^bb0(%q: tensor<?x577x64xf32>, %k: tensor<?x577x64xf32>, %v: tensor<?x577x64xf32>):
  %0 = lm.unit_attention %q, %k, %v heads 4 scale 2.5e-01 core <"l4_unit_attention_f32", tokens = 58> : tensor<?x577x64xf32>
  cmd.yield %0 : tensor<?x577x64xf32>
}

// -----
// Rows of 64 numbers take 128 bytes (577 of them 73,856), a head of 16 of them 32.
// CHECK-LABEL: llvm.func @narrow(
// CHECK-DAG:     %[[UNIT:.*]] = arith.constant 73856 : i64
// CHECK-DAG:     %[[STRIDE:.*]] = arith.constant 64 : i64
// CHECK-DAG:     %[[HEAD:.*]] = arith.constant 32 : i64
// CHECK:         scf.for %[[TILE:.*]] =
// CHECK:           %[[INDEX:.*]] = arith.remui %[[TILE]]
// CHECK:           arith.muli %[[INDEX]], %[[HEAD]]
// CHECK:           llvm.call @l4_unit_attention_bf16({{.*}}, %[[STRIDE]], %{{.*}}, %{{.*}}, %{{.*}}, %[[STRIDE]], %
cmd.kernel @narrow grid affine_map<(N) -> (N * 40)> {
^bb0(%q: tensor<?x577x64xbf16>, %k: tensor<?x577x64xbf16>, %v: tensor<?x577x64xbf16>):
  %0 = lm.unit_attention %q, %k, %v heads 4 scale 2.5e-01 core <"l4_unit_attention_bf16", tokens = 58> : tensor<?x577x64xbf16>
  cmd.yield %0 : tensor<?x577x64xf32>
}

// -----
// CHECK-LABEL: llvm.func @cross(
// CHECK:         llvm.call @l4_cross_attention_f32(
cmd.kernel @cross grid affine_map<(T) -> ((T ceildiv 16) * 2)> {
^bb0(%q: tensor<?x64xf32>, %k: tensor<5x8x16xf32>, %v: tensor<5x8x16xf32>, %f: tensor<?xi32>, %c: tensor<?xi32>, %t: tensor<5xi32>):
  %0 = lm.cross_attention %q, %k, %v, %f, %c, %t heads 8 groups 2 scale 2.5e-01 core <"l4_cross_attention_f32", tokens = 16> : tensor<?x64xf32>, tensor<5x8x16xf32>, tensor<?xi32>, tensor<5xi32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
cmd.kernel @large grid affine_map<(N) -> (N * 20)> {
^bb0(%q: tensor<?x577x64xf32>):
  // expected-error @+1 {{names the core l4_unit_attention_f32 for 128 rows, expected l4_unit_attention_f32 for at most 64}}
  %0 = lm.unit_attention %q, %q, %q heads 4 scale 2.5e-01 core <"l4_unit_attention_f32", tokens = 128> : tensor<?x577x64xf32>
  cmd.yield %0 : tensor<?x577x64xf32>
}
