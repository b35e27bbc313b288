// RUN: llama4-opt %s --kernel-emit-rows --split-input-file --verify-diagnostics

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    // expected-error @+1 {{rotates heads of 20 columns in rows of 48, expected an even divisor}}
    %y = lm.rotate half %a, 20
    lm.yield %y : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x40xf32>):
  %0 = lm.row 48 {
    // expected-error @+1 {{reads column 47 of 'tensor<?x40xf32>', which has fewer columns}}
    %a = lm.element %x : tensor<?x40xf32>
    lm.yield %a : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<16x48xf32, #target.layout<"panels", 16>>):
  %0 = lm.row 48 {
    // expected-error @+1 {{expected plain rows}}
    %a = lm.element %x : tensor<16x48xf32, #target.layout<"panels", 16>>
    lm.yield %a : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>, %b: !lm.batch):
  lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    // expected-error @+1 {{puts rows of 48 columns, but the state is}}
    lm.kv_put key %a into %kv, %b : !lm.kv_layer<kind = 0, heads = 2, dim = 16, f32>
    lm.yield
  }
  cmd.yield
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>, %kv: !lm.kv_layer<kind = 4, heads = 3, dim = 16, f32>, %b: !lm.batch):
  lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    // expected-error @+1 {{heads of an even dimension and at most 4 kinds}}
    lm.kv_put key %a into %kv, %b : !lm.kv_layer<kind = 4, heads = 3, dim = 16, f32>
    lm.yield
  }
  cmd.yield
}

// -----

// expected-error @+1 {{but its tiles are affine_map<(d0) -> ((d0 ceildiv 64) * 3)>}}
cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x96xf32>, %w: tensor<40x96xf32>):
  %0 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 64>
      : tensor<?x96xf32>, tensor<40x96xf32> -> tensor<?x40xf32>
  cmd.yield %0 : tensor<?x40xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T ceildiv 64)> {
^bb0(%x: tensor<?x96xf32>, %w: tensor<16x96xf32>):
  // expected-error @+1 {{has no tiles: its epilogue has no unit, or it names no core}}
  %0 = lm.linear %x, %w : tensor<?x96xf32>, tensor<16x96xf32> -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T ceildiv 64)> {
^bb0(%x: tensor<?x96xbf16>, %w: tensor<16x96x!lm.block<q4_1>>):
  // expected-error @+1 {{but no micro-kernel does}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_q4_1", tokens = 64>
      : tensor<?x96xbf16>, tensor<16x96x!lm.block<q4_1>> -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T ceildiv 64)> {
^bb0(%x: tensor<?x40xf32>, %w: tensor<16x40x!lm.block<q4_1>>):
  // expected-error @+1 {{has rows of 40 columns, but l4_linear_f32_q4_1 needs a multiple of 32}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_q4_1", tokens = 64>
      : tensor<?x40xf32>, tensor<16x40x!lm.block<q4_1>> -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T ceildiv 64)> {
^bb0(%x: tensor<?x96xf32>, %w: tensor<16x96xf32>):
  // expected-error @+1 {{names the core l4_linear_f32_q4_1, but its operands need another one}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_q4_1", tokens = 64>
      : tensor<?x96xf32>, tensor<16x96xf32> -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// -----

// expected-error @+1 {{has a name that is reserved for micro-kernels}}
cmd.kernel @l4_row_float32 grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    lm.yield %a : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    // expected-error @+1 {{cannot be part of a kernel's region}}
    %y = func.call @g(%a) : (f32) -> f32
    lm.yield %y : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}
func.func private @g(f32) -> f32

// -----

cmd.kernel @f grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x48xf32>):
  %0 = lm.row 48 {
    %a = lm.element %x : tensor<?x48xf32>
    // expected-error @+1 {{reduces heads of 20 columns in rows of 48, expected a divisor}}
    %y = lm.reduce sum %a over 20
    lm.yield %y : f32
  } -> tensor<?x48xf32>
  cmd.yield %0 : tensor<?x48xf32>
}
