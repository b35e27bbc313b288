// RUN: llama4-opt %s --cmd-verify --split-input-file --verify-diagnostics

// Mistakes in what the tiles of a dispatch share.

// ===== The kernel has what its op needs =====
// expected-error @+1 {{has no workspace, but needs the workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>]}}
cmd.kernel @split grid affine_map<(T) -> (T * 16)> scratch 0 {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has the workspace [tensor<?x768xf32>], but needs the workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>]}}
cmd.kernel @split grid affine_map<(T) -> (T * 16)> workspace [tensor<?x768xf32>] scratch 0 {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has the workspace [tensor<?x64xf32>], but needs no workspace}}
cmd.kernel @row grid affine_map<(T) -> (T)> workspace [tensor<?x64xf32>] scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// expected-error @+1 {{has the workspace 'i32', expected tensors}}
cmd.kernel @row grid affine_map<(T) -> (T)> workspace [i32] scratch 0 {
^bb0(%x: tensor<?x64xf32>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}

// -----
// ===== A dispatch has buffers for it =====
cmd.kernel @split grid affine_map<(T) -> (T * 16)> workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>] {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 4> arguments [{}, {}, {}] {
^bb0(%q: !cmd.buffer<tensor<?x64xf32>>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %l = lm.kv_layer %kv[0] : !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16> -> !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>
  %o = cmd.alloc : <tensor<?x64xf32>>
  %p = cmd.alloc at 512 : <tensor<?x768xf32>>
  %c = cmd.alloc at 0 : <tensor<?x32xi32, #target.zero>>
  // expected-error @+1 {{has 0 workspaces, but the kernel has 2}}
  cmd.dispatch @split ins(%q, %l, %b : !cmd.buffer<tensor<?x64xf32>>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, !lm.batch) outs(%o : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return %o : !cmd.buffer<tensor<?x64xf32>>
}

// -----
cmd.kernel @split grid affine_map<(T) -> (T * 16)> workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>] {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 4> arguments [{}, {}, {}] {
^bb0(%q: !cmd.buffer<tensor<?x64xf32>>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %l = lm.kv_layer %kv[0] : !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16> -> !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>
  %o = cmd.alloc : <tensor<?x64xf32>>
  %p = cmd.alloc at 512 : <tensor<?x768xf32>>
  %c = cmd.alloc at 0 : <tensor<?x32xi32, #target.zero>>
  // expected-error @+1 {{workspace 0 is '!cmd.buffer<tensor<?x32xi32, #target.zero>>', but the kernel's is 'tensor<?x768xf32>'}}
  cmd.dispatch @split ins(%q, %l, %b : !cmd.buffer<tensor<?x64xf32>>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, !lm.batch) outs(%o : !cmd.buffer<tensor<?x64xf32>>) workspace(%c, %p : !cmd.buffer<tensor<?x32xi32, #target.zero>>, !cmd.buffer<tensor<?x768xf32>>) sources []
  cmd.return %o : !cmd.buffer<tensor<?x64xf32>>
}

// -----
cmd.kernel @split grid affine_map<(T) -> (T * 16)> workspace [tensor<?x768xf32>, tensor<?x768xf32>] {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 4> arguments [{}, {}, {}] {
^bb0(%q: !cmd.buffer<tensor<?x64xf32>>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %l = lm.kv_layer %kv[0] : !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16> -> !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>
  %o = cmd.alloc : <tensor<?x64xf32>>
  %p = cmd.alloc at 512 : <tensor<?x768xf32>>
  // expected-error @+1 {{has a workspace that is no cmd.alloc or is named elsewhere}}
  cmd.dispatch @split ins(%q, %l, %b : !cmd.buffer<tensor<?x64xf32>>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, !lm.batch) outs(%o : !cmd.buffer<tensor<?x64xf32>>) workspace(%p, %p : !cmd.buffer<tensor<?x768xf32>>, !cmd.buffer<tensor<?x768xf32>>) sources []
  cmd.return %o : !cmd.buffer<tensor<?x64xf32>>
}

// -----
// ===== Nothing else is written to what stays zero =====
cmd.kernel @split grid affine_map<(T) -> (T * 16)> workspace [tensor<?x768xf32>, tensor<?x32xi32, #target.zero>] {
^bb0(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  %0 = lm.attention %q, %kv, %b mask causal scale 0.25 core <"l4_split_attention_bfloat16", tokens = 1> : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, bf16> -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.kernel @row grid affine_map<(T) -> (T)> {
^bb0(%x: tensor<?x64xf32, #target.zero>):
  %0 = lm.row 64 {
    %a = lm.element %x : tensor<?x64xf32, #target.zero>
    %b = arith.negf %a : f32
    lm.yield %b : f32
  } -> tensor<?x64xf32>
  cmd.yield %0 : tensor<?x64xf32>
}
cmd.entry @main <"T", bound = 4> arguments [] {
  %a = cmd.alloc : <tensor<?x64xf32, #target.zero>>
  %o = cmd.alloc : <tensor<?x64xf32>>
  // expected-error @+1 {{expected such memory as workspace alone}}
  cmd.dispatch @row ins(%a : !cmd.buffer<tensor<?x64xf32, #target.zero>>) outs(%o : !cmd.buffer<tensor<?x64xf32>>) sources []
  cmd.return %o : !cmd.buffer<tensor<?x64xf32>>
}

// -----
// ===== What stays zero lies at the beginning, all else behind it =====
cmd.entry @main <"T", bound = 4> arguments [{}, {}, {}] arena 16384 {
^bb0(%q: !cmd.buffer<tensor<?x64xf32>>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  // expected-error @+1 {{lies at 64, expected 0, where memory stays zero}}
  %c = cmd.alloc at 64 : <tensor<?x32xi32, #target.zero>>
  cmd.return
}

// -----
cmd.entry @main <"T", bound = 4> arguments [{}, {}, {}] arena 16384 {
^bb0(%q: !cmd.buffer<tensor<?x64xf32>>, %kv: !lm.kv<"full", kind = 0, layers = 1, heads = 2, dim = 16, bf16>, %b: !lm.batch):
  // expected-error @+1 {{lies at 448, expected a place behind the 512 bytes that stay zero}}
  %p = cmd.alloc at 448 : <tensor<?x768xf32>>
  %c = cmd.alloc at 0 : <tensor<?x32xi32, #target.zero>>
  cmd.return
}
