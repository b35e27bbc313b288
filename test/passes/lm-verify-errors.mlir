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
func.func @main(%x: tensor<?x64xf32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{cannot be lowered; entries hold look-ups, row work, linears and attention}}
  %c = arith.constant 1.0 : f32
  return
}
