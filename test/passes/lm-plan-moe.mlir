// RUN: llama4-opt %s --lm-plan-moe | FileCheck %s

lm.param @gate : tensor<4x48x64xbf16> from #lm.source<"gate">
lm.param @up : tensor<4x48x64xbf16> from #lm.source<"up">
lm.param @down : tensor<4x64x48xbf16> from #lm.source<"down">
// CHECK-LABEL: func.func @step
func.func @step(%x: tensor<?x64xf32>, %logits: tensor<?x4xf32>) -> tensor<?x64xf32> attributes {lm.entry = #lm.entry<"T", bound = 16>} {
  // CHECK: [[G:%.*]] = lm.load_param @gate
  %g = lm.load_param @gate : tensor<4x48x64xbf16>
  // CHECK: [[U:%.*]] = lm.load_param @up
  %u = lm.load_param @up : tensor<4x48x64xbf16>
  // CHECK: [[D:%.*]] = lm.load_param @down
  %d = lm.load_param @down : tensor<4x64x48xbf16>
  // CHECK: %rows, %scores, %places, %tiles = lm.group_by_expert %arg1 top 2 tile 64
  // CHECK-NOT: lm.route
  %ids, %scores = lm.route %logits top 2 : tensor<?x4xf32> -> tensor<?x2xi32>, tensor<?x2xf32>
  // The score scales what goes into an expert.
  // CHECK: [[IN:%.*]] = lm.row 64
  // CHECK-NEXT: [[S:%.*]] = lm.element %scores at #{{.*}} : tensor<?x2x1xf32>
  // CHECK-NEXT: [[X:%.*]] = lm.element %arg0 rows %rows : tensor<?x2x1xi32> : tensor<?x64xf32>
  // CHECK-NEXT: arith.mulf [[X]], [[S]]
  // CHECK: -> tensor<?x2x64xf32>
  // CHECK: [[GATE:%.*]] = lm.linear [[IN]], [[G]] by %tiles {{.*}} -> tensor<?x2x48xf32>
  // CHECK: [[UP:%.*]] = lm.linear [[IN]], [[U]] by %tiles {{.*}} -> tensor<?x2x48xf32>
  // CHECK: [[SILU:%.*]] = lm.silu [[GATE]] : tensor<?x2x48xf32>
  // CHECK: [[A:%.*]] = lm.mul [[SILU]], [[UP]] : tensor<?x2x48xf32>
  // CHECK: [[OUT:%.*]] = lm.linear [[A]], [[D]] by %tiles {{.*}} -> tensor<?x2x64xf32>
  // Every token's slots, in the order of its choices.
  // CHECK: [[Y:%.*]] = lm.row 64
  // CHECK-NEXT: [[FIRST:%.*]] = lm.element [[OUT]] rows %places slot 0
  // CHECK-NEXT: [[SECOND:%.*]] = lm.element [[OUT]] rows %places slot 1
  // CHECK-NEXT: arith.addf [[FIRST]], [[SECOND]]
  // CHECK-NOT: lm.experts
  // CHECK: return [[Y]]
  %y = lm.experts %x, %ids, %scores, %g, %u, %d : tensor<?x64xf32>, tensor<?x2xi32>, tensor<?x2xf32>, tensor<4x48x64xbf16>, tensor<4x64x48xbf16>
  return %y : tensor<?x64xf32>
}
