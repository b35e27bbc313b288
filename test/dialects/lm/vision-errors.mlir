// What the verifiers of the ops of image towers refuse.
// RUN: llama4-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{is 0 by 2, expected 1 to 4096 each}}
lm.rope_grid @g 0 by 2 [1.0]

// -----
// expected-error @+1 {{has no inverse frequencies, expected one per pair of half a head}}
lm.rope_grid @g 2 by 2 []

// -----
func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<7xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{weight is 'tensor<7xf32>', expected tensor<8x...>}}
  %0 = lm.layer_norm %x, %w, %b {eps = 1.0e-5 : f32} : tensor<?x4x8xf32>, tensor<7xf32>, tensor<8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<8xf32>, %b: tensor<2x8xf32>) {
  // expected-error @+1 {{bias is 'tensor<2x8xf32>', expected tensor<8x...>}}
  %0 = lm.layer_norm %x, %w, %b {eps = 1.0e-5 : f32} : tensor<?x4x8xf32>, tensor<8xf32>, tensor<2x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{eps is negative or not a number}}
  %0 = lm.layer_norm %x, %w, %w {eps = 0x7FC00000 : f32} : tensor<?x4x8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x?x8xf32>) {
  // expected-error @+1 {{operand is 'tensor<?x?x8xf32>', expected tensor<?xKxN>}}
  %0 = lm.gelu %x : tensor<?x?x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %w: tensor<3xf32>) {
  // expected-error @+1 {{expected a vector for heads that divide the 8 columns}}
  %0 = lm.head_norm %x, %w {eps = 1.0e-5 : f32} : tensor<?x8xf32>, tensor<3xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %w: tensor<2xf32>) {
  // expected-error @+1 {{gate is 'tensor<2xf32>', expected tensor<1x...>}}
  %0 = lm.tanh_gate %x, %w : tensor<?x8xf32>, tensor<2xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<3x8xf32>, %g: tensor<1xf32>) {
  // expected-error @+1 {{bias is 'tensor<3x8xf32>', expected tensor<Rx8x...> where R divides the 4 rows of a unit}}
  %0 = lm.gated_bias %x, %w, %g : tensor<?x4x8xf32>, tensor<3x8xf32>, tensor<1xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %w: tensor<3x8xf32>) {
  // expected-error @+1 {{bias is 'tensor<3x8xf32>', expected tensor<Rx8x...> where R divides the 4 rows of a unit}}
  %0 = lm.bias %x, %w : tensor<?x4x8xf32>, tensor<3x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %c: tensor<3x4xf32>) {
  // expected-error @+1 {{cos is 'tensor<3x4xf32>', expected tensor<4xPxf32>: a row for each row of a unit}}
  %0 = lm.rope %x, %c, %c, pairs : tensor<?x4x8xf32>, tensor<3x4xf32>
  return
}

// -----
func.func @f(%x: tensor<?x10x4xf32>) {
  // expected-error @+1 {{pixels are 'tensor<?x10x4xf32>', expected square pictures of 3 channels}}
  %0 = lm.patches %x channels 3 patch 2 : tensor<?x10x4xf32> -> tensor<?x4x12xf32>
  return
}

// -----
func.func @f(%x: tensor<?x12x4xf32>) {
  // expected-error @+1 {{patch is 3, expected a divisor of the side 4}}
  %0 = lm.patches %x channels 3 patch 3 : tensor<?x12x4xf32> -> tensor<?x4x12xf32>
  return
}

// -----
func.func @f(%x: tensor<?x12x4xf32>) {
  // expected-error @+1 {{result is 'tensor<?x4x8xf32>', expected 'tensor<?x4x12xf32>'}}
  %0 = lm.patches %x channels 3 patch 2 : tensor<?x12x4xf32> -> tensor<?x4x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>, %v: tensor<8xf32>) {
  // expected-error @+1 {{inserts at 5, expected 0 to 4}}
  %0 = lm.insert_row %x, %v at 5 groups 2 : tensor<?x8x8xf32>, tensor<8xf32> -> tensor<?x10x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>, %v: tensor<8xf32>) {
  // expected-error @+1 {{has 3 groups, expected a divisor of the 8 rows of a unit}}
  %0 = lm.insert_row %x, %v at 0 groups 3 : tensor<?x8x8xf32>, tensor<8xf32> -> tensor<?x10x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>) {
  // expected-error @+1 {{has 4 groups, expected a divisor of the 10 rows of a unit}}
  %0 = lm.fit_rows %x groups 4 : tensor<?x8x8xf32> -> tensor<?x10x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>) {
  // expected-error @+1 {{result is 'tensor<?x12x4xf32>', expected 'tensor<?x12x8xf32>'}}
  %0 = lm.fit_rows %x groups 4 : tensor<?x8x8xf32> -> tensor<?x12x4xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>) {
  // expected-error @+1 {{expected a multiple of the 8 rows of a unit}}
  %0 = lm.spread_rows %x : tensor<?x8x8xf32> -> tensor<?x12x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>) {
  // expected-error @+1 {{expected the 64 elements of a unit of the input}}
  %0 = lm.reshape %x : tensor<?x8x8xf32> -> tensor<?x12x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>, %y: tensor<?x8x4xf32>) {
  // expected-error @+1 {{inputs are 'tensor<?x8x8xf32>' and 'tensor<?x8x4xf32>', expected one type}}
  %0 = lm.concat interleaved %x, %y : tensor<?x8x8xf32>, tensor<?x8x4xf32> -> tensor<?x8x12xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>, %y: tensor<?x4x8xf32>) {
  // expected-error @+1 {{inputs are 'tensor<?x8x8xf32>' and 'tensor<?x4x8xf32>', expected as many rows in a unit}}
  %0 = lm.concat %x, %y : tensor<?x8x8xf32>, tensor<?x4x8xf32> -> tensor<?x8x16xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8x8xf32>) {
  // expected-error @+1 {{grid is 3 by 3, but a unit has 8 rows}}
  %0 = lm.pixel_shuffle %x columns 3 side 1 : tensor<?x8x8xf32> -> tensor<?x9x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x9x8xf32>) {
  // expected-error @+1 {{side is 2, expected a divisor of 3}}
  %0 = lm.pixel_shuffle %x columns 3 side 2 : tensor<?x9x8xf32> -> tensor<?x1x32xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %r: tensor<?xi32>, %f: tensor<16x4xf32>) {
  // expected-error @+1 {{source is 'tensor<16x4xf32>', expected tensor<Mx8xf32>}}
  %0 = lm.merge_rows %x, %r, %f : tensor<?x8xf32>, tensor<?xi32>, tensor<16x4xf32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %r: tensor<4xi32>, %f: tensor<16x8xf32>) {
  // expected-error @+1 {{rows are 'tensor<4xi32>', expected tensor<?xi32>}}
  %0 = lm.merge_rows %x, %r, %f : tensor<?x8xf32>, tensor<4xi32>, tensor<16x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x6xbf16>) {
  // expected-error @+1 {{has bf16 heads of 3 columns, expected an even number}}
  %0 = lm.unit_attention %x, %x, %x heads 2 scale 0.5 : tensor<?x4x6xbf16>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>) {
  // expected-error @+1 {{has 3 heads, expected a divisor of the 8 columns}}
  %0 = lm.unit_attention %x, %x, %x heads 3 scale 0.5 : tensor<?x4x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>) {
  // expected-error @+1 {{scale is not finite}}
  %0 = lm.unit_attention %x, %x, %x heads 2 scale 0x7F800000 : tensor<?x4x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>) {
  // expected-error @+1 {{needs pictures, groups and real together}}
  %0 = lm.unit_attention %x, %x, %x heads 2 scale 0.5 {groups = 2} : tensor<?x4x8xf32>
  return
}

// -----
func.func @f(%x: tensor<?x4x8xf32>, %n: tensor<?xi32>) {
  // expected-error @+1 {{real is 3, expected 1 to the 2 rows of a group}}
  %0 = lm.unit_attention %x, %x, %x pictures %n heads 2 scale 0.5 {groups = 2, real = 3} : tensor<?x4x8xf32>, tensor<?xi32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %k: tensor<3x10x6xf32>, %r: tensor<?xi32>, %t: tensor<3xi32>) {
  // expected-error @+1 {{key has 6 columns, expected KV heads of 4, a divisor of 2}}
  %0 = lm.cross_attention %x, %k, %k, %r, %r, %t heads 2 groups 2 scale 0.5 : tensor<?x8xf32>, tensor<3x10x6xf32>, tensor<?xi32>, tensor<3xi32>
  return
}

// -----
func.func @f(%x: tensor<?x8xf32>, %k: tensor<3x10x4xf32>, %r: tensor<?xi32>, %t: tensor<4xi32>) {
  // expected-error @+1 {{and tiles 'tensor<4xi32>', expected tensor<?xi32> and tensor<3xi32>}}
  %0 = lm.cross_attention %x, %k, %k, %r, %r, %t heads 2 groups 2 scale 0.5 : tensor<?x8xf32>, tensor<3x10x4xf32>, tensor<?xi32>, tensor<4xi32>
  return
}

// -----
lm.rope_grid @grid 2 by 2 [1.0, 0.5]
// expected-error @+1 {{argument 0 is 'tensor<4x4xf32>', but its lm.rope_grid fills 'tensor<5x4xf32>'}}
func.func @f(%cos: tensor<4x4xf32> {lm.role = "cos", lm.rope = @grid}) {
  return
}
