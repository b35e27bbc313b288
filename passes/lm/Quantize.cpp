//===- Quantize.cpp - formats of weights and activations ------------------===//
//
// What is decided here and nowhere else: the element type of every parameter and which rows are
// rounded before a contraction. The packer and the code generator only read the types.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

namespace llama4 {
#define GEN_PASS_DEF_LMQUANTIZE
#include "passes/Passes.h.inc"
} // namespace llama4

using namespace mlir;
using namespace llama4;

namespace {

struct LmQuantizePass : llama4::impl::LmQuantizeBase<LmQuantizePass> {
  void runOnOperation() override;

private:
  LogicalResult encodeParams(DictionaryAttr options);
  void quantizeInputs();
  void findRouters();

  /// Linears whose results choose experts, and their parameters: both stay as they are.
  llvm::SmallPtrSet<Operation *, 8> routers_;
  llvm::StringSet<> routerParams_;
};

/// A string option of the module, or `otherwise` when the module does not have it.
StringRef getOption(DictionaryAttr options, StringRef name, StringRef otherwise) {
  auto value = options ? options.getAs<StringAttr>(name) : StringAttr();
  return value ? value.getValue() : otherwise;
}

/// The element type that an encoding's name stands for; null for a name nobody knows.
Type parseEncoding(StringRef name, MLIRContext *context) {
  return llvm::StringSwitch<Type>(name)
      .Case("float32", Float32Type::get(context))
      .Case("bfloat16", BFloat16Type::get(context))
      .Case("q8_0", lm::BlockType::get(context, lm::BlockFormat::Q8_0))
      .Case("q4_1", lm::BlockType::get(context, lm::BlockFormat::Q4_1))
      .Default(nullptr);
}

/// The format in which a contraction over weights of type `weight` reads its rows; null for f32.
Type getActivationType(Type weight) {
  if (weight.isBF16())
    return weight;
  if (isa<lm::BlockType>(weight))
    return lm::BlockType::get(weight.getContext(), lm::BlockFormat::Q8_32);
  return nullptr;
}

void LmQuantizePass::findRouters() {
  getOperation()->walk([&](Operation *op) {
    if (!isa<lm::RouteOp, lm::GroupByExpertOp>(op))
      return;
    auto linear = op->getOperand(0).getDefiningOp<lm::LinearOp>();
    if (!linear)
      return;
    routers_.insert(linear);
    for (Value weight : linear.getWeights())
      if (auto load = weight.getDefiningOp<lm::LoadParamOp>())
        routerParams_.insert(load.getParam());
  });
}

void LmQuantizePass::runOnOperation() {
  findRouters();
  auto options = getOperation()->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
  if (failed(encodeParams(options)))
    return signalPassFailure();
  StringRef compute = getOption(options, "compute", "float32");
  if (compute == "bfloat16")
    return quantizeInputs();
  if (compute != "float32") {
    getOperation()->emitError("compute is '")
        << compute << "', expected float32 or bfloat16; set it in lm.options";
    signalPassFailure();
  }
}

LogicalResult LmQuantizePass::encodeParams(DictionaryAttr options) {
  StringRef name = getOption(options, "encoding", "as-stored");
  Type asked = name == "as-stored" ? nullptr : parseEncoding(name, &getContext());
  if (!asked && name != "as-stored")
    return getOperation()->emitError("encoding is '")
           << name << "', expected as-stored, float32, bfloat16, q8_0 or q4_1";
  for (lm::ParamOp param : getOperation().getOps<lm::ParamOp>()) {
    RankedTensorType type = param.getTensorType();
    Type element = type.getElementType();
    if (type.getRank() == 1)
      element = Float32Type::get(&getContext());
    else if (asked && !routerParams_.contains(param.getSymName()))
      element = asked;
    if (isa<lm::BlockType>(element) && type.getDimSize(type.getRank() - 1) % 32 != 0) {
      param.emitRemark("rows have ") << type.getDimSize(type.getRank() - 1)
                                     << " columns, no multiple of 32; stored as bfloat16";
      element = BFloat16Type::get(&getContext());
    }
    if (element == type.getElementType())
      continue;
    param.setType(RankedTensorType::get(type.getShape(), element));
    ++numConvertedParams;
  }
  SymbolTableCollection symbols;
  getOperation()->walk([&](lm::LoadParamOp load) {
    auto param = symbols.lookupNearestSymbolFrom<lm::ParamOp>(load, load.getParamAttr());
    load.getResult().setType(param.getTensorType());
  });
  return success();
}

void LmQuantizePass::quantizeInputs() {
  SmallVector<lm::LinearOp> linears;
  getOperation()->walk([&](lm::LinearOp linear) {
    if (!routers_.contains(linear))
      linears.push_back(linear);
  });
  for (lm::LinearOp linear : linears) {
    auto input = cast<RankedTensorType>(linear.getInput().getType());
    auto weight = cast<RankedTensorType>(linear.getWeights().front().getType());
    Type activation = getActivationType(weight.getElementType());
    if (!activation || !input.getElementType().isF32())
      continue;
    // Behind what computes the rows: it is then the first to read them and can become part of it.
    OpBuilder builder(linear);
    builder.setInsertionPointAfterValue(linear.getInput());
    auto quantized = lm::QuantizeRowsOp::create(builder, linear.getLoc(),
                                                RankedTensorType::get(input.getShape(), activation),
                                                linear.getInput());
    linear.getInputMutable().assign(quantized);
    ++numQuantizedInputs;
  }
}

} // namespace
