// What verifiers refuse, and the sentence they say.
// RUN: llama4-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{rows of a multiple of 32 columns}}
lm.param @w : tensor<4x40x!lm.block<q4_1>> from #lm.source<"w">

// -----
// expected-error @+1 {{rows of a multiple of 128 columns}}
lm.param @w : tensor<4x64x!lm.block<int4_g128>> from #lm.source<"w">

// -----
// expected-error @+1 {{elements are '!lm.block<q8_128>', expected f32, bf16 or blocks of weights}}
lm.param @w : tensor<4x128x!lm.block<q8_128>> from #lm.source<"w">

// -----
// expected-error @+1 {{elements are 'i32', expected f32, bf16 or blocks of weights such as !lm.block<q8_0>}}
lm.param @w : tensor<4x32xi32> from #lm.source<"w">

// -----
// expected-error @+1 {{expected a static tensor of rank 1, 2 or 3}}
lm.param @w : tensor<?x32xf32> from #lm.source<"w">

// -----
// expected-error @+1 {{has no inverse frequencies}}
lm.rope_table @rope []

// -----
func.func @f() {
  // expected-error @+1 {{found no parameter @w in the module}}
  %0 = lm.load_param @w : tensor<4xf32>
  return
}

// -----
lm.param @w : tensor<5xf32> from #lm.source<"w">
func.func @f() {
  // expected-error @+1 {{type is 'tensor<4xf32>', but the parameter is 'tensor<5xf32>'}}
  %0 = lm.load_param @w : tensor<4xf32>
  return
}

// -----
func.func @f(%kv: !lm.kv<"full", kind = 0, layers = 2, heads = 2, dim = 16, f32>) {
  // expected-error @+1 {{layer is 2, expected less than 2}}
  %0 = lm.kv_layer %kv[2] : !lm.kv<"full", kind = 0, layers = 2, heads = 2, dim = 16, f32> -> !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
  return
}

// -----
func.func @f(%kv: !lm.kv<"full", kind = 0, layers = 2, heads = 2, dim = 16, f32>) {
  // expected-error @+1 {{expected '!lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>'}}
  %0 = lm.kv_layer %kv[1] : !lm.kv<"full", kind = 0, layers = 2, heads = 2, dim = 16, f32> -> !lm.kv_layer<kind = 0, heads = 3, dim = 16, f32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x65xf32>) {
  // expected-error @+1 {{weight is 'tensor<32x65xf32>', expected tensor<Nx64> to match the input}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x65xf32> -> tensor<?x32xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @+1 {{result is 'tensor<?x33xf32>', expected the shape of 'tensor<?x32xf32>'}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x33xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @+1 {{result elements are '!lm.block<q8_0>', expected f32, bf16, !lm.block<q8_32> or !lm.block<q8_128>}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32x!lm.block<q8_0>>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>, %v: tensor<16x64xf32>) {
  // expected-error @+1 {{segments of group 0 differ in width}}
  %0 = lm.linear %x, %w, %v groups [2] : tensor<?x64xf32>, tensor<32x64xf32>, tensor<16x64xf32> -> tensor<?x32xf32> epilogue {
  ^bb0(%a: f32, %b: f32):
    lm.yield %a : f32
  }
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @+1 {{epilogue has 2 arguments, expected 1 of type f32, one per segment of its group}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32> epilogue {
  ^bb0(%a: f32, %b: f32):
    lm.yield %a : f32
  }
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @+1 {{groups must have at least one segment each, together 1}}
  %0 = lm.linear %x, %w groups [2] : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32> epilogue {
  ^bb0(%a: f32, %b: f32):
    lm.yield %a : f32
  }
  return
}

// -----
func.func @f(%q: tensor<?x60xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // expected-error @+1 {{expected a multiple of the 32 columns of the KV heads}}
  %0 = lm.attention %q, %kv, %b mask causal scale 1.0 : tensor<?x60xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32> -> tensor<?x60xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32xf32>) {
  // expected-error @+1 {{weight is 'tensor<32xf32>', expected tensor<64x...>}}
  %0 = lm.rms_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<32xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<64xf32>) {
  // expected-error @+1 {{eps is negative or not a number}}
  %0 = lm.rms_norm %x, %w {eps = -1.0 : f32} : tensor<?x64xf32>, tensor<64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<63xf32>) {
  // expected-error @+1 {{bias is 'tensor<63xf32>', expected tensor<64x...>}}
  %0 = lm.bias %x, %w : tensor<?x64xf32>, tensor<63xf32>
  return
}

// -----
func.func @f(%x: tensor<?x60xf32>, %c: tensor<?x8xf32>) {
  // expected-error @+1 {{input has 60 columns, expected heads of 16}}
  %0 = lm.rope %x, %c, %c, half : tensor<?x60xf32>, tensor<?x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // expected-error @+1 {{expected 32 columns}}
  lm.kv_write %x, %x into %kv, %b : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{result elements are '!lm.block<q4_1>', expected bf16, !lm.block<q8_32> or !lm.block<q8_128>}}
  %0 = lm.quantize_rows %x : tensor<?x64xf32> -> tensor<?x64x!lm.block<q4_1>>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{result is 'tensor<?x32xf32>', expected tensor<?x64x...>}}
  %0 = lm.row 64 {
    %1 = lm.element %x : tensor<?x64xf32>
    lm.yield %1 : f32
  } -> tensor<?x32xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{body must end in lm.yield with one scalar per result}}
  %0 = lm.row 64 {
    %1 = lm.element %x : tensor<?x64xf32>
    lm.yield
  } -> tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) {
  %0 = lm.row 64 {
    // expected-error @+1 {{column map must map one column to one column}}
    %1 = lm.element %x at affine_map<(i, j) -> (i)> : tensor<?x64xf32>
    lm.yield %1 : f32
  } -> tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<64xf32>, %r: tensor<?xi32>) {
  %0 = lm.row 64 {
    // expected-error @+1 {{only rows can be read by row index}}
    %1 = lm.element %x rows %r : tensor<?xi32> : tensor<64xf32>
    lm.yield %1 : f32
  } -> tensor<?x64xf32>
  return
}

// -----
// expected-error @+1 {{the entry's bound is 0}}
func.func @f() attributes {lm.entry = #lm.entry<"T", bound = 0>} {
  return
}

// -----
// expected-error @+1 {{'lm.rope' of argument 0 must name an lm.rope_table}}
func.func @f(%c: tensor<?x8xf32> {lm.rope = @nothing}) {
  return
}

// -----
// expected-error @+1 {{unknown attribute 'lm.wrong' of the lm dialect}}
module attributes {lm.wrong = 1 : i64} {
}

// -----
func.func @f(%x: tensor<512x64xf32>, %r: tensor<?xi32>) {
  // expected-error @+1 {{expected tensor<MxNxf32>, tensor<?xi32> -> tensor<?xNxf32>}}
  %0 = lm.gather %x, %r : tensor<512x64xf32>, tensor<?xi32> -> tensor<?x32xf32>
  return
}

// -----
func.func @f(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // expected-error @+1 {{mask chunked needs a chunk of at least one token, mask causal has none}}
  %0 = lm.attention %q, %kv, %b mask chunked scale 1.0 : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32> -> tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    // expected-error @+1 {{reduces over 0 columns, expected at least 1}}
    %s = lm.reduce sum %a over 0
    lm.yield %s : f32
  } -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----
// ===== Sizes that are no sizes =====
// expected-error @+1 {{paged state has kind 0 with 0 heads of 16}}
func.func @f(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 0, dim = 16, f32>, %b: !lm.batch) {
  return
}

// -----
// expected-error @+1 {{paged state 'full' has 0 layers and chunks of 0}}
func.func @f(%kv: !lm.kv<"full", kind = 0, layers = 0, heads = 2, dim = 16, f32>) {
  return
}

// -----
// expected-error @+1 {{expected extents of at least 1 and at most 17592186044416 elements in all}}
lm.param @w : tensor<0x64xf32> from #lm.source<"w">

// -----
// expected-error @+1 {{expected extents of at least 1 and at most 17592186044416 elements in all}}
lm.param @w : tensor<4611686018427387904x64xf32> from #lm.source<"w">

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>) {
  // expected-error @+1 {{groups must have at least one segment each, together 1}}
  %0 = lm.linear %x, %w groups [9223372036854775807, 9223372036854775807, 3] : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return
}

// -----
// ===== Row work is on rows =====
func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{operand is 'tensor<f32>', expected tensor<?xN>}}
  %0 = lm.add %x, %x : tensor<f32>
  return
}

// -----
func.func @f(%x: tensor<4x8xf32>) {
  // expected-error @+1 {{operand is 'tensor<4x8xf32>', expected tensor<?xN>}}
  %0 = lm.mul %x, %x : tensor<4x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x?xf32>) {
  // expected-error @+1 {{operand is 'tensor<?x?xf32>', expected tensor<?xN>}}
  %0 = lm.silu %x : tensor<?x?xf32>
  return
}

// -----
func.func @f(%k: tensor<32xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // expected-error @+1 {{operand is 'tensor<32xf32>', expected tensor<?xN>}}
  lm.kv_write %k, %k into %kv, %b : tensor<32xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
  return
}

// -----
func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{operand is 'tensor<f32>', expected tensor<?xN>}}
  %0 = lm.quantize_rows %x : tensor<f32> -> tensor<bf16>
  return
}

// -----
func.func @f(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) {
  // expected-error @+1 {{epilogue must end in lm.yield}}
  %0 = "lm.attention"(%q, %kv, %b) <{scale = 1.0 : f32, mask = #lm<mask_kind causal>}> ({
  ^bb0(%e: f32):
  }) : (tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, !lm.batch) -> tensor<?x64xf32>
  return
}

// -----
// ===== Layouts and tiles =====
// expected-error @+1 {{layout is 'columns' of 4 rows, expected "panels", 16 or "row", 1}}
lm.param @w : tensor<4x32xf32, #target.layout<"columns", 4>> from #lm.source<"w">

// -----
// expected-error @+1 {{expected matrices in panels, or rows of f32}}
lm.param @w : tensor<4x32xbf16, #target.layout<"row", 1>> from #lm.source<"w">

// -----
// expected-error @+1 {{expected matrices in panels, or rows of f32}}
lm.param @w : tensor<32xbf16, #target.layout<"row", 1>> from #lm.source<"w">

// -----
// expected-error @+1 {{expected matrices in panels, or rows of f32}}
lm.param @w : tensor<32xf32, #target.layout<"panels", 16>> from #lm.source<"w">

// -----
// expected-error @+1 {{expected matrices in panels, or rows of f32}}
lm.param @w : tensor<2x4x32xf32, #target.layout<"row", 1>> from #lm.source<"w">

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>) {
  // expected-error @+1 {{core 'l4_linear_f32_float32' has tiles of 0 tokens, expected 1 to 1024}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 0> : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return
}

// -----
// ===== Entries are straight lines; options have types =====
// expected-error @+1 {{an entry is straight-line code, expected a body of one block}}
func.func private @f(%x: tensor<?x8xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>}

// -----
// expected-error @+1 {{an entry is straight-line code, expected a body of one block}}
func.func @f() attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  return
^bb1:
  return
}

// -----
// expected-error @+1 {{'lm.options': compute is 4 : i64, expected a string}}
module attributes {lm.options = {compute = 4 : i64}} {
}

// -----
// expected-error @+1 {{'lm.options': max_batch_size is 0 : i64, expected an i64 of at least 1}}
module attributes {lm.options = {max_batch_size = 0 : i64}} {
}
