// Rows in another order, a tile for each row of the result.
// RUN: llama4-opt %s --kernel-emit-rows --canonicalize --cse | FileCheck %s

// ===== The class token: row 4 of 5 is the vector =====
// CHECK-LABEL: llvm.func @insert(
// CHECK-DAG:     %[[AT:.*]] = arith.constant 4 : i64
// CHECK-DAG:     %[[ROWS:.*]] = arith.constant 5 : i64
// CHECK:         scf.for %[[TILE:.*]] =
// CHECK:           %[[UNIT:.*]] = arith.divui %[[TILE]], %[[ROWS]]
// CHECK:           %[[ROW:.*]] = arith.remui %[[TILE]], %[[ROWS]]
// CHECK:           arith.muli %[[UNIT]], %[[AT]]
// CHECK:           %[[NEW:.*]] = arith.cmpi eq, %{{.*}}, %[[AT]]
// CHECK:           %[[FROM:.*]] = arith.select %[[NEW]], %{{.*}}, %{{.*}} : !llvm.ptr
// CHECK:           %[[V:.*]] = llvm.load %[[FROM]] {{.*}}-> vector<16xf32>
// CHECK:           llvm.store %[[V]]
cmd.kernel @insert grid affine_map<(N) -> (N * 5)> {
^bb0(%x: tensor<?x4x16xf32>, %v: tensor<16xf32, #target.layout<"row", 1>>):
  %0 = lm.insert_row %x, %v at 4 groups 1 : tensor<?x4x16xf32>, tensor<16xf32, #target.layout<"row", 1>> -> tensor<?x5x16xf32>
  cmd.yield %0 : tensor<?x5x16xf32>
}

// ===== Features at the image tokens: -1 keeps the row =====
// CHECK-LABEL: llvm.func @merge(
// CHECK:         %[[AT:.*]] = llvm.load %{{.*}} -> i32
// CHECK:         %[[ROW:.*]] = arith.extsi %[[AT]] : i32 to i64
// CHECK:         %[[OWN:.*]] = arith.cmpi slt, %[[ROW]]
// CHECK:         arith.select %[[OWN]], %{{.*}}, %{{.*}} : !llvm.ptr
cmd.kernel @merge grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x16xf32>, %r: tensor<?xi32>, %f: tensor<40x16xf32>):
  %0 = lm.merge_rows %x, %r, %f : tensor<?x16xf32>, tensor<?xi32>, tensor<40x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// ===== More rows than there are: zeros =====
// CHECK-LABEL: llvm.func @fit(
// CHECK:         scf.if
// CHECK:           llvm.load {{.*}} vector<16xf32>
// CHECK:         } else {
// CHECK-NOT:       llvm.load
// CHECK:           llvm.store %{{.*}} vector<16xf32>
cmd.kernel @fit grid affine_map<(N) -> (N * 16)> {
^bb0(%x: tensor<?x10x16xf32>):
  %0 = lm.fit_rows %x groups 2 : tensor<?x10x16xf32> -> tensor<?x16x16xf32>
  cmd.yield %0 : tensor<?x16x16xf32>
}
