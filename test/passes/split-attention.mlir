// RUN: llama4-opt %s --lower-outline-kernels --lower-to-cmd --cmd-plan-memory --cmd-schedule --cmd-verify | FileCheck %s
// RUN: llama4-opt %s --lower-outline-kernels | FileCheck %s --check-prefix=OUTLINED
// RUN: llama4-opt %s --lower-outline-kernels --lower-to-cmd --cmd-plan-memory --cmd-schedule | llama4-opt | FileCheck %s

// Attention that divides the keys of a token, from the op to the plan. 2 KV heads of 16 columns and
// 64 columns of queries are groups of 2: a part of a head is 2 x 16 values, and 2 x 2 numbers in a
// line of 16; 8 parts x 2 heads x 48 floats = 768. A counter for each head, in lines of their own.

// OUTLINED: [[GRID:#.*]] = affine_map<(d0) -> (d0 * 16)>
// OUTLINED: cmd.kernel @step_decode_attention grid [[GRID]] workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>] {

// What stays zero lies at 0 for all dispatches, 128 bytes a row at a bound of 4, and everything else
// behind it: also in entries that have none of it.
// CHECK: cmd.entry @step_decode {{.*}} arena 14848 {
// CHECK: [[A:%.*]] = cmd.alloc at {{512|12800|13824}} : <tensor<?x64xf32>>
// CHECK: [[PARTS:%.*]] = cmd.alloc at 512 : <tensor<?x768xf32>>
// CHECK: [[COUNT:%.*]] = cmd.alloc at 0 : <tensor<?x32xi32, #target.zero>>
// CHECK: cmd.dispatch @step_decode_attention{{.*}} outs([[A]] : {{.*}}) workspace([[PARTS]], [[COUNT]] : {{.*}}) sources
// CHECK: cmd.alloc at 512 : <tensor<?x768xf32>>
// CHECK: cmd.alloc at 0 : <tensor<?x32xi32, #target.zero>>
// CHECK: cmd.entry @other {{.*}} arena 2560 {
// CHECK: cmd.alloc at 512 : <tensor<?x64xf32>>
!kv = !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>
!layer = !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>
func.func @step_decode(%q: tensor<?x64xf32>, %kv: !kv, %b: !lm.batch) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 4, decode = true>} {
  %l = lm.kv_layer %kv[0] : !kv -> !layer
  %0 = lm.attention %q, %l, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  %1 = lm.attention %0, %l, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !layer -> tensor<?x64xf32>
  %2 = lm.row 64 {
    %x = lm.element %1 : tensor<?x64xf32>
    %y = arith.negf %x : f32
    lm.yield %y : f32
  } -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}
func.func @other(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"R", bound = 8>} {
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  %1 = lm.row 64 {
    %a = lm.element %0 : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  return %1 : tensor<?x64xf32>
}
