// Every op of the dialect is read back as it was printed.
// RUN: llama4-opt %s | llama4-opt | FileCheck %s
// RUN: llama4-opt %s --mlir-print-op-generic | llama4-opt | FileCheck %s

!kv = !lm.kv<"full", kind = 0, layers = 2, heads = 2, dim = 16, bf16>
!layer = !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>

// CHECK: module attributes {lm.model = {family = "x"}, lm.options = {compute = "float32"}}
module attributes {lm.model = {family = "x"}, lm.options = {compute = "float32"}} {
// CHECK: lm.param @w : tensor<64x64xbf16> from <"a.w">
lm.param @w : tensor<64x64xbf16> from #lm.source<"a.w">
// CHECK: lm.param @g : tensor<128x64x!lm.block<q4_1>, #target.layout<"panels", 16>> from <"b.w", unpermute_heads = 4>
lm.param @g : tensor<128x64x!lm.block<q4_1>, #target.layout<"panels", 16>> from #lm.source<"b.w", unpermute_heads = 4>
lm.param @kw : tensor<32x64xbf16> from #lm.source<"k.w">
lm.param @n : tensor<64xf32> from #lm.source<"n">
// CHECK: lm.rope_table @rope [1.000000e+00, 5.000000e-01
lm.rope_table @rope [1.0, 0.5, 0.1, 0.01, 1.0, 0.5, 0.1, 0.01]

// CHECK: func.func @step
// CHECK-SAME: lm.rope = @rope
// CHECK-SAME: attributes {lm.entry = #lm.entry<"T", bound = 512>}
func.func @step(%ids: tensor<?xi32> {lm.name = "ids", lm.role = "ids"},
                %cos: tensor<?x8xf32> {lm.role = "cos", lm.rope = @rope},
                %sin: tensor<?x8xf32> {lm.role = "sin", lm.rope = @rope},
                %batch: !lm.batch, %kv: !kv) -> tensor<?x64x!lm.block<q8_32>>
    attributes {lm.entry = #lm.entry<"T", bound = 512>} {
  // CHECK: lm.load_param @w : tensor<64x64xbf16>
  %w = lm.load_param @w : tensor<64x64xbf16>
  %kw = lm.load_param @kw : tensor<32x64xbf16>
  %g = lm.load_param @g : tensor<128x64x!lm.block<q4_1>, #target.layout<"panels", 16>>
  %n = lm.load_param @n : tensor<64xf32>
  // CHECK: lm.embed %{{.*}}, %{{.*}} : tensor<?xi32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  %x = lm.embed %ids, %w : tensor<?xi32>, tensor<64x64xbf16> -> tensor<?x64xf32>
  // CHECK: lm.rms_norm %{{.*}}, %{{.*}} {eps = {{.*}} : f32}
  %h = lm.rms_norm %x, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: %{{.*}}:3 = lm.linear %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x64xf32>, tensor<64x64xbf16>, tensor<32x64xbf16>, tensor<32x64xbf16> -> tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>{{$}}
  %q, %k, %v = lm.linear %h, %w, %kw, %kw : tensor<?x64xf32>, tensor<64x64xbf16>, tensor<32x64xbf16>, tensor<32x64xbf16> -> tensor<?x64xf32>, tensor<?x32xf32>, tensor<?x32xf32>
  // CHECK: lm.linear {{.*}} groups [2, 1] core <"l4_linear_f32_q4_1", tokens = 64> {{.*}} epilogue {
  // CHECK: ^bb0(%{{.*}}: f32, %{{.*}}: f32):
  // CHECK: }, {
  // CHECK: ^bb0(%{{.*}}: f32):
  %a, %b = lm.linear %h, %g, %g, %w groups [2, 1] core <"l4_linear_f32_q4_1", tokens = 64> : tensor<?x64xf32>, tensor<128x64x!lm.block<q4_1>, #target.layout<"panels", 16>>, tensor<128x64x!lm.block<q4_1>, #target.layout<"panels", 16>>, tensor<64x64xbf16> -> tensor<?x128xf32>, tensor<?x64xf32> epilogue {
  ^bb0(%u: f32, %t: f32):
    %s = arith.mulf %u, %t : f32
    lm.yield %s : f32
  }, {
  ^bb0(%u: f32):
    lm.yield %u : f32
  }
  // CHECK: lm.rope {{.*}} half : tensor<?x64xf32>, tensor<?x8xf32>
  %qr = lm.rope %q, %cos, %sin, half : tensor<?x64xf32>, tensor<?x8xf32>
  %kr = lm.rope %k, %cos, %sin, pairs : tensor<?x32xf32>, tensor<?x8xf32>
  // CHECK: lm.kv_layer %{{.*}}[1]
  %l = lm.kv_layer %kv[1] : !kv -> !layer
  // CHECK: lm.kv_write %{{.*}}, %{{.*}} into %{{.*}}, %{{.*}} : tensor<?x32xf32>
  lm.kv_write %kr, %v into %l, %batch : tensor<?x32xf32>, !layer
  // CHECK: lm.attention %{{.*}}, %{{.*}}, %{{.*}} mask causal scale 2.500000e-01 core <"l4_attention_bfloat16", tokens = 16> : tensor<?x64xf32>, {{.*}} -> tensor<?x64xf32>{{$}}
  %at = lm.attention %qr, %l, %batch mask causal scale 0.25 core <"l4_attention_bfloat16", tokens = 16> : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  // CHECK: lm.attention {{.*}} mask chunked scale 2.500000e-01 {chunk = 48 : i64} : tensor<?x64xf32>
  %ac = lm.attention %qr, %l, %batch mask chunked scale 0.25 {chunk = 48} : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  // CHECK: lm.silu
  %si = lm.silu %at : tensor<?x64xf32>
  // CHECK: lm.mul
  %m = lm.mul %si, %b : tensor<?x64xf32>
  // CHECK: lm.bias
  %bi = lm.bias %m, %n : tensor<?x64xf32>, tensor<64xf32>
  // CHECK: lm.add
  %ad = lm.add %bi, %x : tensor<?x64xf32>
  // CHECK: lm.gather
  %ga = lm.gather %ad, %ids : tensor<?x64xf32>, tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: lm.row 64 {
  // CHECK: lm.element %{{.*}} rows %{{.*}} : tensor<?xi32> at #{{.*}} : tensor<?x8xf32>
  // CHECK: lm.rotate half
  // CHECK: lm.reduce max %{{[^ ]*$}}
  // CHECK: lm.reduce sum %{{.*}} over 16{{$}}
  // CHECK: lm.kv_put key
  // CHECK: lm.yield
  // CHECK: } -> tensor<?x64xf32>
  %r = lm.row 64 {
    %e = lm.element %ga : tensor<?x64xf32>
    %c = lm.element %cos rows %ids : tensor<?xi32> at affine_map<(j) -> (j mod 8)> : tensor<?x8xf32>
    %ro = lm.rotate half %e, 16
    %re = lm.reduce max %ro
    %rh = lm.reduce sum %re over 16
    lm.kv_put key %c into %l, %batch : !layer
    lm.yield %rh : f32
  } -> tensor<?x64xf32>
  // CHECK: lm.quantize_rows %{{.*}} : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_128>>
  %qw = lm.quantize_rows %r : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_128>>
  // CHECK: lm.quantize_rows %{{.*}} : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_32>>
  %qz = lm.quantize_rows %r : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_32>>
  return %qz : tensor<?x64x!lm.block<q8_32>>
}
}
