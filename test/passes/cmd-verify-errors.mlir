// RUN: llama4-opt %s --cmd-verify --split-input-file --verify-diagnostics

// ===== Two buffers that are alive together share bytes =====
cmd.kernel @k grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @wide grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 256 {
    %a = lm.element %x at affine_map<(j) -> (j mod 64)> : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x256xf32>
  cmd.yield %0 : tensor<?x256xf32>
}
cmd.kernel @narrow grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x256xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x256xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{name = "x"}] arena 4096 {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  // expected-note @+1 {{the other buffer is here}}
  %a = cmd.alloc at 0 : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x64xf32>>) sources []
  // expected-error @+1 {{shares memory with a buffer that is alive}}
  %b = cmd.alloc at 1984 : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%a : !cmd.buffer<tensor<?x64xf32>>) outs(%b : !cmd.buffer<tensor<?x64xf32>>) sources []
  %c = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%b : !cmd.buffer<tensor<?x64xf32>>) outs(%c : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return %c : !cmd.buffer<tensor<?x64xf32>>
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] arena 2048 {
  // expected-error @+1 {{lies at 64 with 2048 bytes, expected a multiple of 64 inside the arena of 2048 bytes}}
  %a = cmd.alloc at 64 : <tensor<?x64xf32>>
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] arena 2048 {
  // expected-error @+1 {{has no place in the arena; run cmd-plan-memory}}
  %a = cmd.alloc : <tensor<?x64xf32>>
  cmd.return
}

// -----
// expected-error @+1 {{has no arena; run cmd-plan-memory}}
cmd.entry @main <"T", bound = 8> arguments [] {
  cmd.return
}

// -----
// expected-error @+1 {{has no scratch size; run cmd-schedule}}
cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// ===== What the module says about a kernel is what its body needs =====
// expected-error @+1 {{has the grid affine_map<(d0) -> (d0 * 2)>, but its tiles are affine_map<(d0) -> (d0)>}}
cmd.kernel @k grid affine_map<(T) -> (T * 2)> scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has 0 bytes of scratch, but needs 256; run cmd-schedule}}
cmd.kernel @k grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    %c = lm.rotate half %b, 16
    lm.yield %c : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
cmd.kernel @k grid affine_map<(T) -> (T ceildiv 64)> scratch 0 {
^bb0(%x: tensor<?x96xf32>, %w: tensor<16x96xf32>):
  // expected-error @+1 {{reads a weight of type 'tensor<16x96xf32>', expected a parameter in panels}}
  %0 = lm.linear %x, %w core <"l4_linear_f32_float32", tokens = 64> : tensor<?x96xf32>, tensor<16x96xf32> -> tensor<?x16xf32>
  cmd.yield %0 : tensor<?x16xf32>
}

// -----
// ===== Tiles from elsewhere could name any memory =====
lm.param @w : tensor<4x16x64xf32, #target.layout<"panels", 16>> from #lm.source<"w">
cmd.kernel @gather grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = arith.constant 1.0 : f32
    lm.yield %a : f32
  } -> tensor<?x1x64xf32>
  cmd.yield %0 : tensor<?x1x64xf32>
}
cmd.kernel @grouped grid affine_map<(T) -> (T)> scratch 0 {
^bb0(%x: tensor<?x1x64xf32>, %w: tensor<4x16x64xf32, #target.layout<"panels", 16>>, %t: tensor<?x1x4xi32>):
  %0 = lm.linear %x, %w by %t core <"l4_linear_f32_float32", tokens = 64> : tensor<?x1x64xf32>, tensor<4x16x64xf32, #target.layout<"panels", 16>>, tensor<?x1x4xi32> -> tensor<?x1x16xf32>
  cmd.yield %0 : tensor<?x1x16xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{name = "x"}, {name = "t"}] arena 4096 {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>, %t: !cmd.buffer<tensor<?x1x4xi32>>):
  %w = cmd.weight @w : !cmd.buffer<tensor<4x16x64xf32, #target.layout<"panels", 16>>>
  %a = cmd.alloc at 0 : <tensor<?x1x64xf32>>
  cmd.dispatch @gather ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x1x64xf32>>) sources []
  %b = cmd.alloc : <tensor<?x1x16xf32>>
  // expected-error @+1 {{has tiles that are not those of an lm.group_by_expert}}
  cmd.dispatch @grouped ins(%a, %w, %t : !cmd.buffer<tensor<?x1x64xf32>>, !cmd.buffer<tensor<4x16x64xf32, #target.layout<"panels", 16>>>, !cmd.buffer<tensor<?x1x4xi32>>) outs(%b : !cmd.buffer<tensor<?x1x16xf32>>) sources []
  cmd.return %b : !cmd.buffer<tensor<?x1x16xf32>>
}
