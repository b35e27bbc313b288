// A module that a person wrote may name a library only where it can compute the linear.
// RUN: llama4-opt %s --lm-verify --split-input-file --verify-diagnostics

lm.param @w : tensor<32x64xf32, #target.layout<"panels", 16>> from #lm.source<"w">
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x32xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  %w = lm.load_param @w : tensor<32x64xf32, #target.layout<"panels", 16>>
  // expected-error @+1 {{names the library "onednn", but its rows are not those of units}}
  %0 = lm.linear %x, %w {lm.library = "onednn"} : tensor<?x64xf32>, tensor<32x64xf32, #target.layout<"panels", 16>> -> tensor<?x32xf32>
  return %0 : tensor<?x32xf32>
}

// -----
lm.param @w : tensor<32x40xf32, #target.layout<"panels", 16>> from #lm.source<"w">
func.func @main(%x: tensor<?x3x40xf32>) -> tensor<?x3x32xf32> attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  %w = lm.load_param @w : tensor<32x40xf32, #target.layout<"panels", 16>>
  // expected-error @+1 {{names the library "onednn", but its panels would need padding}}
  %0 = lm.linear %x, %w {lm.library = "onednn"} : tensor<?x3x40xf32>, tensor<32x40xf32, #target.layout<"panels", 16>> -> tensor<?x3x32xf32>
  return %0 : tensor<?x3x32xf32>
}

// -----
lm.param @w : tensor<32x64xf32, #target.layout<"panels", 16>> from #lm.source<"w">
func.func @main(%x: tensor<?x3x64xf32>) -> tensor<?x3x32xf32> attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  %w = lm.load_param @w : tensor<32x64xf32, #target.layout<"panels", 16>>
  // expected-error @+1 {{names the library "onednn", but it has an epilogue or one weight twice}}
  %0 = lm.linear %x, %w {lm.library = "onednn"} : tensor<?x3x64xf32>, tensor<32x64xf32, #target.layout<"panels", 16>> -> tensor<?x3x32xf32> epilogue {
  ^bb0(%e: f32):
    %n = arith.negf %e : f32
    lm.yield %n : f32
  }
  return %0 : tensor<?x3x32xf32>
}
