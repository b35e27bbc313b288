//===- Cmd.cpp - the command dialect --------------------------------------===//

#include "dialects/cmd/Cmd.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::cmd;

#include "dialects/cmd/CmdDialect.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/cmd/CmdTypes.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/cmd/CmdOps.cpp.inc"

void CmdDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/cmd/CmdTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/cmd/CmdOps.cpp.inc"
      >();
}

LogicalResult BufferType::verify(function_ref<InFlightDiagnostic()> emitError,
                                 RankedTensorType tensor) {
  bool fits = tensor.getRank() >= 1 && tensor.getRank() <= 3;
  for (auto [index, extent] : llvm::enumerate(tensor.getShape()))
    fits &= extent > 0 || (index == 0 && ShapedType::isDynamic(extent));
  if (!fits)
    return emitError() << "a buffer of " << tensor
                       << ", expected rows over the symbol or a fixed number of them";
  return success();
}

bool cmd::isBinding(Type type) { return !isa<lm::BatchType>(type); }

static bool isContraction(Operation &op) {
  return isa<lm::LinearOp, lm::AttentionOp, lm::UnitAttentionOp, lm::CrossAttentionOp>(op);
}

Operation *KernelOp::getFusedOp() {
  for (Operation &op : getBody().front())
    if (lm::isKernelWork(&op))
      return &op;
  return nullptr;
}

SmallVector<Type> KernelOp::getWorkspaceTypes() {
  SmallVector<Type> types;
  if (ArrayAttr workspace = getWorkspaceAttr())
    llvm::append_range(types, workspace.getAsValueRange<TypeAttr>());
  return types;
}

bool cmd::isZero(Type type) {
  if (auto buffer = dyn_cast<BufferType>(type))
    type = buffer.getTensor();
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor && isa_and_nonnull<target::ZeroAttr>(tensor.getEncoding());
}

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield)
    return emitOpError("must end in cmd.yield");
  if (llvm::count_if(block, isContraction) > 1)
    return emitOpError("holds more than one contraction, expected at most one");
  Operation *fused = getFusedOp();
  if (!fused || fused->getNextNode() != yield || fused != &block.front())
    return emitOpError("must hold exactly one lm.embed, lm.row, lm.linear, attention, "
                       "lm.group_by_expert or order of rows");
  if (!llvm::equal(yield.getValues(), fused->getResults()))
    return emitOpError("must yield the results of its op in order");
  for (Type type : block.getArgumentTypes())
    if (!isa<RankedTensorType, lm::KvLayerType, lm::BatchType>(type))
      return emitOpError("reads ") << type << ", expected a tensor, a layer of state or the batch";
  for (Type type : getWorkspaceTypes())
    if (!isa<RankedTensorType>(type))
      return emitOpError("has the workspace ") << type << ", expected tensors";
  if (getGrid().getNumDims() != 1 || getGrid().getNumResults() != 1 || getGrid().getNumSymbols())
    return emitOpError("grid must map the entry's symbol to one number of tiles");
  return success();
}

LogicalResult EntryOp::verify() {
  Block &block = getBody().front();
  if (!isa<ReturnOp>(block.getTerminator()))
    return emitOpError("must end in cmd.return");
  if (getArguments().size() != block.getNumArguments())
    return emitOpError("has ") << block.getNumArguments() << " inputs and names for "
                               << getArguments().size();
  for (Type type : block.getArgumentTypes())
    if (!isa<BufferType, lm::BatchType, lm::KvType>(type))
      return emitOpError("input is ") << type << ", expected a buffer, the batch or paged state";
  if (int64_t bound = getEntry().getBound(); bound < 1 || bound > lm::maxEntryBound)
    return emitOpError("has the bound ") << bound << ", expected 1 to " << lm::maxEntryBound;
  for (Operation &op : block)
    if (!isa<AllocOp, WeightOp, DispatchOp, ReturnOp, lm::KvLayerOp>(op))
      return op.emitOpError("is no command, expected allocs, weights, layers of state, dispatches "
                            "and a return");
  llvm::SmallDenseSet<Value> results;
  for (Value result : block.getTerminator()->getOperands())
    if (!result.getDefiningOp<AllocOp>() || !results.insert(result).second)
      return block.getTerminator()->emitOpError(
          "returns an input, a weight or one buffer twice, expected a cmd.alloc for every result");
  return success();
}

LogicalResult DispatchOp::verify() {
  llvm::SmallDenseSet<Value> taken(getIns().begin(), getIns().end());
  for (Value out : getOuts())
    if (!out.getDefiningOp<AllocOp>() || !taken.insert(out).second)
      return emitOpError("writes an input, a weight or a buffer that it also names elsewhere, "
                         "expected a cmd.alloc of its own for every output");
  for (Value buffer : getWorkspace())
    if (!buffer.getDefiningOp<AllocOp>() || !buffer.hasOneUse())
      return emitOpError("has a workspace that is no cmd.alloc or is named elsewhere, expected one "
                         "of its own");
  for (Value value : llvm::concat<Value>(llvm::to_vector(getIns()), llvm::to_vector(getOuts())))
    if (isZero(value.getType()))
      return emitOpError("reads or writes ")
             << value.getType() << ", expected such memory as workspace alone";
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto param = symbols.lookupNearestSymbolFrom<lm::ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError("found no parameter ") << getParamAttr() << " in the module";
  if (param.getTensorType() != getType().getTensor())
    return emitOpError("type is ") << getType() << ", but the parameter is " << param.getType();
  return success();
}

/// Checks what an op passes to a kernel and gets from it, and its workspace where the op has a list
/// of that; a buffer counts as its tensor.
static LogicalResult verifyKernelUse(Operation *op, FlatSymbolRefAttr symbol, TypeRange inputs,
                                     TypeRange outputs, SymbolTableCollection &symbols,
                                     const TypeRange *workspace = nullptr) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelOp>(op, symbol);
  if (!kernel)
    return op->emitOpError("found no kernel ") << symbol << " in the module";
  auto verifyList = [&](StringRef what, TypeRange found, TypeRange expected) -> LogicalResult {
    if (found.size() != expected.size())
      return op->emitOpError("has ")
             << found.size() << " " << what << "s, but the kernel has " << expected.size();
    for (auto [index, type, kernelType] : llvm::enumerate(found, expected)) {
      auto buffer = dyn_cast<BufferType>(type);
      if ((buffer ? Type(buffer.getTensor()) : type) != kernelType)
        return op->emitOpError(what)
               << " " << index << " is " << type << ", but the kernel's is " << kernelType;
    }
    return success();
  };
  Block &body = kernel.getBody().front();
  if (failed(verifyList("input", inputs, body.getArgumentTypes())))
    return failure();
  if (workspace && failed(verifyList("workspace", *workspace, kernel.getWorkspaceTypes())))
    return failure();
  return verifyList("output", outputs, body.getTerminator()->getOperandTypes());
}

LogicalResult CallOp::verifySymbolUses(SymbolTableCollection &symbols) {
  return verifyKernelUse(*this, getKernelAttr(), getOperandTypes(), getResultTypes(), symbols);
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  TypeRange workspace = getWorkspace().getTypes();
  return verifyKernelUse(*this, getKernelAttr(), getIns().getTypes(), getOuts().getTypes(), symbols,
                         &workspace);
}
