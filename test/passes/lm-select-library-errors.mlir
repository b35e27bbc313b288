// RUN: llama4-opt %s --lm-select-library --split-input-file --verify-diagnostics

// expected-error @+1 {{library is 'mkl', expected none or onednn}}
module attributes {lm.options = {library = "mkl"}} {
}

// -----
func.func @main(%x: tensor<?x3x64xf32>, %w: tensor<32x64xf32>) -> tensor<?x3x32xf32> {
  // expected-error @+1 {{'lm.library' must be "onednn" on an lm.linear}}
  %0 = lm.linear %x, %w {lm.library = "mkl"} : tensor<?x3x64xf32>, tensor<32x64xf32> -> tensor<?x3x32xf32>
  return %0 : tensor<?x3x32xf32>
}

// -----
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{'lm.library' must be "onednn" on an lm.linear}}
  %0 = lm.add %x, %x {lm.library = "onednn"} : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}
