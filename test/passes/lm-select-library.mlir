// RUN: llama4-opt %s --lm-select-library | FileCheck %s
// RUN: sed 's/library = "onednn"/library = "none"/' %s | llama4-opt --lm-select-library | FileCheck %s --check-prefix=NONE

// NONE-NOT: lm.library
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
    // CHECK: lm.linear %arg0, %{{.*}}, %{{.*}}, %{{.*}} {lm.library = "onednn"} :
    %0, %1, %2 = lm.linear %x, %a, %b, %c : tensor<?x17x64xf32>, tensor<576x64xf32>, tensor<32x64xf32>, tensor<64x64xf32> -> tensor<?x17x576xf32>, tensor<?x17x32xf32>, tensor<?x17x64xf32>
    %3 = lm.bias %0, %v : tensor<?x17x576xf32>, tensor<576xf32>
    return %3, %1, %2 : tensor<?x17x576xf32>, tensor<?x17x32xf32>, tensor<?x17x64xf32>
  }
  // CHECK-LABEL: func.func @pairs
  func.func @pairs(%x: tensor<?x17x64xbf16>, %w: tensor<32x64xbf16>) -> tensor<?x17x32xf32> {
    // CHECK: lm.linear {{.*}} {lm.library = "onednn"}
    %0 = lm.linear %x, %w : tensor<?x17x64xbf16>, tensor<32x64xbf16> -> tensor<?x17x32xf32>
    return %0 : tensor<?x17x32xf32>
  }
  // ===== What stays with our own cores =====
  // CHECK-LABEL: func.func @own
  // CHECK-NOT: lm.library
  func.func @own(%t: tensor<?x64xf32>, %x: tensor<?x17x64xf32>, %p: tensor<?x17x48xbf16>, %w: tensor<32x64xf32>, %h: tensor<32x64xbf16>, %q: tensor<32x48xbf16>, %n: tensor<40x64xf32>) {
    // Rows of a step; rows and weights of two types; pairs of columns that need padding; a panel that does.
    %0 = lm.linear %t, %w : tensor<?x64xf32>, tensor<32x64xf32> -> tensor<?x32xf32>
    %1 = lm.linear %x, %h : tensor<?x17x64xf32>, tensor<32x64xbf16> -> tensor<?x17x32xf32>
    %2 = lm.linear %p, %q : tensor<?x17x48xbf16>, tensor<32x48xbf16> -> tensor<?x17x32xf32>
    %3 = lm.linear %x, %n : tensor<?x17x64xf32>, tensor<40x64xf32> -> tensor<?x17x40xf32>
    return
  }
}
