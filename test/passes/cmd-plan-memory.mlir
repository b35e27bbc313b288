// RUN: llama4-opt %s --cmd-plan-memory | FileCheck %s
// RUN: llama4-opt %s --cmd-plan-memory --cmd-schedule --cmd-verify | FileCheck %s --check-prefix=VERIFIED

// A row of 64 floats is 256 bytes, 2048 at the bound of 8; a row of 256 is 1024 bytes, 8192 at the
// bound. The wide buffer is placed first (largest first), at 0.
// CHECK: cmd.entry @main {{.*}} arena 10240 {
// VERIFIED: cmd.kernel @k {{.*}} scratch 0
// VERIFIED-NOT: @unused
// VERIFIED: cmd.entry @main {{.*}} arena 10240 {
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
cmd.kernel @unused grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    lm.yield %a : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 8> arguments [{name = "x"}] {
^bb0(%x: !cmd.buffer<tensor<?x64xf32>>):
  // 0: dead before the wide buffer is written
  // CHECK: cmd.alloc at 0 : <tensor<?x64xf32>>
  %a = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%x : !cmd.buffer<tensor<?x64xf32>>) outs(%a : !cmd.buffer<tensor<?x64xf32>>) sources []
  // 8192: read while the wide buffer is written
  // CHECK: cmd.alloc at 8192
  %b = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%a : !cmd.buffer<tensor<?x64xf32>>) outs(%b : !cmd.buffer<tensor<?x64xf32>>) sources []
  // CHECK: cmd.alloc at 0 : <tensor<?x256xf32>>
  %c = cmd.alloc : <tensor<?x256xf32>>
  cmd.dispatch @wide ins(%b : !cmd.buffer<tensor<?x64xf32>>) outs(%c : !cmd.buffer<tensor<?x256xf32>>) sources []
  // 8192 (reused)
  // CHECK: cmd.alloc at 8192
  %d = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @narrow ins(%c : !cmd.buffer<tensor<?x256xf32>>) outs(%d : !cmd.buffer<tensor<?x64xf32>>) sources []
  // The result is the caller's memory: no place in the arena.
  // CHECK: [[E:%.*]] = cmd.alloc :
  // CHECK: cmd.return [[E]]
  %e = cmd.alloc : <tensor<?x64xf32>>
  cmd.dispatch @k ins(%d : !cmd.buffer<tensor<?x64xf32>>) outs(%e : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return %e : !cmd.buffer<tensor<?x64xf32>>
}
