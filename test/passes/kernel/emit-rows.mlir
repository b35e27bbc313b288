// RUN: llama4-opt %s --kernel-emit-rows --canonicalize --cse | FileCheck %s

// ===== What is no kernel is no code =====
// CHECK-NOT: lm.param
// CHECK-NOT: cmd.
lm.param @w : tensor<40xf32> from #lm.source<"w">

// ===== Frame: bindings, then tiles =====
// Two bindings: the operand at 0, the result at 8. One tile is one row of 3 floats, padded to 64.
// CHECK-LABEL: llvm.func @frame(
// CHECK-SAME:    %[[D:.*]]: !llvm.ptr {llvm.noalias}, %[[B:.*]]: i32, %[[E:.*]]: i32,
// CHECK-SAME:    %{{.*}}: !llvm.ptr {llvm.align = 64 : i64, llvm.noalias})
// CHECK-DAG:     %[[C64:.*]] = arith.constant 64 : i64
// CHECK-DAG:     %[[MASK:.*]] = arith.constant dense<[true, true, true, false, {{.*}}]> : vector<16xi1>
// CHECK:         %[[BASE:.*]] = llvm.load %[[D]]
// CHECK:         %[[X:.*]] = llvm.load %[[BASE]]
// CHECK:         %[[Y8:.*]] = llvm.getelementptr %[[BASE]][8]
// CHECK:         %[[Y:.*]] = llvm.load %[[Y8]]
// CHECK:         %[[FIRST:.*]] = arith.extui %[[B]]
// CHECK:         %[[LAST:.*]] = arith.extui %[[E]]
// CHECK:         scf.for %[[ROW:.*]] = %[[FIRST]] to %[[LAST]]
// CHECK:           %[[AT:.*]] = arith.muli %[[ROW]], %[[C64]]
// CHECK:           %[[IN:.*]] = llvm.getelementptr %[[X]][%[[AT]]]
// CHECK:           %[[OUT:.*]] = llvm.getelementptr %[[Y]][%[[AT]]]
// CHECK:           %[[V:.*]] = llvm.intr.masked.load %[[IN]], %[[MASK]]
// CHECK:           llvm.intr.masked.store %[[V]], %[[OUT]], %[[MASK]]
cmd.kernel @frame grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x3xf32>):
  %0 = lm.row 3 {
    %a = lm.element %x : tensor<?x3xf32>
    lm.yield %a : f32
  } -> tensor<?x3xf32>
  cmd.yield %0 : tensor<?x3xf32>
}

// ===== A reduction is a loop of its own =====
// 96 columns: 64 in one wide chunk, two chunks of 16; the wide sum is folded to 16 lanes first.
// What depends on the sum alone is a scalar.
// CHECK-LABEL: llvm.func @reduce(
// CHECK:         llvm.load %{{.*}} -> vector<64xf32>
// CHECK:         vector.shuffle {{.*}} : vector<64xf32>
// CHECK:         vector.shuffle {{.*}} : vector<32xf32>
// CHECK:         scf.for {{.*}} iter_args(%{{.*}}) -> (vector<16xf32>)
// CHECK:           arith.addf {{.*}} : vector<16xf32>
// CHECK:           scf.yield {{.*}} : vector<16xf32>
// CHECK:         vector.shuffle {{.*}} [1] : vector<2xf32>
// CHECK:         %[[SUM:.*]] = vector.extract %{{.*}}[0] : f32 from vector<1xf32>
// CHECK:         %[[SCALE:.*]] = math.rsqrt %[[SUM]] : f32
// CHECK:         scf.for
// CHECK:           vector.broadcast %[[SCALE]] : f32 to vector<16xf32>
// CHECK:           llvm.store %{{.*}} : vector<16xf32>
cmd.kernel @reduce grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x96xf32>):
  %0 = lm.row 96 {
    %a = lm.element %x : tensor<?x96xf32>
    %s = lm.reduce sum %a
    %r = math.rsqrt %s : f32
    %y = arith.mulf %a, %r : f32
    lm.yield %y : f32
  } -> tensor<?x96xf32>
  cmd.yield %0 : tensor<?x96xf32>
}

// ===== The last chunk of a reduction is masked =====
// 20 columns: lanes beyond the fourth count as the identity of max.
// CHECK-LABEL: llvm.func @masked_reduce(
// CHECK-DAG:     %[[LOWEST:.*]] = arith.constant dense<0xFF800000> : vector<16xf32>
// CHECK-DAG:     %[[FOUR:.*]] = arith.constant dense<[true, true, true, true, false, {{.*}}]> : vector<16xi1>
// CHECK:         %[[TAIL:.*]] = llvm.intr.masked.load {{.*}}, %[[FOUR]]
// CHECK:         arith.select %[[FOUR]], %[[TAIL]], %[[LOWEST]]
cmd.kernel @masked_reduce grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x20xf32>):
  %0 = lm.row 20 {
    %a = lm.element %x : tensor<?x20xf32>
    %s = lm.reduce max %a
    lm.yield %s : f32
  } -> tensor<?x20xf32>
  cmd.yield %0 : tensor<?x20xf32>
}

// ===== bfloat16 is widened and rounded by integers; a row vector is float32 =====
// CHECK-LABEL: llvm.func @bf16(
// CHECK:         llvm.load %{{.*}} -> vector<16xi16>
// CHECK:         arith.extui {{.*}} : vector<16xi16> to vector<16xi32>
// CHECK:         arith.shli
// CHECK:         llvm.load %{{.*}} -> vector<16xf32>
// CHECK:         arith.trunci {{.*}} : vector<16xi32> to vector<16xi16>
// CHECK:         llvm.store {{.*}} : vector<16xi16>
cmd.kernel @bf16 grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x16xbf16>, %w: tensor<16xbf16, #target.layout<"row", 1>>):
  %0 = lm.row 16 {
    %a = lm.element %x : tensor<?x16xbf16>
    %b = lm.element %w : tensor<16xbf16, #target.layout<"row", 1>>
    %y = arith.mulf %a, %b : f32
    lm.yield %y : f32
  } -> tensor<?x16xbf16>
  cmd.yield %0 : tensor<?x16xbf16>
}

// ===== A quantized result takes chunks of one block =====
// 64 columns are two blocks: quants at 0, from 64 on a scale, scaled sum and sum of each.
// CHECK-LABEL: llvm.func @quantize(
// CHECK:         scf.for
// CHECK:           %[[V:.*]] = llvm.load %{{.*}} -> vector<32xf32>
// CHECK:           math.absf %[[V]]
// CHECK:           math.roundeven
// CHECK:           %[[Q:.*]] = arith.fptosi {{.*}} : vector<32xf32> to vector<32xi32>
// CHECK:           %[[BYTES:.*]] = arith.trunci %[[Q]] : vector<32xi32> to vector<32xi8>
// CHECK:           llvm.store %[[BYTES]]
// CHECK:           vector.reduction <add>, %[[Q]]
// CHECK:           llvm.getelementptr %{{.*}}[4]
// CHECK:           llvm.getelementptr %{{.*}}[8]
cmd.kernel @quantize grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64x!lm.block<q8_32>>
  cmd.yield %0 : tensor<?x64x!lm.block<q8_32>>
}

// ===== Blocks of 128 and of 32 columns of one value: a chunk of the larger holds four of the other =====
// 192 columns are two blocks of 128 (the second one cut) and six of 32.
// CHECK-LABEL: llvm.func @quantize_wide(
// CHECK:         scf.for
// CHECK:           %[[V:.*]] = llvm.load %{{.*}} -> vector<128xf32>
// CHECK:           arith.fptosi {{.*}} : vector<128xf32> to vector<128xi32>
// CHECK:           llvm.store {{.*}} : vector<128xi8>
// its sums, each of 32 columns
// CHECK:           vector.shuffle {{.*}} [0, 1, 2, {{.*}}, 31]
// CHECK:           vector.reduction <add>, {{.*}} : vector<32xi32> into i32
// CHECK:           vector.shuffle {{.*}} [96, 97, {{.*}}, 127]
// CHECK:           llvm.store {{.*}} : i16
// CHECK-COUNT-4:   llvm.store {{.*}} : vector<32xi8>
// CHECK-NOT:       llvm.store {{.*}} : vector<32xi8>
// The rest: half a block of 128, two of 32.
// CHECK:         llvm.store {{.*}} : vector<128xi8>
// CHECK-COUNT-2: llvm.store {{.*}} : vector<32xi8>
// CHECK-NOT:     llvm.store {{.*}} : vector<32xi8>
cmd.kernel @quantize_wide grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x192xf32>):
  %0, %1 = lm.row 192 {
    %a = lm.element %x : tensor<?x192xf32>
    lm.yield %a, %a : f32, f32
  } -> tensor<?x192x!lm.block<q8_128>>, tensor<?x192x!lm.block<q8_32>>
  cmd.yield %0, %1 : tensor<?x192x!lm.block<q8_128>>, tensor<?x192x!lm.block<q8_32>>
}

// ===== Column maps: contiguous where that can be proved =====
// CHECK-LABEL: llvm.func @maps(
// CHECK:         scf.for
// j mod 32 is contiguous inside every chunk of 16
// CHECK:           arith.remui
// CHECK:           llvm.load %{{.*}} -> vector<16xf32>
// pairs share an element: 8 are loaded and doubled
// CHECK:           llvm.load %{{.*}} -> vector<8xf32>
// CHECK:           vector.shuffle {{.*}} [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]
// j floordiv 16 is one element
// CHECK:           llvm.load %{{.*}} -> vector<1xf32>
// CHECK:           vector.broadcast
// j mod 20 is not contiguous
// CHECK:           llvm.intr.masked.gather
cmd.kernel @maps grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x32xf32>):
  %0 = lm.row 80 {
    %a = lm.element %x at affine_map<(j) -> (j mod 32)> : tensor<?x32xf32>
    %b = lm.element %x at affine_map<(j) -> ((j mod 32) floordiv 2)> : tensor<?x32xf32>
    %c = lm.element %x at affine_map<(j) -> (j floordiv 16)> : tensor<?x32xf32>
    %d = lm.element %x at affine_map<(j) -> (j mod 20)> : tensor<?x32xf32>
    %ab = arith.addf %a, %b : f32
    %abc = arith.addf %ab, %c : f32
    %y = arith.addf %abc, %d : f32
    lm.yield %y : f32
  } -> tensor<?x80xf32>
  cmd.yield %0 : tensor<?x80xf32>
}

// ===== Rotation of an operand reads the operand; of an expression, a slot in scratch =====
// CHECK-LABEL: llvm.func @rotate(
// CHECK-SAME:    %{{.*}}, %{{.*}}, %{{.*}}, %[[SCRATCH:.*]]: !llvm.ptr
// CHECK:         scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}} : i64 {
// CHECK:           scf.for
// CHECK:             %[[SLOT:.*]] = llvm.getelementptr %[[SCRATCH]]
// CHECK:             llvm.store %{{.*}}, %[[SLOT]]
// CHECK:           scf.for
// CHECK:             %[[IS_FIRST:.*]] = arith.cmpi ult
// CHECK:             %[[PARTNER:.*]] = llvm.load %{{.*}} -> vector<16xf32>
// CHECK:             %[[NEGATED:.*]] = arith.negf %[[PARTNER]]
// CHECK:             arith.select %[[IS_FIRST]], %[[NEGATED]], %[[PARTNER]]
// CHECK:             %[[OF_SLOT:.*]] = llvm.getelementptr %[[SCRATCH]]
// CHECK:             llvm.load %[[OF_SLOT]] {{.*}} -> vector<16xf32>
cmd.kernel @rotate grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0, %1 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %r = lm.rotate half %a, 32
    %b = arith.addf %a, %a : f32
    %s = lm.rotate half %b, 32
    lm.yield %r, %s : f32, f32
  } -> tensor<?x64xf32>, tensor<?x64xf32>
  cmd.yield %0, %1 : tensor<?x64xf32>, tensor<?x64xf32>
}

// ===== Rotation of pairs stays in registers =====
// CHECK-LABEL: llvm.func @pairs(
// CHECK:         vector.shuffle {{.*}} [1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14]
cmd.kernel @pairs grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x16xf32>):
  %0 = lm.row 16 {
    %a = lm.element %x : tensor<?x16xf32>
    %b = arith.mulf %a, %a : f32
    %r = lm.rotate pairs %b, 8
    lm.yield %r : f32
  } -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// ===== Keys are strided, values contiguous; the page comes from the table of the kind =====
// l4_step: position at 8, sequence at 16, page_table[1] at 48, page_stride[1] at 76.
// A page of one head of 16 is 16 * (16 + 16) floats = 2048 bytes.
// CHECK-LABEL: llvm.func @kv(
// CHECK-DAG:     %[[PAGE_BYTES:.*]] = arith.constant 2048 : i64
// CHECK:         %[[STEP8:.*]] = llvm.getelementptr %{{.*}}[8]
// CHECK:         %[[STEP:.*]] = llvm.load %[[STEP8]]
// CHECK:         llvm.getelementptr %[[STEP]][8]
// CHECK:         llvm.getelementptr %[[STEP]][16]
// CHECK:         llvm.getelementptr %[[STEP]][48]
// CHECK:         llvm.getelementptr %[[STEP]][76]
// CHECK:         arith.extsi
// CHECK:         %[[PAGE:.*]] = arith.extsi %{{.*}} : i32 to i64
// CHECK:         arith.muli %[[PAGE]], %[[PAGE_BYTES]]
// CHECK:         vector.extract %{{.*}}[0] : f32 from vector<16xf32>
// CHECK:         llvm.getelementptr %{{.*}}[64]
// CHECK:         llvm.getelementptr %{{.*}}[128]
// CHECK:         llvm.getelementptr %{{.*}}[960]
// CHECK:         llvm.store %{{.*}} : vector<16xf32>
cmd.kernel @kv grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x16xf32>, %kv: !lm.kv_layer<kind = 1, heads = 1, dim = 16, f32>, %b: !lm.batch):
  lm.row 16 {
    %a = lm.element %x : tensor<?x16xf32>
    lm.kv_put key %a into %kv, %b : !lm.kv_layer<kind = 1, heads = 1, dim = 16, f32>
    lm.kv_put value %a into %kv, %b : !lm.kv_layer<kind = 1, heads = 1, dim = 16, f32>
    lm.yield
  }
  cmd.yield
}

// ===== A row through an index =====
// CHECK-LABEL: llvm.func @gather_rows(
// CHECK:         %[[ROW:.*]] = llvm.load %{{.*}} -> i32
// CHECK:         %[[WIDE:.*]] = arith.extsi %[[ROW]] : i32 to i64
// CHECK:         arith.muli %[[WIDE]]
cmd.kernel @gather_rows grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x16xf32>, %rows: tensor<?xi32>):
  %0 = lm.row 16 {
    %a = lm.element %x rows %rows : tensor<?xi32> : tensor<?x16xf32>
    lm.yield %a : f32
  } -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// ===== A reduction over heads: a loop over heads fills a slot, the columns read it back =====
// CHECK-LABEL: llvm.func @heads(
// CHECK-SAME:    %[[SCRATCH:[a-z0-9]+]]: !llvm.ptr {llvm.align = 64
// CHECK-DAG:     %[[HEADS:.*]] = arith.constant 3 : i64
// CHECK:         scf.for %[[HEAD:.*]] = %{{.*}} to %[[HEADS]]
// CHECK:           scf.for
// CHECK:             arith.addf {{.*}} : vector<16xf32>
// CHECK:           scf.for
// CHECK:             llvm.store
// CHECK:         scf.for
// CHECK:           math.rsqrt {{.*}} : vector<16xf32>
cmd.kernel @heads grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x192xf32>):
  %0 = lm.row 192 {
    %a = lm.element %x : tensor<?x192xf32>
    %s = lm.reduce sum %a over 64
    %r = math.rsqrt %s : f32
    lm.yield %r : f32
  } -> tensor<?x192xf32>
  cmd.yield %0 : tensor<?x192xf32>
}
