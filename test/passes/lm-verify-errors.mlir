// RUN: llama4-opt %s --lm-verify --split-input-file --verify-diagnostics

func.func @main(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{is row work by name; run lm-form-rows}}
  %0 = lm.silu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----
func.func @main(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{has no micro-kernel; run lm-select-layout}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----
lm.param @w : tensor<64xf32> from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{has no layout; run lm-select-layout}}
  %w = lm.load_param @w : tensor<64xf32>
  return
}

// -----
// expected-error @+1 {{function 'main' is no entry; give it lm.entry}}
func.func @main(%x: tensor<?x64xf32>) {
  return
}

// -----
func.func @main(%x: tensor<?x4xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{'lm.route' op is a mixture of experts by name; run lm-plan-moe}}
  %0:2 = lm.route %x top 1 : tensor<?x4xf32> -> tensor<?x1xi32>, tensor<?x1xf32>
  return
}

// -----
!up = tensor<4x16x64xf32, #target.layout<"panels", 16>>
!down = tensor<4x64x16xf32, #target.layout<"panels", 16>>
lm.param @g : !up from #lm.source<"g">
lm.param @d : !down from #lm.source<"d">
func.func @main(%x: tensor<?x64xf32>, %i: tensor<?x1xi32>, %s: tensor<?x1xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %g = lm.load_param @g : !up
  %d = lm.load_param @d : !down
  // expected-error @+1 {{'lm.experts' op is a mixture of experts by name; run lm-plan-moe}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x1xi32>, tensor<?x1xf32>, !up, !down
  return
}

// -----
func.func @main(%x: tensor<?x64xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{cannot be lowered; entries hold look-ups, row work, linears, attention, groups and rows put in another order}}
  %c = arith.constant 1.0 : f32
  return
}

// -----
// ===== A weight that is an input has no panels: its elements lie elsewhere =====
func.func @main(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>) -> tensor<?x16xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{reads a weight of type 'tensor<16x64xf32>', expected a parameter in panels}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 64> : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}

// -----
// expected-error @+1 {{input 0 is 'tensor<f32>', expected rows of numbers, the batch or paged state}}
func.func @main(%x: tensor<f32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  return
}

// -----
lm.param @w : tensor<16x64xf32, #target.layout<"panels", 16>> from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x16xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %w = lm.load_param @w : tensor<16x64xf32, #target.layout<"panels", 16>>
  // expected-error @+1 {{has an epilogue that no tile can compute; keep it an lm.row}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 64> : tensor<?x64xf32>, tensor<16x64xf32, #target.layout<"panels", 16>> -> tensor<?x16xf32> epilogue {
  ^bb0(%e: f32):
    %r = lm.reduce sum %e
    lm.yield %r : f32
  }
  return %0 : tensor<?x16xf32>
}

// -----
!kv = !lm.kv<"chunked", kind = 0, layers = 1, heads = 2, dim = 16, f32, chunk = 32>
!layer = !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
func.func @main(%q: tensor<?x64xf32>, %kv: !kv, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %l = lm.kv_layer %kv[0] : !kv -> !layer
  // expected-error @+1 {{reads state that keeps chunks of 32 tokens, expected mask chunked with that chunk}}
  %a = lm.attention %q, %l, %b mask causal scale 0.25 core <"l4_attention_float32", tokens = 16> : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}

// -----
// ===== Tiles that the scratch of the linear does not hold =====
!w = tensor<4x16x64xf32, #target.layout<"panels", 16>>
lm.param @w : !w from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>, %l: tensor<?x4xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %w = lm.load_param @w : !w
  %rows, %scores, %places, %tiles = lm.group_by_expert %l top 1 tile 65 : tensor<?x4xf32> -> tensor<?x1x1xi32>, tensor<?x1x1xf32>, tensor<?x1x1xi32>, tensor<?x1x4xi32>
  %in = lm.row 64 {
    %e = lm.element %x rows %rows : tensor<?x1x1xi32> : tensor<?x64xf32>
    lm.yield %e : f32
  } -> tensor<?x1x64xf32>
  // expected-error @+1 {{has tiles of 65 rows, expected at most its own 64}}
  %y = lm.linear %in, %w by %tiles core <"l4_linear_f32_float32", tokens = 64> : tensor<?x1x64xf32>, !w, tensor<?x1x4xi32> -> tensor<?x1x16xf32>
  return
}

// -----
// ===== Experts that the weights do not have =====
!w = tensor<4x16x64xf32, #target.layout<"panels", 16>>
lm.param @w : !w from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>, %l: tensor<?x5xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %w = lm.load_param @w : !w
  %rows, %scores, %places, %tiles = lm.group_by_expert %l top 1 tile 64 : tensor<?x5xf32> -> tensor<?x1x1xi32>, tensor<?x1x1xf32>, tensor<?x1x1xi32>, tensor<?x1x4xi32>
  %in = lm.row 64 {
    %e = lm.element %x rows %rows : tensor<?x1x1xi32> : tensor<?x64xf32>
    lm.yield %e : f32
  } -> tensor<?x1x64xf32>
  // expected-error @+1 {{has tiles of 5 experts, expected the 4 of its weights}}
  %y = lm.linear %in, %w by %tiles core <"l4_linear_f32_float32", tokens = 64> : tensor<?x1x64xf32>, !w, tensor<?x1x4xi32> -> tensor<?x1x16xf32>
  return
}

// -----
// ===== A core that divides the keys of a token takes one token =====
func.func @main(%q: tensor<?x64xf32>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %l = lm.kv_layer %kv[0] : !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16> -> !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>
  // expected-error @+1 {{divides keys among tiles of 16 tokens, expected tiles of one}}
  %0 = lm.attention %q, %l, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 16> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
