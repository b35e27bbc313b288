// RUN: llama4-opt %s --lower-outline-kernels --split-input-file --verify-diagnostics

func.func @main(%x: tensor<?x64xf32>, %w: tensor<16x64xf32>) -> tensor<?x16xf32> attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{has no tiles: its epilogue has no unit, or it names no core; run the lm passes first}}
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<16x64xf32> -> tensor<?x16xf32>
  return %0 : tensor<?x16xf32>
}
