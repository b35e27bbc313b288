// RUN: llama4-opt %s --lm-plan-moe --split-input-file --verify-diagnostics

// Only the experts that a router of this model chose can be grouped.
func.func @f(%x: tensor<?x64xf32>, %i: tensor<?x1xi32>, %s: tensor<?x1xf32>, %g: tensor<4x16x64xf32>, %d: tensor<4x64x16xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{takes ids and scores that are not those of one lm.route}}
  %0 = lm.experts %x, %i, %s, %g, %g, %d : tensor<?x64xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<4x16x64xf32>, tensor<4x64x16xf32>
  return %0 : tensor<?x64xf32>
}

// -----
// Scores of another route than the ids.
func.func @f(%x: tensor<?x64xf32>, %l: tensor<?x4xf32>, %m: tensor<?x4xf32>, %g: tensor<4x16x64xf32>, %d: tensor<4x64x16xf32>) -> tensor<?x64xf32> {
  %0:2 = lm.route %l top 1 : tensor<?x4xf32> -> tensor<?x1xi32>, tensor<?x1xf32>
  %1:2 = lm.route %m top 1 : tensor<?x4xf32> -> tensor<?x1xi32>, tensor<?x1xf32>
  // expected-error @+1 {{takes ids and scores that are not those of one lm.route}}
  %2 = lm.experts %x, %0#0, %1#1, %g, %g, %d : tensor<?x64xf32>, tensor<?x1xi32>, tensor<?x1xf32>, tensor<4x16x64xf32>, tensor<4x64x16xf32>
  return %2 : tensor<?x64xf32>
}
