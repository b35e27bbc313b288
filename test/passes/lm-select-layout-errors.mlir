// RUN: llama4-opt %s --lm-select-layout --split-input-file --verify-diagnostics

// ===== No row of the table: rows in 8 bits times float32 weights =====
func.func @main(%q: tensor<?x64x!lm.block<q8_32>>, %w: tensor<64x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{no micro-kernel multiplies rows of '!lm.block<q8_32>' with 'tensor<64x64xf32>'}}
  %y = lm.linear %q, %w : tensor<?x64x!lm.block<q8_32>>, tensor<64x64xf32> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----
func.func @main(%q: tensor<?x64xf32>, %kv: !lm.kv_layer<kind = 0, heads = 2, dim = 16, f16>, %b: !lm.batch) -> tensor<?x64xf32> {
  // expected-error @+1 {{no micro-kernel reads keys of 'f16'}}
  %a = lm.attention %q, %kv, %b mask causal scale 0.25 : tensor<?x64xf32>, !lm.kv_layer<kind = 0, heads = 2, dim = 16, f16> -> tensor<?x64xf32>
  return %a : tensor<?x64xf32>
}

// -----
// ===== One parameter, read in panels and in rows =====
lm.param @w : tensor<64x64xf32> from #lm.source<"w">
func.func @main(%x: tensor<?x1x64xf32>) -> (tensor<?x1x64xf32>, tensor<?x64x64xf32>) {
  %w = lm.load_param @w : tensor<64x64xf32>
  %y = lm.linear %x, %w : tensor<?x1x64xf32>, tensor<64x64xf32> -> tensor<?x1x64xf32>
  %r = lm.row 64 {
    // expected-error @+1 {{linears and look-ups read matrices in panels, row work reads rows}}
    %i = lm.element %w : tensor<64x64xf32>
    lm.yield %i : f32
  } -> tensor<?x64x64xf32>
  return %y, %r : tensor<?x1x64xf32>, tensor<?x64x64xf32>
}

// -----
lm.param @w : tensor<4x64xbf16> from #lm.source<"w">
func.func @main() -> tensor<?x4x64xf32> {
  // expected-error @+1 {{is 'tensor<4x64xbf16>' read by row work, expected f32 rows; run lm-quantize}}
  %w = lm.load_param @w : tensor<4x64xbf16>
  %r = lm.row 64 {
    %i = lm.element %w : tensor<4x64xbf16>
    lm.yield %i : f32
  } -> tensor<?x4x64xf32>
  return %r : tensor<?x4x64xf32>
}

// -----
func.func @main(%q: tensor<?x128x!lm.block<q8_32>>, %w: tensor<64x128x!lm.block<int4_g128>>) -> tensor<?x64xf32> {
  // expected-error @+1 {{no micro-kernel multiplies rows of '!lm.block<q8_32>' with 'tensor<64x128x!lm.block<int4_g128>>'}}
  %y = lm.linear %q, %w : tensor<?x128x!lm.block<q8_32>>, tensor<64x128x!lm.block<int4_g128>> -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
