// RUN: llama4-opt %s --cmd-plan-memory --split-input-file --verify-diagnostics

cmd.kernel @k grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @wide grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 256 {
    %a = lm.element %x at affine_map<(j) -> (j mod 64)> : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x256xf32>
  cmd.yield %0 : tensor<?x256xf32>
}
cmd.kernel @narrow grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x256xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x256xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [] {
  %a = cmd.alloc : <tensor<?x64xf32>>
  %b = cmd.alloc : <tensor<?x64xf32>>
  // expected-error @+1 {{reads a buffer that no command before it has written}}
  cmd.dispatch @k ins(%a : !cmd.buffer<tensor<?x64xf32>>) outs(%b : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return %b : !cmd.buffer<tensor<?x64xf32>>
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  // expected-error @+1 {{holds 'tensor<4x64xf32>', expected rows over the symbol of a sensible size}}
  %a = cmd.alloc : <tensor<4x64xf32>>
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 8> arguments [] {
  %a = cmd.alloc : <tensor<?x64xf32>>
  // expected-error @+1 {{returns a buffer that no command has written}}
  cmd.return %a : !cmd.buffer<tensor<?x64xf32>>
}
