// What the verifiers of head norms, temperatures, routing and experts refuse.
// RUN: llama4-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{expected a static tensor of rank 1, 2 or 3}}
lm.param @w : tensor<2x2x2x32xf32> from #lm.source<"w">

// -----
// expected-error @+1 {{only rank 3 has per_expert sources}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w.*", per_expert = true>

// -----
// expected-error @+1 {{transpose needs rank 2 or 3}}
lm.param @w : tensor<32xf32> from #lm.source<"w", transpose = true>

// -----
// expected-error @+1 {{per_expert needs one '*' in the name of the tensor and of its scale, found 'w' and ''}}
lm.param @w : tensor<2x4x32xf32> from #lm.source<"w", per_expert = true>

// -----
// expected-error @+1 {{per_expert needs one '*' in zero_point, found 'z'}}
lm.param @w : tensor<2x4x32xf32> from #lm.source<"w.*", per_expert = true, scale = "s.*", bits = 4, zero_point = "z">

// -----
// expected-error @+1 {{bits is 3, expected 4 or 8, or 0 for no packed integers}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w", scale = "s", bits = 3>

// -----
// expected-error @+1 {{packed integers need a scale and rows in order, found 'w' with scale ''}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w", bits = 4>

// -----
// expected-error @+1 {{packed integers need a scale and rows in order, found 'w' with scale 's'}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w", first_row = 4, scale = "s", bits = 4>

// -----
// expected-error @+1 {{zero_point is 'z' without bits of packed integers}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w", scale = "s", zero_point = "z">

// -----
// expected-error @+1 {{unpermute_heads is 0 and first_row -1, expected at least 0}}
lm.param @w : tensor<4x32xf32> from #lm.source<"w", first_row = -1>

// -----
// expected-error @+1 {{floor_scale is 0, expected at least 1}}
lm.temperature_table @t {attn_scale = 0.1 : f32, floor_scale = 0 : i64}

// -----
// expected-error @+1 {{attn_scale is not finite}}
lm.temperature_table @t {attn_scale = 0x7F800000 : f32, floor_scale = 1 : i64}

// -----
// expected-error @+1 {{'lm.temperature' of argument 0 must name an lm.temperature_table}}
func.func @f(%t: tensor<?x1xf32> {lm.temperature = @nothing}) {
  return
}

// -----
func.func @f(%x: tensor<?x60xf32>) {
  // expected-error @+1 {{input has 60 columns, expected heads of 16}}
  %0 = lm.qk_norm %x {dim = 16, eps = 1.0e-5 : f32} : tensor<?x60xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>) {
  // expected-error @+1 {{eps is negative or not a number}}
  %0 = lm.qk_norm %x {dim = 16, eps = -1.0 : f32} : tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %t: tensor<?x2xf32>) {
  // expected-error @+1 {{temperature is 'tensor<?x2xf32>', expected tensor<?x1xf32>}}
  %0 = lm.temperature %x, %t : tensor<?x64xf32>, tensor<?x2xf32>
  return
}

// -----
func.func @f(%l: tensor<?x4xf32>) {
  // expected-error @+1 {{top is 5, expected 1 to the 4 experts of the logits}}
  %0:2 = lm.route %l top 5 : tensor<?x4xf32> -> tensor<?x5xi32>, tensor<?x5xf32>
  return
}

// -----
func.func @f(%l: tensor<?x4xf32>) {
  // expected-error @+1 {{result is 'tensor<?x1xi32>', expected tensor<?x2x...>}}
  %0:2 = lm.route %l top 2 : tensor<?x4xf32> -> tensor<?x1xi32>, tensor<?x2xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %s: tensor<?x1xf32>, %g: tensor<4x16x64xf32>, %d: tensor<4x64x16xf32>) {
  // expected-error @+1 {{expected tensor<?xKxi32> and tensor<?xKxf32>}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x1xf32>, tensor<4x16x64xf32>, tensor<4x64x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %s: tensor<?x2xf32>, %g: tensor<4x16x60xf32>, %d: tensor<4x64x16xf32>) {
  // expected-error @+1 {{gate is 'tensor<4x16x60xf32>', expected tensor<ExFx64> to match the input}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<4x16x60xf32>, tensor<4x64x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %i: tensor<?x2xi32>, %s: tensor<?x2xf32>, %g: tensor<4x16x64xf32>, %d: tensor<4x16x64xf32>) {
  // expected-error @+1 {{down is 'tensor<4x16x64xf32>', expected tensor<4x64x16> to match the gate}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<4x16x64xf32>, tensor<4x16x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %i: tensor<?x5xi32>, %s: tensor<?x5xf32>, %g: tensor<4x16x64xf32>, %d: tensor<4x64x16xf32>) {
  // expected-error @+1 {{but there are 4 experts}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x5xi32>, tensor<?x5xf32>, tensor<4x16x64xf32>, tensor<4x64x16xf32>
  return
}

// -----
func.func @f(%l: tensor<?x4xf32>) {
  // expected-error @+1 {{top is 5, expected 1 to the 4 experts of the logits}}
  %0:4 = lm.group_by_expert %l top 5 tile 64 : tensor<?x4xf32> -> tensor<?x5x1xi32>, tensor<?x5x1xf32>, tensor<?x5x1xi32>, tensor<?x5x4xi32>
  return
}

// -----
func.func @f(%l: tensor<?x4xf32>) {
  // expected-error @+1 {{tile is 0, expected at least one row}}
  %0:4 = lm.group_by_expert %l top 1 tile 0 : tensor<?x4xf32> -> tensor<?x1x1xi32>, tensor<?x1x1xf32>, tensor<?x1x1xi32>, tensor<?x1x4xi32>
  return
}

// -----
func.func @f(%l: tensor<?x4xf32>) {
  // expected-error @+1 {{result is 'tensor<?x2x1xi32>', expected tensor<?x2x4x...>}}
  %0:4 = lm.group_by_expert %l top 2 tile 8 : tensor<?x4xf32> -> tensor<?x2x1xi32>, tensor<?x2x1xf32>, tensor<?x2x1xi32>, tensor<?x2x1xi32>
  return
}

// -----
func.func @f(%x: tensor<?x2x64xf32>, %w: tensor<4x16x64xf32>, %t: tensor<?x1x4xi32>) {
  // expected-error @+1 {{tiles are 'tensor<?x1x4xi32>', expected tensor<?x2x4xi32>}}
  %0 = lm.linear %x, %w by %t : tensor<?x2x64xf32>, tensor<4x16x64xf32>, tensor<?x1x4xi32> -> tensor<?x2x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x2x64xf32>, %w: tensor<4x16x64xf32>, %v: tensor<5x16x64xf32>, %t: tensor<?x2x4xi32>) {
  // expected-error @+1 {{weight is 'tensor<5x16x64xf32>', expected tensor<4xNx64> to match the input}}
  %0:2 = lm.linear %x, %w, %v by %t : tensor<?x2x64xf32>, tensor<4x16x64xf32>, tensor<5x16x64xf32>, tensor<?x2x4xi32> -> tensor<?x2x16xf32>, tensor<?x2x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %w: tensor<4x16x64xf32>, %t: tensor<?x1x4xi32>) {
  // expected-error @+1 {{input is 'tensor<?x64xf32>', expected tensor<?xSxK> with tiles}}
  %0 = lm.linear %x, %w by %t : tensor<?x64xf32>, tensor<4x16x64xf32>, tensor<?x1x4xi32> -> tensor<?x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x2x64xf32>) {
  %0 = lm.row 64 {
    // expected-error @+1 {{source is 'tensor<?x2x64xf32>', expected rows as the region has them: tensor<?xN>}}
    %1 = lm.element %x : tensor<?x2x64xf32>
    lm.yield %1 : f32
  } -> tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x64xf32>, %r: tensor<?x3x1xi32>) {
  %0 = lm.row 64 {
    // expected-error @+1 {{rows are 'tensor<?x3x1xi32>', expected tensor<?x2x1xi32>}}
    %1 = lm.element %x rows %r : tensor<?x3x1xi32> : tensor<?x64xf32>
    lm.yield %1 : f32
  } -> tensor<?x2x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x2x64xf32>, %r: tensor<?x2x1xi32>) {
  %0 = lm.row 64 {
    // expected-error @+1 {{reads slot 2 of 'tensor<?x2x1xi32>', expected a slot of tensor<?xKx1xi32>}}
    %1 = lm.element %x rows %r slot 2 : tensor<?x2x1xi32> : tensor<?x2x64xf32>
    lm.yield %1 : f32
  } -> tensor<?x64xf32>
  return
}

// -----
func.func @f(%x: tensor<?x2x64xf32>) {
  // expected-error @+1 {{result is 'tensor<?x3x64xf32>', expected the rows of 'tensor<?x2x64xf32>'}}
  %0:2 = lm.row 64 {
    %1 = lm.element %x : tensor<?x2x64xf32>
    lm.yield %1, %1 : f32, f32
  } -> tensor<?x2x64xf32>, tensor<?x3x64xf32>
  return
}
