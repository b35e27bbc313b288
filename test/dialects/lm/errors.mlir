// What verifiers refuse, and the sentence they say.
// RUN: llama4-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{rows of a multiple of 32 columns}}
lm.param @w : tensor<4x40x!lm.block<q4_1>> from #lm.source<"w">

// -----
// expected-error @+1 {{elements are 'i32', expected f32, bf16, !lm.block<q8_0> or !lm.block<q4_1>}}
lm.param @w : tensor<4x32xi32> from #lm.source<"w">

// -----
// expected-error @+1 {{expected a static tensor of rank 1 or 2}}
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
  // expected-error @+1 {{result is 'tensor<?x33xf32>', expected tensor<?x32x...>}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x33xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<32x64xf32>) {
  // expected-error @+1 {{result elements are '!lm.block<q8_0>', expected f32, bf16 or !lm.block<q8_32>}}
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
  // expected-error @+1 {{groups hold 2 segments and 1 epilogues, expected 1 segments}}
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
  // expected-error @+1 {{result elements are '!lm.block<q4_1>', expected bf16 or !lm.block<q8_32>}}
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
    // expected-error @+1 {{only tensor<?xN> can be read by row index}}
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
