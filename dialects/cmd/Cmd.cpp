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

bool cmd::isBinding(Type type) { return !isa<lm::BatchType>(type); }

static bool isContraction(Operation &op) { return isa<lm::LinearOp, lm::AttentionOp>(op); }

Operation *KernelOp::getFusedOp() {
  for (Operation &op : getBody().front())
    if (isa<lm::EmbedOp, lm::RowOp, lm::LinearOp, lm::AttentionOp>(op))
      return &op;
  return nullptr;
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
    return emitOpError("must hold exactly one lm.embed, lm.row, lm.linear or lm.attention");
  if (!llvm::equal(yield.getValues(), fused->getResults()))
    return emitOpError("must yield the results of its op in order");
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

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto kernel = symbols.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError("found no kernel ") << getKernelAttr() << " in the module";
  Block &body = kernel.getBody().front();
  if (body.getNumArguments() != getIns().size())
    return emitOpError("passes ") << getIns().size() << " inputs, but the kernel takes "
                                  << body.getNumArguments();
  auto matches = [](Type operand, Type expected) {
    auto buffer = dyn_cast<BufferType>(operand);
    return buffer ? buffer.getTensor() == expected : operand == expected;
  };
  for (auto [index, operand, argument] : llvm::enumerate(getIns(), body.getArguments()))
    if (!matches(operand.getType(), argument.getType()))
      return emitOpError("input ") << index << " is " << operand.getType()
                                   << ", but the kernel takes " << argument.getType();
  auto yielded = cast<YieldOp>(body.getTerminator()).getValues();
  if (yielded.size() != getOuts().size())
    return emitOpError("has ") << getOuts().size() << " outputs, but the kernel writes "
                               << yielded.size();
  for (auto [index, operand, value] : llvm::enumerate(getOuts(), yielded))
    if (!matches(operand.getType(), value.getType()))
      return emitOpError("output ") << index << " is " << operand.getType()
                                    << ", but the kernel writes " << value.getType();
  return success();
}
