// RUN: llama4-opt %s --lm-specialise --split-input-file | FileCheck %s

module attributes {lm.options = {max_batch_size = 4 : i64}} {
// CHECK: func.func @step({{.*}} attributes {lm.entry = #lm.entry<"T", bound = 512>}
// CHECK: lm.attention {{.*}} tokens = 16>
// CHECK: func.func @step_decode({{.*}} attributes {lm.entry = #lm.entry<"T", bound = 4, decode = true>}
// CHECK: lm.attention {{.*}} core <"l4_split_attention_bfloat16", tokens = 1>
func.func @step(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 512>} {
  %a = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_attention_bfloat16", tokens = 16> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}
// ===== Other entries are not copied =====
// CHECK: func.func @logits
// CHECK-NOT: func.func
func.func @logits(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"R", bound = 4>} {
  return %x : tensor<?x64xf32>
}
}

// -----
// ===== Attention without a core, as before lm-select-layout, is copied as it is =====
module attributes {lm.options = {max_batch_size = 4 : i64}} {
// CHECK: func.func @step(
// CHECK: func.func @step_decode({{.*}} bound = 4, decode = true
// CHECK: lm.attention {{.*}} mask causal scale 2.500000e-01 :
func.func @step(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 512>} {
  %a = lm.attention %q, %kv, %b mask causal scale 0.25 : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}
}

// -----
// ===== Of each type the core that divides keys; chunks stay =====
module attributes {lm.options = {max_batch_size = 4 : i64}} {
// CHECK: func.func @step(
// CHECK: lm.attention {{.*}} core <"l4_attention_float32", tokens = 16> {chunk = 8192 : i64}
// CHECK: func.func @step_decode(
// CHECK: lm.attention {{.*}} core <"l4_split_attention_float32", tokens = 1> {chunk = 8192 : i64}
func.func @step(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 512>} {
  %a = lm.attention %q, %kv, %b mask chunked scale 0.25 core <"l4_attention_float32", tokens = 16> {chunk = 8192} : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32> -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}
}
