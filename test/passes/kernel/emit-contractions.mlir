// RUN: llama4-opt %s --kernel-emit-rows --canonicalize --cse | FileCheck %s

// CHECK: llvm.func @l4_{{.*}}(!llvm.ptr

// ===== Identity to f32: the core writes the result itself =====
// 40 columns are 3 units of one panel. A panel of 96 columns in q4_1 takes 96 * 8 + 2 * 3 * 32 = 960
// bytes; result rows are 192 bytes = 48 floats apart, activation rows 384 bytes.
// CHECK-LABEL: llvm.func @direct(
// CHECK-DAG:     %[[UNITS:.*]] = arith.constant 3 : i64
// CHECK-DAG:     %[[PANEL:.*]] = arith.constant 960 : i64
// CHECK-DAG:     %[[K:.*]] = arith.constant 96 : i64
// CHECK-DAG:     %[[STRIDE:.*]] = arith.constant 48 : i64
// CHECK-DAG:     %[[ACT:.*]] = arith.constant 384 : i64
// CHECK-DAG:     %[[TOKENS:.*]] = arith.constant 64 : i64
// CHECK:         scf.for %[[TILE:.*]] =
// CHECK:           %[[BLOCK:.*]] = arith.divui %[[TILE]], %[[UNITS]]
// CHECK:           %[[FIRST:.*]] = arith.muli %[[BLOCK]], %[[TOKENS]]
// CHECK:           %[[LEFT:.*]] = arith.subi %{{.*}}, %[[FIRST]]
// CHECK:           %[[M:.*]] = arith.minui %[[LEFT]], %[[TOKENS]]
// CHECK:           %[[UNIT:.*]] = arith.remui %[[TILE]], %[[UNITS]]
// CHECK:           arith.muli %[[UNIT]], %[[PANEL]]
// CHECK:           llvm.call @l4_linear_f32_q4_1(%{{.*}}, %[[STRIDE]], %{{.*}}, %[[ACT]], %{{.*}}, %[[M]], %[[K]])
// CHECK-NOT:       llvm.load
// CHECK:           }
cmd.kernel @direct grid affine_map<(T) -> ((T ceildiv 64) * 3)> {
^bb0(%x: tensor<?x96xf32>, %w: tensor<40x96x!lm.block<q4_1>, #target.layout<"panels", 16>>):
  %0 = lm.linear %x, %w core <"l4_linear_f32_q4_1", tokens = 64>
      : tensor<?x96xf32>, tensor<40x96x!lm.block<q4_1>, #target.layout<"panels", 16>>
      -> tensor<?x40xf32>
  cmd.yield %0 : tensor<?x40xf32>
}

// ===== Two segments, one epilogue =====
// A quantized result makes units of 32 columns: 2 panels per segment. The tile is
// [2 segments][8 tokens][32] floats; the second segment starts at 1024.
// CHECK-LABEL: llvm.func @pair(
// CHECK-SAME:    %{{.*}}, %{{.*}}, %{{.*}}, %[[TILE:.*]]: !llvm.ptr
// CHECK:         scf.for %{{.*}} = %{{.*}} to %[[PANELS:.*]] step
// CHECK:           llvm.call @l4_linear_bf16_bfloat16
// CHECK:         %[[SECOND:.*]] = llvm.getelementptr %[[TILE]][1024]
// CHECK:         scf.for
// CHECK:           llvm.call @l4_linear_bf16_bfloat16
// CHECK:         scf.for %[[TOKEN:.*]] =
// CHECK:           llvm.load %{{.*}} -> vector<32xf32>
// CHECK:           llvm.load %{{.*}} -> vector<32xf32>
// CHECK:           arith.mulf {{.*}} : vector<32xf32>
// CHECK:           math.roundeven
cmd.kernel @pair grid affine_map<(T) -> ((T ceildiv 8) * 2)> {
^bb0(%x: tensor<?x64xbf16>, %g: tensor<64x64xbf16>, %u: tensor<64x64xbf16>):
  %0 = lm.linear %x, %g, %u groups [2] core <"l4_linear_bf16_bfloat16", tokens = 8>
      : tensor<?x64xbf16>, tensor<64x64xbf16>, tensor<64x64xbf16>
      -> tensor<?x64x!lm.block<q8_32>> epilogue {
  ^bb0(%a: f32, %b: f32):
    %p = arith.mulf %a, %b : f32
    lm.yield %p : f32
  }
  cmd.yield %0 : tensor<?x64x!lm.block<q8_32>>
}

// ===== Groups: tiles of the first one come first; a cut unit has fewer panels and a tail =====
// 20 columns: 2 units; heads of 24 make units of 48 columns of 72: 2 units, the last one cut.
// CHECK-LABEL: llvm.func @groups(
// CHECK-DAG:     %[[C2:.*]] = arith.constant 2 : i64
// CHECK-DAG:     %[[C3:.*]] = arith.constant 3 : i64
// CHECK:         %[[UNIT:.*]] = arith.remui
// CHECK:         %[[IS_FIRST:.*]] = arith.cmpi ult, %[[UNIT]], %[[C2]]
// CHECK:         scf.if %[[IS_FIRST]] {
// CHECK:           llvm.call @l4_linear_f32_float32
// CHECK:         } else {
// CHECK:           %[[SECOND:.*]] = arith.subi %[[UNIT]], %[[C2]]
// CHECK:           %[[IS_CUT:.*]] = arith.cmpi eq, %[[SECOND]]
// CHECK:           arith.select %[[IS_CUT]], %[[C2]], %[[C3]]
// CHECK:           llvm.call @l4_linear_f32_float32
// CHECK:           scf.if %[[IS_CUT]]
// CHECK:             llvm.intr.masked.store
cmd.kernel @groups grid affine_map<(T) -> ((T ceildiv 16) * 4)> {
^bb0(%x: tensor<?x8xf32>, %a: tensor<20x8xf32>, %b: tensor<72x8xf32>):
  %0, %1 = lm.linear %x, %a, %b core <"l4_linear_f32_float32", tokens = 16>
      : tensor<?x8xf32>, tensor<20x8xf32>, tensor<72x8xf32>
      -> tensor<?x20xf32>, tensor<?x72xf32> epilogue {
  ^bb0(%e: f32):
    lm.yield %e : f32
  }, {
  ^bb0(%e: f32):
    %r = lm.rotate half %e, 24
    lm.yield %r : f32
  }
  cmd.yield %0, %1 : tensor<?x20xf32>, tensor<?x72xf32>
}

// ===== Attention: a tile is a block of tokens of one KV head =====
// CHECK-LABEL: llvm.func @attention(
// CHECK-DAG:     %[[HEADS:.*]] = arith.constant 2 : i64
// CHECK-DAG:     %[[SCALE:.*]] = arith.constant 1.250000e-01 : f32
// CHECK:         %[[HEAD:.*]] = arith.remui %{{.*}}, %[[HEADS]]
// CHECK:         llvm.call @l4_attention_float32({{.*}}, %[[HEAD]], {{.*}}, %[[HEADS]], {{.*}}, %[[SCALE]], %{{.*}})
// CHECK:         scf.for
// CHECK:           math.roundeven
cmd.kernel @attention grid affine_map<(T) -> ((T ceildiv 16) * 2)> {
^bb0(%q: tensor<?x256xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 64, f32>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.125 core <"l4_attention_float32", tokens = 16>
      : tensor<?x256xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 64, f32>
      -> tensor<?x256x!lm.block<q8_32>>
  cmd.yield %0 : tensor<?x256x!lm.block<q8_32>>
}

// ===== Attention over chunks: the length of a chunk is the argument before the scale =====
// CHECK-LABEL: llvm.func @chunked(
// CHECK-DAG:     %[[CHUNK:.*]] = arith.constant 48 : i64
// CHECK-DAG:     %[[SCALE:.*]] = arith.constant 1.250000e-01 : f32
// CHECK:         llvm.call @l4_attention_float32({{.*}}, %[[CHUNK]], %[[SCALE]], %{{.*}})
cmd.kernel @chunked grid affine_map<(T) -> ((T ceildiv 16) * 2)> {
^bb0(%q: tensor<?x256xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 64, f32>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask chunked scale 0.125
      core <"l4_attention_float32", tokens = 16> {chunk = 48}
      : tensor<?x256xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 64, f32> -> tensor<?x256xf32>
  cmd.yield %0 : tensor<?x256xf32>
}

// ===== Embedding =====
// CHECK-LABEL: llvm.func @embed(
// CHECK:         %[[ID:.*]] = llvm.load %{{.*}} -> i32
// CHECK:         %[[WIDE:.*]] = arith.extsi %[[ID]]
// CHECK:         llvm.call @l4_row_q8_0(%{{.*}}, %{{.*}}, %[[WIDE]], %{{.*}})
cmd.kernel @embed grid affine_map<(T) -> (T)> {
^bb0(%ids: tensor<?xi32>, %w: tensor<100x64x!lm.block<q8_0>>):
  %0 = lm.embed %ids, %w : tensor<?xi32>, tensor<100x64x!lm.block<q8_0>> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
