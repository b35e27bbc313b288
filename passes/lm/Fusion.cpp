//===- Fusion.cpp - what the fusions of row work share --------------------===//

#include "passes/lm/Fusion.h"

#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

Location lm::nameSources(Location loc, StringRef op) {
  MLIRContext *context = loc.getContext();
  if (auto name = dyn_cast<NameLoc>(loc))
    return NameLoc::get(StringAttr::get(context, op + " " + name.getName().getValue()),
                        name.getChildLoc());
  auto fused = dyn_cast<FusedLoc>(loc);
  if (!fused)
    return NameLoc::get(StringAttr::get(context, op), loc);
  SmallVector<Location> parts;
  for (Location part : fused.getLocations())
    parts.push_back(nameSources(part, op));
  return FusedLoc::get(parts, fused.getMetadata(), context);
}

static void collectSources(Location loc, llvm::SmallSetVector<StringAttr, 8> &sources) {
  if (auto name = dyn_cast<NameLoc>(loc)) {
    sources.insert(name.getName());
    return;
  }
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      collectSources(part, sources);
}

SmallVector<StringAttr> lm::getSources(Location loc) {
  llvm::SmallSetVector<StringAttr, 8> sources;
  collectSources(loc, sources);
  return SmallVector<StringAttr>(sources.begin(), sources.end());
}

void lm::noteUnfused(Operation *op, StringRef pass, const Twine &reason) {
  SmallVector<Attribute> reasons;
  if (auto found = op->getAttrOfType<ArrayAttr>(unfusedAttrName))
    llvm::append_range(reasons, found);
  Attribute added = StringAttr::get(op->getContext(), pass + ": " + reason);
  if (!llvm::is_contained(reasons, added))
    reasons.push_back(added);
  op->setAttr(unfusedAttrName, ArrayAttr::get(op->getContext(), reasons));
}

void lm::keepReasons(Operation *from, Operation *to) {
  if (Attribute reasons = from->getAttr(unfusedAttrName))
    to->setAttr(unfusedAttrName, reasons);
}

std::string lm::nameInReasons(Operation *op) {
  SmallVector<StringAttr> sources = getSources(op->getLoc());
  return sources.empty() ? op->getName().getStringRef().str() : sources.back().str();
}

bool lm::readsElementwise(RowOp row, Value tensor) {
  bool elementwise = true;
  row.walk([&](ElementOp element) {
    if (element.getSource() == tensor)
      elementwise &= !element.getRows() && !element.getColumn();
    elementwise &= element.getRows() != tensor;
  });
  return elementwise;
}

bool lm::readsResultOf(RowOp row, Operation *producer) {
  return llvm::any_of(producer->getUsers(),
                      [&](Operation *user) { return user->getParentOp() == row; });
}

SmallVector<Value> lm::inlineBody(OpBuilder &builder, Block &block, IRMapping &mapping,
                                  const KnownElements &known) {
  for (Operation &op : block.without_terminator()) {
    auto element = dyn_cast<ElementOp>(op);
    auto it = element ? known.find(element.getSource()) : known.end();
    if (it != known.end())
      mapping.map(element.getResult(), it->second);
    else
      builder.clone(op, mapping);
  }
  SmallVector<Value> yields;
  for (Value value : block.getTerminator()->getOperands())
    yields.push_back(mapping.lookupOrDefault(value));
  return yields;
}

/// The op in `block` that is `op` or holds it.
static Operation *ancestorIn(Block *block, Operation *op) {
  return block->findAncestorOpInBlock(*op);
}

bool lm::isFirstUser(Operation *producer, Operation *consumer) {
  for (Operation *user : producer->getUsers()) {
    Operation *other = ancestorIn(producer->getBlock(), user);
    if (other != consumer && other->isBeforeInBlock(consumer))
      return false;
  }
  return true;
}

bool lm::hoistOperandsBefore(Operation *op, Operation *place) {
  SetVector<Value> needed(op->operand_begin(), op->operand_end());
  getUsedValuesDefinedAbove(op->getRegions(), needed);
  SmallVector<Operation *> late;
  for (Value value : needed) {
    Operation *def = value.getDefiningOp();
    if (!def || def == place || def->isBeforeInBlock(place))
      continue;
    // Only constants of the entry move: they depend on arguments alone.
    if (!isa<LoadParamOp, KvLayerOp>(def))
      return false;
    late.push_back(def);
  }
  for (Operation *def : late)
    def->moveBefore(place);
  return true;
}
