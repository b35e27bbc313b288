// RUN: llama4-opt %s --lm-select-layout | FileCheck %s

// CHECK: lm.param @w : tensor<64x64x!lm.block<q4_1>, #target.layout<"panels", 16>>
lm.param @w : tensor<64x64x!lm.block<q4_1>> from #lm.source<"w">
// CHECK: lm.param @i : tensor<64x128x!lm.block<int4_g128>, #target.layout<"panels", 16>>
lm.param @i : tensor<64x128x!lm.block<int4_g128>> from #lm.source<"i">
// CHECK: lm.param @e : tensor<100x64xbf16, #target.layout<"panels", 16>>
lm.param @e : tensor<100x64xbf16> from #lm.source<"e">
// CHECK: lm.param @n : tensor<64xf32, #target.layout<"row", 1>>
lm.param @n : tensor<64xf32> from #lm.source<"n">

// CHECK-LABEL: func.func @main
func.func @main(%ids: tensor<?xi32>, %q: tensor<?x64x!lm.block<q8_32>>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch) -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  %w = lm.load_param @w : tensor<64x64x!lm.block<q4_1>>
  %e = lm.load_param @e : tensor<100x64xbf16>
  // CHECK: lm.load_param @n : tensor<64xf32, #target.layout<"row", 1>>
  %n = lm.load_param @n : tensor<64xf32>
  // CHECK: lm.embed %arg0, %{{.*}} : tensor<?xi32>, tensor<100x64xbf16, #target.layout<"panels", 16>>
  %x = lm.embed %ids, %e : tensor<?xi32>, tensor<100x64xbf16> -> tensor<?x64xf32>
  // CHECK: lm.linear {{.*}} core <"l4_linear_q8_q4_1", tokens = 64>
  %y = lm.linear %q, %w : tensor<?x64x!lm.block<q8_32>>, tensor<64x64x!lm.block<q4_1>> -> tensor<?x64xf32>
  // CHECK: lm.attention {{.*}} core <"l4_attention_bfloat16", tokens = 16>
  %a = lm.attention %y, %kv, %b mask causal scale 0.25 : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  // CHECK: lm.attention {{.*}} mask chunked {{.*}} core <"l4_attention_bfloat16", tokens = 16> {chunk = 48 : i64}
  %c = lm.attention %y, %kv, %b mask chunked scale 0.25 {chunk = 48} : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  %r = lm.row 64 {
    %i = lm.element %n : tensor<64xf32>
    lm.yield %i : f32
  } -> tensor<?x64xf32>
  return %x, %a, %r : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

// CHECK-LABEL: func.func @wide
func.func @wide(%q: tensor<?x128x!lm.block<q8_128>>) -> tensor<?x64xf32> {
  %i = lm.load_param @i : tensor<64x128x!lm.block<int4_g128>>
  // CHECK: lm.linear {{.*}} core <"l4_linear_q8_128_int4_g128", tokens = 64>
  %y = lm.linear %q, %i : tensor<?x128x!lm.block<q8_128>>, tensor<64x128x!lm.block<int4_g128>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
