// Attention without state needs its core, like all contractions.
// RUN: llama4-opt %s --lm-verify --split-input-file --verify-diagnostics

func.func @main(%q: tensor<?x5x32xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  // expected-error @+1 {{has no micro-kernel; run lm-select-layout}}
  %0 = lm.unit_attention %q, %q, %q heads 4 scale 2.5e-01 : tensor<?x5x32xf32>
  return
}

// -----
func.func @main(%q: tensor<?x32xf32>, %k: tensor<5x8x16xf32>, %i: tensor<?xi32>, %t: tensor<5xi32>) attributes {lm.entry = #lm.entry<"T", bound = 8>} {
  // expected-error @+1 {{has no micro-kernel; run lm-select-layout}}
  %0 = lm.cross_attention %q, %k, %k, %i, %i, %t heads 4 groups 2 scale 2.5e-01 : tensor<?x32xf32>, tensor<5x8x16xf32>, tensor<?xi32>, tensor<5xi32>
  return
}

// -----
// expected-error @+1 {{input 0 is 'tensor<?x0x4xf32>', expected rows of numbers, the batch or paged state}}
func.func @main(%p: tensor<?x0x4xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  return
}
