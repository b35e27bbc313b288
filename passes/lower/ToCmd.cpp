//===- ToCmd.cpp - entries become lists of commands on buffers ------------===//

#include "passes/Passes.h"
#include "passes/lm/Fusion.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"

namespace llama4 {
#define GEN_PASS_DEF_LOWERTOCMD
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

Type getBufferType(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  return tensor ? cmd::BufferType::get(type.getContext(), tensor) : type;
}

/// Name, role and RoPE table of every input; inputs without a name are called by their index.
ArrayAttr getArguments(func::FuncOp func) {
  Builder builder(func.getContext());
  SmallVector<Attribute> arguments;
  for (unsigned i = 0; i < func.getNumArguments(); ++i) {
    NamedAttrList attrs;
    auto name = func.getArgAttrOfType<StringAttr>(i, lm::argNameAttrName);
    attrs.set("name", name ? name : builder.getStringAttr("arg" + Twine(i)));
    if (auto role = func.getArgAttr(i, lm::argRoleAttrName))
      attrs.set("role", role);
    if (auto table = func.getArgAttr(i, lm::argTemperatureAttrName))
      attrs.set("temperature", table);
    if (auto rope = func.getArgAttr(i, lm::argRopeAttrName))
      attrs.set("rope", rope);
    arguments.push_back(attrs.getDictionary(func.getContext()));
  }
  return builder.getArrayAttr(arguments);
}

/// Translates the body of one entry, op by op.
class EntryLowering {
public:
  explicit EntryLowering(func::FuncOp func) : func_(func), builder_(func) {}

  LogicalResult run() {
    auto entry =
        cmd::EntryOp::create(builder_, func_.getLoc(), func_.getName(), lm::getEntry(func_),
                             getArguments(func_), ArrayAttr(), IntegerAttr());
    Block *block = builder_.createBlock(&entry.getBody());
    for (BlockArgument argument : func_.getArguments())
      mapping_.map(argument,
                   block->addArgument(getBufferType(argument.getType()), argument.getLoc()));
    for (Operation &op : func_.getBody().front())
      if (failed(lower(op)))
        return failure();
    return success();
  }

private:
  LogicalResult lower(Operation &op) {
    if (auto load = dyn_cast<lm::LoadParamOp>(op)) {
      auto weight = cmd::WeightOp::create(builder_, load.getLoc(), getBufferType(load.getType()),
                                          load.getParamAttr());
      mapping_.map(load.getResult(), weight.getResult());
      return success();
    }
    if (isa<lm::KvLayerOp>(op)) {
      builder_.clone(op, mapping_);
      return success();
    }
    if (auto call = dyn_cast<cmd::CallOp>(op)) {
      lowerCall(call);
      return success();
    }
    if (auto ret = dyn_cast<func::ReturnOp>(op))
      return lowerReturn(ret);
    return op.emitOpError("is no call of a kernel; run lower-outline-kernels first");
  }

  void lowerCall(cmd::CallOp call) {
    SmallVector<Value> outs;
    for (Value output : call.getOutputs()) {
      auto alloc = cmd::AllocOp::create(builder_, call.getLoc(),
                                        cast<cmd::BufferType>(getBufferType(output.getType())),
                                        IntegerAttr());
      outs.push_back(alloc);
      mapping_.map(output, alloc.getResult());
    }
    SmallVector<Value> ins;
    for (Value operand : call.getOperands())
      ins.push_back(mapping_.lookup(operand));
    auto kernel = SymbolTable::lookupNearestSymbolFrom<cmd::KernelOp>(func_, call.getKernelAttr());
    SmallVector<Value> workspace;
    for (Type type : kernel.getWorkspaceTypes())
      workspace.push_back(cmd::AllocOp::create(
          builder_, call.getLoc(), cast<cmd::BufferType>(getBufferType(type)), IntegerAttr()));
    auto dispatch = cmd::DispatchOp::create(builder_, call.getLoc(), call.getKernelAttr(), ins,
                                            outs, workspace, call.getSourcesAttr());
    lm::keepReasons(call, dispatch);
  }

  LogicalResult lowerReturn(func::ReturnOp ret) {
    SmallVector<Value> buffers;
    for (Value value : ret.getOperands()) {
      Value buffer = mapping_.lookup(value);
      if (!buffer.getDefiningOp<cmd::AllocOp>() || llvm::is_contained(buffers, buffer))
        return ret.emitOpError("returns an input, a weight or one value twice; every result must "
                               "be computed by the entry");
      buffers.push_back(buffer);
    }
    cmd::ReturnOp::create(builder_, ret.getLoc(), buffers);
    return success();
  }

  func::FuncOp func_;
  OpBuilder builder_;
  IRMapping mapping_;
};

struct LowerToCmdPass : llama4::impl::LowerToCmdBase<LowerToCmdPass> {
  void runOnOperation() override {
    for (auto func : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!lm::getEntry(func))
        continue;
      if (failed(EntryLowering(func).run()))
        return signalPassFailure();
      func.erase();
    }
  }
};

} // namespace
