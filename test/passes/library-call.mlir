// A library call is a kernel without code: its op names the library, its tiles are the calls of a
// unit (one for each weight up to 256 rows), it has no scratch.
// RUN: llama4-opt %s --lm-pipeline --lower-pipeline | FileCheck %s
// RUN: llama4-opt %s --lm-pipeline --lower-pipeline --plan-pipeline | FileCheck %s --check-prefix=PLAN

// CHECK: [[GRID:#map[0-9]*]] = affine_map<(d0) -> (d0 * 3)>
// CHECK: cmd.kernel @main_linear grid [[GRID]] {
// CHECK: lm.linear {{.*}} {lm.library = "onednn"} : tensor<?x17x64xf32>, tensor<576x64xf32, #target.layout<"panels", 16>>, tensor<32x64xf32, #target.layout<"panels", 16>>, tensor<64x64xf32, #target.layout<"panels", 16>>
// CHECK: cmd.dispatch @main_linear ins
// CHECK-SAME: lm.unfused = [{{.*}}"lm-fuse-epilogue: not with {{.*}}: a library computes the contraction"
// PLAN: cmd.kernel @main_linear grid #map{{[0-9]*}} scratch 0 {
module attributes {lm.options = {compute = "float32", library = "onednn"}} {
  lm.param @a : tensor<576x64xf32> from #lm.source<"a">
  lm.param @b : tensor<32x64xf32> from #lm.source<"b">
  lm.param @c : tensor<64x64xf32> from #lm.source<"c">
  lm.param @bias : tensor<576xf32> from #lm.source<"bias">
  func.func @main(%x: tensor<?x17x64xf32>) -> (tensor<?x17x576xf32>, tensor<?x17x32xf32>, tensor<?x17x64xf32>) attributes {lm.entry = #lm.entry<"N", bound = 8>} {
    %a = lm.load_param @a : tensor<576x64xf32>
    %b = lm.load_param @b : tensor<32x64xf32>
    %c = lm.load_param @c : tensor<64x64xf32>
    %v = lm.load_param @bias : tensor<576xf32>
    %0, %1, %2 = lm.linear %x, %a, %b, %c : tensor<?x17x64xf32>, tensor<576x64xf32>, tensor<32x64xf32>, tensor<64x64xf32> -> tensor<?x17x576xf32>, tensor<?x17x32xf32>, tensor<?x17x64xf32>
    %3 = lm.bias %0, %v : tensor<?x17x576xf32>, tensor<576xf32>
    return %3, %1, %2 : tensor<?x17x576xf32>, tensor<?x17x32xf32>, tensor<?x17x64xf32>
  }
}
