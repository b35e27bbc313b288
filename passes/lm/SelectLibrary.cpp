//===- SelectLibrary.cpp - linears that a library computes ----------------===//

#include "passes/Passes.h"
#include "passes/kernel/Units.h"
#include "runtime/format/LibraryCall.h"

#include "mlir/IR/Builders.h"

namespace llama4 {
#define GEN_PASS_DEF_LMSELECTLIBRARY
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct LmSelectLibraryPass : llama4::impl::LmSelectLibraryBase<LmSelectLibraryPass> {
  void runOnOperation() override {
    auto options = getOperation()->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
    auto name = options ? options.getAs<StringAttr>("library") : StringAttr();
    if (!name || name == "none")
      return;
    if (name != oneDnnLibrary) {
      getOperation()->emitError() << "library is '" << name.getValue()
                                  << "', expected none or onednn";
      return signalPassFailure();
    }
    getOperation()->walk([&](lm::LinearOp linear) {
      if (!kernel::whyNoLibrary(linear).empty())
        return;
      linear->setAttr(kernel::libraryAttrName, name);
      ++numLibrary;
    });
  }
};

} // namespace
