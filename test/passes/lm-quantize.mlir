// RUN: llama4-opt %s --lm-quantize --split-input-file | FileCheck %s

// ===== Fast mode: the input of a linear is rounded to what its core reads =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16"}}
module attributes {lm.options = {compute = "bfloat16"}} {
// CHECK: lm.param @q : tensor<32x64x!lm.block<q4_1>>
lm.param @q : tensor<32x64x!lm.block<q4_1>> from #lm.source<"q">
lm.param @b : tensor<32x64xbf16> from #lm.source<"b">
lm.param @f : tensor<32x64xf32> from #lm.source<"f">
// Norm weights are f32 whatever the checkpoint stores.
// CHECK: lm.param @n : tensor<64xf32>
lm.param @n : tensor<64xbf16> from #lm.source<"n">
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // CHECK: lm.load_param @n : tensor<64xf32>
  %n = lm.load_param @n : tensor<64xbf16>
  %h = lm.rms_norm %x, %n {eps = 1.0e-5 : f32} : tensor<?x64xf32>, tensor<64xbf16>
  %q = lm.load_param @q : tensor<32x64x!lm.block<q4_1>>
  // Rows are rounded right behind the op that makes them.
  // CHECK: [[H:%.*]] = lm.rms_norm
  // CHECK-NEXT: [[B:%.*]] = lm.quantize_rows [[H]] : tensor<?x64xf32> -> tensor<?x64xbf16>
  // CHECK-NEXT: [[Q:%.*]] = lm.quantize_rows [[H]] : tensor<?x64xf32> -> tensor<?x64x!lm.block<q8_32>>
  // CHECK: lm.linear [[Q]],
  %0 = lm.linear %h, %q : tensor<?x64xf32>, tensor<32x64x!lm.block<q4_1>> -> tensor<?x32xf32>
  %b = lm.load_param @b : tensor<32x64xbf16>
  // CHECK: lm.linear [[B]],
  %1 = lm.linear %h, %b : tensor<?x64xf32>, tensor<32x64xbf16> -> tensor<?x32xf32>
  %f = lm.load_param @f : tensor<32x64xf32>
  // CHECK: lm.linear [[H]],
  %2 = lm.linear %h, %f : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
  return %0, %1, %2 : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}
}

// -----
// ===== Reference mode: inputs stay f32, weights as stored =====
// CHECK-LABEL: module attributes {lm.options = {compute = "float32"}}
module attributes {lm.options = {compute = "float32"}} {
lm.param @q : tensor<32x64x!lm.block<q4_1>> from #lm.source<"q">
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x32xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %q = lm.load_param @q : tensor<32x64x!lm.block<q4_1>>
  // CHECK-NOT: quantize_rows
  // CHECK: lm.linear %arg0,
  %0 = lm.linear %x, %q : tensor<?x64xf32>, tensor<32x64x!lm.block<q4_1>> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}
}

// -----
// ===== Rows whose scales stand for as many columns as those of the weight =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", encoding = "int4_g128", encoding_for
module attributes {lm.options = {compute = "bfloat16", encoding = "int4_g128", encoding_for = [["b", "q4_0"]]}} {
// CHECK: lm.param @a : tensor<32x128x!lm.block<int4_g128>>
lm.param @a : tensor<32x128xbf16> from #lm.source<"a">
// CHECK: lm.param @b : tensor<32x128x!lm.block<q4_0>>
lm.param @b : tensor<32x128xbf16> from #lm.source<"b">
// CHECK: lm.param @c : tensor<32x64x!lm.block<q4_1>>
lm.param @c : tensor<32x64xbf16> from #lm.source<"c">
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x128xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %a = lm.load_param @a : tensor<32x128xbf16>
  %b = lm.load_param @b : tensor<32x128xbf16>
  // One row in both forms.
  // CHECK-DAG: [[W:%.*]] = lm.quantize_rows %arg0 : tensor<?x128xf32> -> tensor<?x128x!lm.block<q8_128>>
  // CHECK-DAG: [[N:%.*]] = lm.quantize_rows %arg0 : tensor<?x128xf32> -> tensor<?x128x!lm.block<q8_32>>
  // CHECK: lm.linear [[W]], {{.*}} tensor<32x128x!lm.block<int4_g128>>
  %0 = lm.linear %x, %a : tensor<?x128xf32>, tensor<32x128xbf16> -> tensor<?x32xf32>
  // CHECK: lm.linear [[N]], {{.*}} tensor<32x128x!lm.block<q4_0>>
  %1 = lm.linear %x, %b : tensor<?x128xf32>, tensor<32x128xbf16> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}
}

// -----
// ===== Superblocks apply their small scales to whole numbers: the same rows, in one form =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", encoding = "q4_k", encoding_for
module attributes {lm.options = {compute = "bfloat16", encoding = "q4_k", encoding_for = [["b", "q6_k"]]}} {
lm.param @a : tensor<32x256xbf16> from #lm.source<"a">
lm.param @b : tensor<32x256xbf16> from #lm.source<"b">
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<?x256xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %a = lm.load_param @a : tensor<32x256xbf16>
  %b = lm.load_param @b : tensor<32x256xbf16>
  // CHECK-NOT: q8_32
  // CHECK: lm.linear {{.*}} : tensor<?x256x!lm.block<q8_128>>, tensor<32x256x!lm.block<q4_k>>
  %0 = lm.linear %x, %a : tensor<?x256xf32>, tensor<32x256xbf16> -> tensor<?x32xf32>
  // CHECK-NOT: q8_32
  // CHECK: lm.linear {{.*}} : tensor<?x256x!lm.block<q8_128>>, tensor<32x256x!lm.block<q6_k>>
  %1 = lm.linear %x, %b : tensor<?x256xf32>, tensor<32x256xbf16> -> tensor<?x32xf32>
  return %0, %1 : tensor<?x32xf32>, tensor<?x32xf32>
}
}

// -----
// ===== An encoding that is asked for, and the width that forbids it =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", encoding = "q8_0"}}
module attributes {lm.options = {compute = "bfloat16", encoding = "q8_0"}} {
// CHECK: lm.param @a : tensor<32x64x!lm.block<q8_0>>
lm.param @a : tensor<32x64xbf16> from #lm.source<"a">
// CHECK: lm.param @b : tensor<32x40xbf16>
lm.param @b : tensor<32x40xf32> from #lm.source<"b">
}

// -----
// ===== What chooses experts stays as it is, whatever is asked for; experts follow the policy =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", encoding = "q8_0", router}}
module attributes {lm.options = {compute = "bfloat16", encoding = "q8_0", router}} {
// CHECK: lm.param @router : tensor<4x64xbf16>
// CHECK: lm.param @g : tensor<4x32x64x!lm.block<q8_0>>
// CHECK: lm.param @d : tensor<4x64x32x!lm.block<q8_0>>
lm.param @router : tensor<4x64xbf16> from #lm.source<"r">
lm.param @g : tensor<4x32x64xbf16> from #lm.source<"g">
lm.param @d : tensor<4x64x32xbf16> from #lm.source<"d">
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x4xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %r = lm.load_param @router : tensor<4x64xbf16>
  // CHECK: [[L:%.*]] = lm.linear %arg0,
  %l = lm.linear %x, %r : tensor<?x64xf32>, tensor<4x64xbf16> -> tensor<?x4xf32>
  // CHECK: lm.group_by_expert [[L]]
  %rows, %scores, %places, %tiles = lm.group_by_expert %l top 1 tile 64 : tensor<?x4xf32> -> tensor<?x1x1xi32>, tensor<?x1x1xf32>, tensor<?x1x1xi32>, tensor<?x1x4xi32>
  return %l : tensor<?x4xf32>
}
}

// -----
// ===== Rules by name: the last that matches counts, also for a router =====
// CHECK-LABEL: module attributes {lm.options = {encoding = "q4_k", encoding_for
module attributes {lm.options = {encoding = "q4_k", encoding_for = [["mlp", "q6_k"], ["down", "as-stored"], ["router", "q8_0"]]}} {
// CHECK: lm.param @attn.q : tensor<32x256x!lm.block<q4_k>>
lm.param @attn.q : tensor<32x256xbf16> from #lm.source<"a">
// CHECK: lm.param @mlp.up : tensor<32x256x!lm.block<q6_k>>
lm.param @mlp.up : tensor<32x256xbf16> from #lm.source<"b">
// CHECK: lm.param @mlp.down : tensor<32x256xbf16>
lm.param @mlp.down : tensor<32x256xbf16> from #lm.source<"c">
// CHECK: lm.param @router : tensor<4x256x!lm.block<q8_0>>
lm.param @router : tensor<4x256xbf16> from #lm.source<"r">
func.func @main(%x: tensor<?x256xf32>) -> tensor<?x4xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %r = lm.load_param @router : tensor<4x256xbf16>
  %l = lm.linear %x, %r : tensor<?x256xf32>, tensor<4x256xbf16> -> tensor<?x4xf32>
  %0:2 = lm.route %l top 1 : tensor<?x4xf32> -> tensor<?x1xi32>, tensor<?x1xf32>
  return %l : tensor<?x4xf32>
}
}

// -----
// ===== Attention of a tower whose linears round what they read, and of one that stays in f32 =====
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", vision}}
module attributes {lm.options = {compute = "bfloat16", vision}} {
lm.param @w : tensor<64x64xbf16> from #lm.source<"w">
// CHECK-LABEL: func.func @encode_image
func.func @encode_image(%x: tensor<?x5x64xf32>, %q: tensor<?x5x64xf32>) -> tensor<?x5x64xf32> attributes {lm.entry = #lm.entry<"N", bound = 4>} {
  %w = lm.load_param @w : tensor<64x64xbf16>
  // CHECK: [[Q:%.*]] = lm.quantize_rows %arg1 : tensor<?x5x64xf32> -> tensor<?x5x64xbf16>
  // CHECK: [[K:%.*]] = lm.linear
  // CHECK: [[H:%.*]] = lm.quantize_rows [[K]] : tensor<?x5x64xf32> -> tensor<?x5x64xbf16>
  %k = lm.linear %x, %w : tensor<?x5x64xf32>, tensor<64x64xbf16> -> tensor<?x5x64xf32>
  // CHECK-NEXT: lm.unit_attention [[Q]], [[H]], [[H]] heads 4 scale 2.500000e-01 : tensor<?x5x64xbf16>
  %a = lm.unit_attention %q, %k, %k heads 4 scale 2.5e-01 : tensor<?x5x64xf32>
  return %a : tensor<?x5x64xf32>
}
}

// -----
// CHECK-LABEL: module attributes {lm.options = {compute = "bfloat16", wide}}
module attributes {lm.options = {compute = "bfloat16", wide}} {
lm.param @w : tensor<64x64xf32> from #lm.source<"w">
// CHECK-LABEL: func.func @encode_image
func.func @encode_image(%x: tensor<?x5x64xf32>) -> tensor<?x5x64xf32> attributes {lm.entry = #lm.entry<"N", bound = 4>} {
  // CHECK-NOT: quantize_rows
  %w = lm.load_param @w : tensor<64x64xf32>
  %k = lm.linear %x, %w : tensor<?x5x64xf32>, tensor<64x64xf32> -> tensor<?x5x64xf32>
  // CHECK: lm.unit_attention {{.*}} : tensor<?x5x64xf32>
  %a = lm.unit_attention %k, %k, %k heads 4 scale 2.5e-01 : tensor<?x5x64xf32>
  return %a : tensor<?x5x64xf32>
}
}
