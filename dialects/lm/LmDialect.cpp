//===- LmDialect.cpp - registration, entry attributes, helpers ------------===//

#include "dialects/lm/Lm.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/Interfaces/FoldInterfaces.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

#include "dialects/lm/LmDialect.cpp.inc"
#include "dialects/lm/LmEnums.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/lm/LmTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/lm/LmAttrs.cpp.inc"

namespace {
/// Constants stay inside the regions of row work: a region is all that a kernel gets.
struct KeepConstantsInRegions : DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;
  bool shouldMaterializeInto(Region *) const final { return true; }
};
} // namespace

void LmDialect::initialize() {
  addInterfaces<KeepConstantsInRegions>();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/lm/LmTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/lm/LmAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/lm/LmOps.cpp.inc"
      >();
}

LogicalResult LmDialect::verifyOperationAttribute(Operation *op, NamedAttribute attr) {
  if (attr.getName() == entryAttrName) {
    auto entry = dyn_cast<EntryAttr>(attr.getValue());
    if (!entry || !isa<func::FuncOp>(op))
      return op->emitError("'lm.entry' must be an #lm.entry attribute on a function");
    if (entry.getBound() < 1 || entry.getBound() > (1 << 24))
      return op->emitError("the entry's bound is ")
             << entry.getBound() << ", expected 1 to " << (1 << 24);
    return success();
  }
  if (attr.getName() == modelAttrName || attr.getName() == optionsAttrName) {
    if (!isa<ModuleOp>(op) || !isa<DictionaryAttr>(attr.getValue()))
      return op->emitError("'") << attr.getName().getValue()
                                << "' must be a dictionary on the module";
    return success();
  }
  return op->emitError("unknown attribute '") << attr.getName().getValue() << "' of the lm dialect";
}

LogicalResult LmDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned arg,
                                                  NamedAttribute attr) {
  if (attr.getName() == argNameAttrName || attr.getName() == argRoleAttrName) {
    if (!isa<StringAttr>(attr.getValue()))
      return op->emitError("'") << attr.getName().getValue() << "' of argument " << arg
                                << " must be a string";
    return success();
  }
  if (attr.getName() == argRopeAttrName) {
    auto symbol = dyn_cast<FlatSymbolRefAttr>(attr.getValue());
    if (!symbol || !SymbolTable::lookupNearestSymbolFrom<RopeTableOp>(op, symbol))
      return op->emitError("'lm.rope' of argument ") << arg << " must name an lm.rope_table";
    return success();
  }
  return op->emitError("unknown argument attribute '")
         << attr.getName().getValue() << "' of the lm dialect";
}

EntryAttr lm::getEntry(func::FuncOp func) { return func->getAttrOfType<EntryAttr>(entryAttrName); }

int64_t lm::getColumns(RankedTensorType type) {
  return type.getRank() >= 2 || !type.isDynamicDim(0) ? type.getShape().back() : 1;
}

bool lm::isIdentityEpilogue(Region &region) {
  Block &block = region.front();
  auto yield = dyn_cast<YieldOp>(block.front());
  return yield && llvm::equal(yield.getValues(), block.getArguments());
}

void lm::buildIdentityEpilogue(OpBuilder &builder, Location loc, Region &region,
                               unsigned arguments) {
  OpBuilder::InsertionGuard guard(builder);
  Block *block = builder.createBlock(&region);
  for (unsigned i = 0; i < arguments; ++i)
    block->addArgument(builder.getF32Type(), loc);
  YieldOp::create(builder, loc, block->getArguments());
}
