//===- Target.cpp - device, layout and micro-kernel attributes ------------===//

#include "dialects/target/Target.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace llama4::target;

#include "dialects/target/TargetDialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/target/TargetAttrs.cpp.inc"

LogicalResult LayoutAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                                 llvm::StringRef kind, int64_t rows) {
  if ((kind == "panels" && rows == 16) || (kind == "row" && rows == 1))
    return success();
  return emitError() << "layout is '" << kind << "' of " << rows
                     << " rows, expected \"panels\", 16 or \"row\", 1";
}

LogicalResult CoreAttr::verify(llvm::function_ref<InFlightDiagnostic()> emitError,
                               llvm::StringRef symbol, int64_t tokens) {
  if (tokens >= 1 && tokens <= 1024)
    return success();
  return emitError() << "core '" << symbol << "' has tiles of " << tokens
                     << " tokens, expected 1 to 1024";
}

void TargetDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/target/TargetAttrs.cpp.inc"
      >();
}
