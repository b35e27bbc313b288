// RUN: llama4-opt %s --lm-quantize --split-input-file --verify-diagnostics

// expected-error @+1 {{encoding is 'q3_x', expected as-stored, float32, bfloat16, q8_0 or q4_1}}
module attributes {lm.options = {encoding = "q3_x"}} {
}

// -----
// expected-error @+1 {{compute is 'int8', expected float32 or bfloat16}}
module attributes {lm.options = {compute = "int8"}} {
}

// -----
module attributes {lm.options = {encoding = "q8_0"}} {
  // expected-remark @+1 {{rows have 40 columns, no multiple of 32; stored as bfloat16}}
  lm.param @b : tensor<32x40xf32> from #lm.source<"b">
}
