// RUN: llama4-opt %s --lower-to-cmd --split-input-file --verify-diagnostics

func.func @main(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{is no call of a kernel; run lower-outline-kernels first}}
  %0 = lm.silu %x : tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----
func.func @main(%x: tensor<?x64xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{every result must be computed by the entry}}
  return %x : tensor<?x64xf32>
}
