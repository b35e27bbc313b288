// RUN: llama4-opt %s --split-input-file --verify-diagnostics

// ===== A kernel holds one fused op =====
// expected-error @+1 {{holds more than one contraction, expected at most one}}
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>):
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  %1 = lm.linear %0, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  cmd.yield %1 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{must hold exactly one lm.embed, lm.row, lm.linear, attention, lm.group_by_expert or order of rows}}
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.silu %x : tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{must yield the results of its op in order}}
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>):
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  cmd.yield %x : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{grid must map the entry's symbol to one number of tiles}}
cmd.kernel @k grid affine_map<(T, U) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>):
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has 1 inputs and names for 0}}
cmd.entry @main <"T", bound = 8> arguments [] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  cmd.return
}

// -----
// expected-error @+1 {{input is 'i32', expected a buffer, the batch or paged state}}
cmd.entry @main <"T", bound = 8> arguments [{}] {
^bb0(%x: i32):
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  // expected-error @+1 {{found no kernel @k in the module}}
  cmd.dispatch @k sources []
  cmd.return
}

// -----
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %w: tensor<64x64xf32>):
  %0 = lm.linear %x, %w : tensor<?x64xf32>, tensor<64x64xf32> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  // expected-error @+1 {{has 1 inputs, but the kernel has 2}}
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return
}

// -----
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{}] {
^bb0(%x: !cmd.buffer<tensor<?x32xf32>>):
  %o = cmd.alloc : <tensor<?x64xf32>>
  // expected-error @+1 {{input 0 is '!cmd.buffer<tensor<?x32xf32>>', but the kernel's is 'tensor<?x64xf32>'}}
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x32xf32>>) outs(%o : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  // expected-error @+1 {{found no parameter @w in the module}}
  %w = cmd.weight @w : <tensor<64xf32>>
  cmd.return
}

// -----
// expected-error @+1 {{reads '!lm.kv<"full", kind = 0, layers = 1, heads = 1, dim = 64, f32>', expected a tensor, a layer of state or the batch}}
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 1, dim = 64, f32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has the bound -5, expected 1 to 16777216}}
cmd.entry @main <"T", bound = -5> arguments [] {
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  // expected-error @+1 {{a buffer of 'tensor<f32>', expected rows over the symbol or a fixed number of them}}
  %a = cmd.alloc : <tensor<f32>>
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  // expected-error @+1 {{is no command}}
  %a = arith.constant 1.0 : f32
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [{}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  // expected-error @+1 {{returns an input, a weight or one buffer twice}}
  cmd.return %x : !cmd.buffer<tensor<?x64xf32>>
}

// -----
// ===== A command writes memory of its own, never what it reads =====
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  %a = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x64xf32>>) sources []
  // expected-error @+1 {{expected a cmd.alloc of its own for every output}}
  cmd.dispatch @k ins(%a : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return
}

// -----
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{}, {}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>, %y: !cmd.buffer<tensor<?x64xf32>>):
  // expected-error @+1 {{expected a cmd.alloc of its own for every output}}
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%y : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return
}
