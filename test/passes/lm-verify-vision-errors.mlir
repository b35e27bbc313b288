// What image towers have and no kernel computes is refused by name.
// RUN: llama4-opt %s --lm-verify --split-input-file --verify-diagnostics

// expected-error @+1 {{input 0 is 'tensor<?x12x4xf32>', expected rows of numbers, the batch or paged state}}
func.func @main(%p: tensor<?x12x4xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  return
}

// -----
func.func @main(%x: tensor<?x64xf32>, %w: tensor<16x16xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  // expected-error @+1 {{cannot be lowered; entries hold look-ups}}
  %0 = lm.reshape %x : tensor<?x64xf32> -> tensor<?x4x16xf32>
  return
}

// -----
func.func @main(%x: tensor<?x64xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  %0 = lm.row 64 {
    %1 = lm.element %x : tensor<?x64xf32>
    // expected-error @+1 {{is in no kernel}}
    %2 = math.erf %1 : f32
    lm.yield %2 : f32
  } -> tensor<?x64xf32>
  return
}

// -----
func.func @main(%w: tensor<4x16xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  %0 = lm.row 16 {
    // expected-error @+1 {{reads by the place of a row in its unit, which no kernel does}}
    %1 = lm.element %w : tensor<4x16xf32>
    lm.yield %1 : f32
  } -> tensor<?x4x16xf32>
  return
}

// -----
func.func @main(%w: tensor<16x16xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  %0 = lm.row 16 {
    %c = arith.constant 0.0 : f32
    lm.yield %c : f32
  } -> tensor<?x4x16xf32>
  // expected-error @+1 {{has rows of units without tiles of experts, which no kernel computes}}
  %1 = lm.linear %0, %w : tensor<?x4x16xf32>, tensor<16x16xf32> -> tensor<?x4x16xf32>
  return
}

// -----
lm.rope_grid @grid 2 by 2 [1.0, 0.5]
// expected-error @+1 {{input 0 is filled from @grid, an lm.rope_grid, which no program does}}
func.func @main(%cos: tensor<5x4xf32> {lm.role = "cos", lm.rope = @grid}, %r: tensor<?xi32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
  return
}
