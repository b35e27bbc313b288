// Image towers: rows of parameters, tiles that don't cross units, cores of attention without pages.
// RUN: llama4-opt %s --lm-select-layout | FileCheck %s

// CHECK: lm.param @places : tensor<577x64xf32, #target.layout<"row", 1>>
lm.param @places : tensor<577x64xf32> from #lm.source<"places">
// CHECK: lm.param @w : tensor<64x64xbf16, #target.layout<"panels", 16>>
lm.param @w : tensor<64x64xbf16> from #lm.source<"w">

// CHECK-LABEL: func.func @encode_image
func.func @encode_image(%x: tensor<?x577x64xf32>, %q: tensor<?x64xf32>, %k: tensor<5x8x16xf32>, %i: tensor<?xi32>, %t: tensor<5xi32>) -> (tensor<?x577x64xf32>, tensor<?x577x64xf32>, tensor<?x64xf32>, tensor<?x577x64xf32>) {
  %p = lm.load_param @places : tensor<577x64xf32>
  %w = lm.load_param @w : tensor<64x64xbf16>
  // 577 rows are 10 tiles of at most 58.
  // CHECK: lm.linear {{.*}} core <"l4_linear_f32_bfloat16", tokens = 58>
  %y = lm.linear %x, %w : tensor<?x577x64xf32>, tensor<64x64xbf16> -> tensor<?x577x64xf32>
  // CHECK: lm.unit_attention {{.*}} core <"l4_unit_attention_f32", tokens = 58>
  %a = lm.unit_attention %y, %y, %y heads 4 scale 2.5e-01 : tensor<?x577x64xf32>
  // CHECK: lm.unit_attention {{.*}} core <"l4_unit_attention_bf16", tokens = 58>
  %h = lm.quantize_rows %y : tensor<?x577x64xf32> -> tensor<?x577x64xbf16>
  %b = lm.unit_attention %h, %h, %h heads 4 scale 2.5e-01 : tensor<?x577x64xbf16>
  // CHECK: lm.cross_attention {{.*}} core <"l4_cross_attention_f32", tokens = 16>
  %c = lm.cross_attention %q, %k, %k, %i, %i, %t heads 8 groups 2 scale 2.5e-01 : tensor<?x64xf32>, tensor<5x8x16xf32>, tensor<?xi32>, tensor<5xi32>
  %r = lm.row 64 {
    %e = lm.element %p : tensor<577x64xf32>
    lm.yield %e : f32
  } -> tensor<?x577x64xf32>
  return %a, %b, %c, %r : tensor<?x577x64xf32>, tensor<?x577x64xf32>, tensor<?x64xf32>, tensor<?x577x64xf32>
}
