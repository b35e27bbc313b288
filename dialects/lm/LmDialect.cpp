//===- LmDialect.cpp - registration, entry attributes, helpers ------------===//

#include "dialects/lm/Lm.h"
#include "dialects/lm/Shape.h"

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

/// Checks the sizes of paged state.
static LogicalResult verifyHeads(function_ref<InFlightDiagnostic()> emitError, int64_t kind,
                                 int64_t heads, int64_t dim) {
  if (kind < 0 || heads < 1 || heads > (1 << 16) || dim < 1 || dim > (1 << 16))
    return emitError() << "paged state has kind " << kind << " with " << heads << " heads of "
                       << dim << ", expected a kind from 0 on and 1 to 65536 heads of that many";
  return success();
}

LogicalResult KvType::verify(function_ref<InFlightDiagnostic()> emitError, StringRef name,
                             int64_t kind, int64_t layers, int64_t heads, int64_t dim, Type,
                             int64_t chunk) {
  if (layers < 1 || chunk < 0)
    return emitError() << "paged state '" << name << "' has " << layers << " layers and chunks of "
                       << chunk << ", expected at least one layer and no negative chunk";
  return verifyHeads(emitError, kind, heads, dim);
}

LogicalResult KvLayerType::verify(function_ref<InFlightDiagnostic()> emitError, int64_t kind,
                                  int64_t heads, int64_t dim, Type) {
  return verifyHeads(emitError, kind, heads, dim);
}

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

/// Options that the passes and the program read have the type that they read; others are free.
static LogicalResult verifyOptions(Operation *op, DictionaryAttr options) {
  for (StringRef name : {"compute", "kv_type", "encoding"})
    if (Attribute value = options.get(name); value && !isa<StringAttr>(value))
      return op->emitError("'lm.options': ") << name << " is " << value << ", expected a string";
  for (StringRef name : {"max_length", "max_batch_size", "max_step_tokens"}) {
    Attribute value = options.get(name);
    auto number = dyn_cast_or_null<IntegerAttr>(value);
    bool fits = number && number.getType().isSignlessInteger(64) && number.getInt() >= 1;
    if (value && !fits)
      return op->emitError("'lm.options': ")
             << name << " is " << value << ", expected an i64 of at least 1";
  }
  return success();
}

LogicalResult LmDialect::verifyOperationAttribute(Operation *op, NamedAttribute attr) {
  if (attr.getName() == entryAttrName) {
    auto entry = dyn_cast<EntryAttr>(attr.getValue());
    if (!entry || !isa<func::FuncOp>(op))
      return op->emitError("'lm.entry' must be an #lm.entry attribute on a function");
    if (entry.getBound() < 1 || entry.getBound() > maxEntryBound)
      return op->emitError("the entry's bound is ")
             << entry.getBound() << ", expected 1 to " << maxEntryBound;
    if (!cast<func::FuncOp>(op).getBody().hasOneBlock())
      return op->emitError("an entry is straight-line code, expected a body of one block");
    return success();
  }
  if (attr.getName() == modelAttrName || attr.getName() == optionsAttrName) {
    if (!isa<ModuleOp>(op) || !isa<DictionaryAttr>(attr.getValue()))
      return op->emitError("'") << attr.getName().getValue()
                                << "' must be a dictionary on the module";
    if (attr.getName() == optionsAttrName)
      return verifyOptions(op, cast<DictionaryAttr>(attr.getValue()));
    return success();
  }
  if (attr.getName() == unfusedAttrName) {
    auto reasons = dyn_cast<ArrayAttr>(attr.getValue());
    if (!reasons ||
        !llvm::all_of(reasons, [](Attribute reason) { return isa<StringAttr>(reason); }))
      return op->emitError("'lm.unfused' must be a list of strings");
    return success();
  }
  if (attr.getName() == "lm.library") {
    auto library = dyn_cast<StringAttr>(attr.getValue());
    if (!isa<LinearOp>(op) || !library || library.getValue() != "onednn")
      return op->emitError("'lm.library' must be \"onednn\" on an lm.linear");
    return success();
  }
  return op->emitError("unknown attribute '") << attr.getName().getValue() << "' of the lm dialect";
}

/// An argument that a grid fills has a row for each of its places and one more.
static LogicalResult verifyGridArgument(Operation *op, unsigned arg, RopeGridOp grid) {
  auto func = dyn_cast<FunctionOpInterface>(op);
  if (!grid || !func || grid.getRows() > maxGridSide || grid.getColumns() > maxGridSide)
    return success(); // a grid that is too large is reported itself
  const auto places = static_cast<int64_t>(grid.getRows() * grid.getColumns());
  const auto columns = static_cast<int64_t>(2 * grid.getInvFreq().size());
  auto expected = RankedTensorType::get({places + 1, columns}, Float32Type::get(op->getContext()));
  if (func.getArgumentTypes()[arg] != expected)
    return op->emitError("argument ") << arg << " is " << func.getArgumentTypes()[arg]
                                      << ", but its lm.rope_grid fills " << expected;
  return success();
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
    Operation *table = symbol ? SymbolTable::lookupNearestSymbolFrom(op, symbol) : nullptr;
    if (!isa_and_nonnull<RopeTableOp, RopeGridOp>(table))
      return op->emitError("'lm.rope' of argument ")
             << arg << " must name an lm.rope_table or lm.rope_grid";
    return verifyGridArgument(op, arg, dyn_cast<RopeGridOp>(table));
  }
  if (attr.getName() == argTemperatureAttrName) {
    auto symbol = dyn_cast<FlatSymbolRefAttr>(attr.getValue());
    if (!symbol || !SymbolTable::lookupNearestSymbolFrom<TemperatureTableOp>(op, symbol))
      return op->emitError("'lm.temperature' of argument ")
             << arg << " must name an lm.temperature_table";
    return success();
  }
  return op->emitError("unknown argument attribute '")
         << attr.getName().getValue() << "' of the lm dialect";
}

LogicalResult SourceAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef name,
                                 int64_t unpermuteHeads, bool transpose, int64_t firstRow,
                                 bool perExpert, StringRef scale, int64_t bits,
                                 StringRef zeroPoint) {
  if (unpermuteHeads < 0 || firstRow < 0)
    return emitError() << "unpermute_heads is " << unpermuteHeads << " and first_row " << firstRow
                       << ", expected at least 0";
  if (bits != 0 && bits != 4 && bits != 8)
    return emitError() << "bits is " << bits << ", expected 4 or 8, or 0 for no packed integers";
  if (bits != 0 && (scale.empty() || transpose || firstRow != 0 || unpermuteHeads != 0))
    return emitError() << "packed integers need a scale and rows in order, found '" << name
                       << "' with scale '" << scale << "'";
  if (bits == 0 && !zeroPoint.empty())
    return emitError() << "zero_point is '" << zeroPoint << "' without bits of packed integers";
  if (!perExpert)
    return success();
  if (!zeroPoint.empty() && zeroPoint.count('*') != 1)
    return emitError() << "per_expert needs one '*' in zero_point, found '" << zeroPoint << "'";
  if (name.count('*') != 1 || (!scale.empty() && scale.count('*') != 1))
    return emitError() << "per_expert needs one '*' in the name of the tensor and of its scale, "
                          "found '"
                       << name << "' and '" << scale << "'";
  return success();
}

EntryAttr lm::getEntry(func::FuncOp func) { return func->getAttrOfType<EntryAttr>(entryAttrName); }

int64_t lm::getColumns(RankedTensorType type) {
  if (type.getRank() == 0)
    return 1;
  return type.getRank() >= 2 || !type.isDynamicDim(0) ? type.getShape().back() : 1;
}

int64_t lm::getRowsPerSymbol(RankedTensorType type) {
  return type.getRank() == 3 ? type.getDimSize(1) : 1;
}

int64_t lm::getRowSlots(Operation *op) {
  auto slotsOf = [](Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    return type.getRank() == 3 ? type.getDimSize(1) : 0;
  };
  if (auto linear = dyn_cast<LinearOp>(op))
    return slotsOf(linear.getInput());
  auto row = dyn_cast<RowOp>(op);
  return row && !row.getOutputs().empty() ? slotsOf(row.getOutputs().front()) : 0;
}

bool lm::isRowMove(Operation *op) {
  return isa<PatchesOp, InsertRowOp, FitRowsOp, SpreadRowsOp, ReshapeOp, ConcatOp, PixelShuffleOp,
             MergeRowsOp>(op);
}

bool lm::isKernelWork(Operation *op) {
  return isa<EmbedOp, RowOp, LinearOp, AttentionOp, GroupByExpertOp, UnitAttentionOp,
             CrossAttentionOp>(op) ||
         isRowMove(op);
}

int64_t lm::getMatrixRows(RankedTensorType type) { return type.getDimSize(type.getRank() - 2); }

static std::optional<shape::Element> getBlockElement(Type element) {
  auto block = dyn_cast<BlockType>(element);
  return block ? shape::parseElement(stringifyBlockFormat(block.getFormat())) : std::nullopt;
}

int64_t lm::getBlockColumns(Type element) {
  std::optional<shape::Element> block = getBlockElement(element);
  return block ? shape::blockColumns(*block) : 1;
}

bool lm::isActivationBlock(Type element) {
  std::optional<shape::Element> block = getBlockElement(element);
  return block && shape::isActivation(*block);
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
