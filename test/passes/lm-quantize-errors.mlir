// RUN: llama4-opt %s --lm-quantize --split-input-file --verify-diagnostics

// expected-error @+1 {{encoding is 'q3_x', expected as-stored, float32, bfloat16, q8_0, q6_k, q5_0, q4_k, q4_1, q4_0 or int4_g128}}
module attributes {lm.options = {encoding = "q3_x"}} {
}

// -----
// expected-error @+1 {{compute is 'int8', expected float32 or bfloat16}}
module attributes {lm.options = {compute = "int8"}} {
}

// -----
module attributes {lm.options = {encoding = "q8_0"}} {
  // expected-remark @+1 {{1 matrices like this one have rows of 40 columns}}
  lm.param @b : tensor<32x40xf32> from #lm.source<"b">
}

// -----
// ===== The next wider format that the rows allow =====
module attributes {lm.options = {encoding = "q4_k"}} {
  // expected-remark @+1 {{2 matrices like this one have rows of 96 columns, no multiple of the 256 of '!lm.block<q4_k>'; stored as '!lm.block<q5_0>'}}
  lm.param @a : tensor<32x96xf32> from #lm.source<"a">
  lm.param @b : tensor<64x96xf32> from #lm.source<"b">
  // expected-remark @+1 {{1 matrices like this one have rows of 40 columns, no multiple of the 256 of '!lm.block<q4_k>'; stored as 'bf16'}}
  lm.param @c : tensor<64x40xf32> from #lm.source<"c">
  lm.param @d : tensor<64x512xf32> from #lm.source<"d">
}

// -----
module attributes {lm.options = {encoding = "int4_g128"}} {
  // expected-remark @+1 {{1 matrices like this one have rows of 96 columns, no multiple of the 128 of '!lm.block<int4_g128>'; stored as '!lm.block<q4_1>'}}
  lm.param @a : tensor<32x96xf32> from #lm.source<"a">
  // expected-remark @+1 {{1 matrices like this one have rows of 40 columns, no multiple of the 128 of '!lm.block<int4_g128>'; stored as 'bf16'}}
  lm.param @b : tensor<32x40xf32> from #lm.source<"b">
  lm.param @c : tensor<32x384xf32> from #lm.source<"c">
}

// -----
// Activations are no encoding of weights.
// expected-error @+1 {{encoding is 'q8_128', expected as-stored, float32}}
module attributes {lm.options = {encoding = "q8_128"}} {
}

// -----
// expected-error @+1 {{encoding_for: the encoding of 'mlp' is "q9", expected as-stored, float32}}
module attributes {lm.options = {encoding_for = [["mlp", "q9"]]}} {
}

// -----
// expected-error @+1 {{encoding_for: '(' is no regular expression}}
module attributes {lm.options = {encoding_for = [["(", "q8_0"]]}} {
}

// -----
// expected-error @+1 {{encoding_for holds "q8_0", expected ["REGEX", "ENCODING"]}}
module attributes {lm.options = {encoding_for = ["q8_0"]}} {
}

// -----
// A rule whose every matrix a later rule takes, or whose names are those of vectors, says nothing.
// expected-error @+1 {{encoding_for: 'mlp' is the last match of no matrix}}
module attributes {lm.options = {encoding_for = [["mlp", "q8_0"], ["up", "q4_0"]]}} {
  lm.param @mlp.up : tensor<32x64xf32> from #lm.source<"a">
  lm.param @mlp.norm : tensor<64xf32> from #lm.source<"n">
}
