//===- EmitKernel.cpp - one cmd.kernel as one function --------------------===//
//
// The frame of every kernel: load the bindings, loop over the tiles. A tile of row work or of the
// embedding is one row.
//
//===----------------------------------------------------------------------===//

#include "passes/kernel/EmitKernel.h"

#include "compiler/microkernels/Microkernels.h"
#include "passes/Formats.h"
#include "passes/kernel/StepAbi.h"
#include "passes/kernel/Units.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace llama4;
using namespace llama4::kernel;

void kernel::forEach(Ir &ir, Value end, function_ref<void(Value)> body) {
  auto loop = ir.make<scf::ForOp>(ir.index(0), end, ir.index(1));
  OpBuilder::InsertionGuard guard(ir.b);
  ir.b.setInsertionPointToStart(loop.getBody());
  body(loop.getInductionVar());
}

Value kernel::callCore(Ir &ir, StringRef symbol, ValueRange arguments, Type result) {
  auto module = ir.b.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  auto callee = module.lookupSymbol<LLVM::LLVMFuncOp>(symbol);
  if (!callee) {
    OpBuilder::InsertionGuard guard(ir.b);
    ir.b.setInsertionPointToStart(module.getBody());
    auto type =
        LLVM::LLVMFunctionType::get(result ? result : LLVM::LLVMVoidType::get(ir.b.getContext()),
                                    llvm::to_vector(arguments.getTypes()));
    callee = ir.make<LLVM::LLVMFuncOp>(symbol, type);
  }
  auto call = ir.make<LLVM::CallOp>(callee, arguments);
  return result ? call.getResult() : Value();
}

RowTile kernel::locateRows(Ir &ir, Value block, int64_t rows, target::CoreAttr core) {
  int64_t tiles = unitTiles(rows, core), tokens = core.getTokens();
  Value first = ir.mul(ir.rem(block, tiles), tokens);
  Value count = ir.min(ir.sub(ir.index(rows), first), ir.index(tokens));
  return {ir.div(block, tiles), first, count};
}

LogicalResult kernel::emitEmbedTile(KernelFrame &frame, lm::EmbedOp op, Value tile) {
  Ir &ir = frame.ir;
  auto table = cast<RankedTensorType>(op.getTable().getType());
  std::optional<microkernels::Encoding> encoding = getEncoding(table.getElementType());
  const microkernels::RowCore *core = encoding ? microkernels::findRow(*encoding) : nullptr;
  if (!core)
    return op.emitOpError("table is ") << table << ", but no micro-kernel decodes such rows";
  Value id = ir.loadInt32(ir.at(frame.bindings.lookup(op.getIds()), ir.mul(tile, 4)));
  int64_t rowBytes = storedRowBytes(cast<RankedTensorType>(op.getResult().getType()));
  Value out = ir.at(frame.bindings.lookup(op.getResult()), ir.mul(tile, rowBytes));
  callCore(ir, core->symbol,
           {out, frame.bindings.lookup(op.getTable()), id, ir.index(table.getDimSize(1))});
  return success();
}

LogicalResult kernel::emitRowTile(KernelFrame &frame, lm::RowOp op, Value tile) {
  int64_t width = op.getWidth();
  if (failed(checkRegion(op, op.getBody().front(), width)))
    return failure();
  RegionSite site;
  site.body = &op.getBody().front();
  site.results = op.getOutputs();
  site.width = width;
  site.row = tile;
  site.slots = frame.scratch;
  RegionEmitter(frame, site).emit();
  return success();
}

static LogicalResult emitTile(KernelFrame &frame, Operation *op, Value tile) {
  if (auto embed = dyn_cast<lm::EmbedOp>(op))
    return emitEmbedTile(frame, embed, tile);
  if (auto row = dyn_cast<lm::RowOp>(op))
    return emitRowTile(frame, row, tile);
  if (auto linear = dyn_cast<lm::LinearOp>(op))
    return emitLinearTile(frame, linear, tile);
  if (auto groups = dyn_cast<lm::GroupByExpertOp>(op))
    return emitGroupTile(frame, groups);
  if (auto attention = dyn_cast<lm::UnitAttentionOp>(op))
    return emitUnitAttentionTile(frame, attention, tile);
  if (auto attention = dyn_cast<lm::CrossAttentionOp>(op))
    return emitCrossAttentionTile(frame, attention, tile);
  if (lm::isRowMove(op))
    return emitMoveTile(frame, op, tile);
  return emitAttentionTile(frame, cast<lm::AttentionOp>(op), tile);
}

/// The function, with its entry block open at the end.
static LLVM::LLVMFuncOp createFunction(Ir &ir, StringRef name) {
  Type pointer = ir.pointerType(), i32 = ir.b.getI32Type();
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(ir.b.getContext()),
                                          {pointer, i32, i32, pointer});
  auto function = ir.make<LLVM::LLVMFuncOp>(name, type);
  for (unsigned argument : {0u, 3u})
    function.setArgAttr(argument, LLVM::LLVMDialect::getNoAliasAttrName(), ir.b.getUnitAttr());
  function.setArgAttr(3, LLVM::LLVMDialect::getAlignAttrName(), ir.b.getI64IntegerAttr(64));
  ir.b.setInsertionPointToStart(function.addEntryBlock(ir.b));
  return function;
}

/// Loads the base pointers: operands first, then results and workspace; the batch is the step
/// buffer.
static void loadFrame(KernelFrame &frame, cmd::KernelOp kernel, Value dispatch) {
  Ir &ir = frame.ir;
  frame.step = loadStep(ir, dispatch);
  frame.symbol = StepAbi(ir, frame.step).symbol();
  Value bindings = loadBindings(ir, dispatch);
  int64_t next = 0;
  auto load = [&] { return ir.load(ir.pointerType(), ir.at(bindings, 8 * next++)); };
  auto bind = [&](Value value) { frame.bindings[value] = load(); };
  Block &body = kernel.getBody().front();
  for (BlockArgument argument : body.getArguments())
    if (cmd::isBinding(argument.getType()))
      bind(argument);
  for (Value result : body.getTerminator()->getOperands())
    bind(result);
  for (size_t i = 0; i < kernel.getWorkspaceTypes().size(); ++i)
    frame.workspace.push_back(load());
}

/// The bound of the grid is one tile of rows for each row; a worker's share of it becomes its share
/// of the tiles that there are.
static void shareTiles(KernelFrame &frame, lm::LinearOp op, Value bound,
                       std::initializer_list<Value *> ends) {
  Ir &ir = frame.ir;
  Value count = loadGroupCount(ir, frame.bindings.lookup(op.getTiles()));
  Value real = ir.mul(count, linearUnits(op));
  for (Value *end : ends)
    *end = ir.fold<arith::DivUIOp>(ir.mul(*end, real), bound);
}

LogicalResult kernel::emitKernel(OpBuilder &builder, cmd::KernelOp kernel, int64_t &numGathers) {
  Operation *op = kernel.getFusedOp();
  if (failed(verifyShape(kernel)))
    return failure();
  if (kernel.getSymName().starts_with("l4_"))
    return kernel.emitOpError("has a name that is reserved for micro-kernels: l4_...");
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(kernel);
  Ir ir(builder, op->getLoc());
  std::string name = kernel.getSymName().str();
  LLVM::LLVMFuncOp function = createFunction(ir, name + ".code");
  KernelFrame frame(ir);
  frame.scratch = function.getArgument(3);
  loadFrame(frame, kernel, function.getArgument(0));
  Value begin = ir.make<arith::ExtUIOp>(builder.getI64Type(), function.getArgument(1));
  Value end = ir.make<arith::ExtUIOp>(builder.getI64Type(), function.getArgument(2));
  if (auto linear = dyn_cast<lm::LinearOp>(op); linear && linear.getTiles())
    shareTiles(frame, linear, loadTiles(ir, function.getArgument(0)), {&begin, &end});
  auto tiles = ir.make<scf::ForOp>(begin, end, ir.index(1));
  ir.make<LLVM::ReturnOp>(ValueRange());
  builder.setInsertionPointToStart(tiles.getBody());
  if (failed(emitTile(frame, op, tiles.getInductionVar())))
    return failure();
  numGathers += frame.numGathers;
  kernel.erase();
  function.setSymName(name);
  return success();
}
