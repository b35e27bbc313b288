//===- Quantize.cpp - formats of weights and activations ------------------===//
//
// What is decided here and nowhere else: the element type of every parameter and which rows are
// rounded before a contraction. The packer and the code generator only read the types.
//
//===----------------------------------------------------------------------===//

#include "passes/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/Regex.h"

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
  /// Which parameters get an encoding of their own.
  struct Rule {
    std::shared_ptr<const llvm::Regex> regex;
    StringAttr pattern;
    Type element; ///< null: as stored
    bool used = false;
  };

  LogicalResult readRules(DictionaryAttr options);
  FailureOr<Type> getEncodingOption(DictionaryAttr options, StringRef key);
  Type getAsked(lm::ParamOp param, Type forAll, Type forTower);
  LogicalResult encodeParams(DictionaryAttr options);
  void quantizeInputs();
  void quantizeAttention();
  void findRouters();
  void findReaders();

  /// Linears whose results choose experts, and their parameters: both stay as they are.
  llvm::SmallPtrSet<Operation *, 8> routers_;
  llvm::StringSet<> routerParams_;
  /// Parameters that row work reads, element by element, and those of the image tower.
  llvm::StringSet<> rowParams_, towerParams_;
  std::vector<Rule> rules_;
};

/// A string option of the module, or `otherwise` when the module does not have it.
StringRef getOption(DictionaryAttr options, StringRef name, StringRef otherwise) {
  auto value = options ? options.getAs<StringAttr>(name) : StringAttr();
  return value ? value.getValue() : otherwise;
}

constexpr StringLiteral knownEncodings =
    "as-stored, float32, bfloat16, q8_0, q6_k, q5_0, q4_k, q4_1, q4_0 or int4_g128";

/// The element type that an encoding's name stands for; null for a name nobody knows.
Type parseEncoding(StringRef name, MLIRContext *context) {
  if (name == "float32")
    return Float32Type::get(context);
  if (name == "bfloat16")
    return BFloat16Type::get(context);
  std::optional<lm::BlockFormat> format = lm::symbolizeBlockFormat(name);
  Type type = format ? lm::BlockType::get(context, *format) : Type();
  return type && !lm::isActivationBlock(type) ? type : Type();
}

/// The next encoding of at least as many bits for rows that `element` can't hold.
Type getWider(Type element) {
  MLIRContext *context = element.getContext();
  lm::BlockFormat format = cast<lm::BlockType>(element).getFormat();
  if (format == lm::BlockFormat::Q4_K)
    return lm::BlockType::get(context, lm::BlockFormat::Q5_0);
  if (format == lm::BlockFormat::Q6_K)
    return lm::BlockType::get(context, lm::BlockFormat::Q8_0);
  if (format == lm::BlockFormat::Int4_G128)
    return lm::BlockType::get(context, lm::BlockFormat::Q4_1);
  return BFloat16Type::get(context);
}

/// The format in which a contraction over weights of type `weight` reads its rows; null for f32.
/// Scales of rows stand for no more columns than the floating-point ones of the weight, so that the
/// products of integers are as long as can be.
Type getActivationType(Type weight) {
  if (weight.isBF16())
    return weight;
  auto block = dyn_cast<lm::BlockType>(weight);
  if (!block)
    return nullptr;
  const bool isWide = lm::getBlockColumns(block) >= 128;
  return lm::BlockType::get(weight.getContext(),
                            isWide ? lm::BlockFormat::Q8_128 : lm::BlockFormat::Q8_32);
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

void LmQuantizePass::findReaders() {
  getOperation()->walk([&](lm::LoadParamOp load) {
    auto isMatrix = [](Operation *user) {
      return isa<lm::LinearOp, lm::EmbedOp, lm::ExpertsOp>(user);
    };
    if (!load->use_empty() && llvm::none_of(load->getUsers(), isMatrix))
      rowParams_.insert(load.getParam());
    if (load->getParentOfType<func::FuncOp>().getName() == lm::towerEntryName)
      towerParams_.insert(load.getParam());
  });
}

void LmQuantizePass::runOnOperation() {
  routers_.clear();
  for (llvm::StringSet<> *names : {&routerParams_, &rowParams_, &towerParams_})
    names->clear();
  rules_.clear();
  findRouters();
  findReaders();
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

/// One rule of lm.options.encoding_for: ["REGEX", "ENCODING"].
LogicalResult LmQuantizePass::readRules(DictionaryAttr options) {
  auto list = options ? options.getAs<ArrayAttr>("encoding_for") : ArrayAttr();
  for (Attribute entry : list ? list.getValue() : ArrayRef<Attribute>()) {
    auto pair = dyn_cast<ArrayAttr>(entry);
    auto pattern = pair && pair.size() == 2 ? dyn_cast<StringAttr>(pair[0]) : StringAttr();
    auto name = pattern ? dyn_cast<StringAttr>(pair[1]) : StringAttr();
    if (!name)
      return getOperation()->emitError("encoding_for holds ")
             << entry << ", expected [\"REGEX\", \"ENCODING\"]";
    Rule rule{std::make_shared<llvm::Regex>(pattern.getValue()), pattern, nullptr};
    std::string error;
    if (!rule.regex->isValid(error))
      return getOperation()->emitError("encoding_for: '")
             << pattern.getValue() << "' is no regular expression: " << error;
    if (name != "as-stored" && !(rule.element = parseEncoding(name, &getContext())))
      return getOperation()->emitError("encoding_for: the encoding of '")
             << pattern.getValue() << "' is " << name << ", expected " << knownEncodings;
    rules_.push_back(std::move(rule));
  }
  return success();
}

/// The element type that the policy asks for, null to leave a parameter as it is stored: the last
/// rule that matches its name, else the encoding of the tower or of all; what chooses experts stays
/// as it is.
Type LmQuantizePass::getAsked(lm::ParamOp param, Type forAll, Type forTower) {
  for (Rule &rule : llvm::reverse(rules_))
    if (rule.regex->match(param.getSymName())) {
      rule.used = true;
      return rule.element;
    }
  if (towerParams_.contains(param.getSymName()))
    return forTower;
  return routerParams_.contains(param.getSymName()) ? Type() : forAll;
}

/// The type that an option names; null for as-stored.
FailureOr<Type> LmQuantizePass::getEncodingOption(DictionaryAttr options, StringRef key) {
  StringRef name = getOption(options, key, "as-stored");
  Type type = name == "as-stored" ? Type() : parseEncoding(name, &getContext());
  if (!type && name != "as-stored") {
    getOperation()->emitError() << key << " is '" << name << "', expected " << knownEncodings;
    return failure();
  }
  return type;
}

LogicalResult LmQuantizePass::encodeParams(DictionaryAttr options) {
  FailureOr<Type> forAll = getEncodingOption(options, "encoding");
  FailureOr<Type> forTower = getEncodingOption(options, "vision_encoding");
  if (failed(forAll) || failed(forTower) || failed(readRules(options)))
    return failure();
  // Columns, what was asked for and what they are stored as instead -> how many, and the first.
  llvm::MapVector<std::tuple<int64_t, Type, Type>, std::pair<int64_t, lm::ParamOp>> widened;
  for (lm::ParamOp param : getOperation().getOps<lm::ParamOp>()) {
    RankedTensorType type = param.getTensorType();
    Type element = Float32Type::get(&getContext());
    if (type.getRank() > 1 && !rowParams_.contains(param.getSymName())) {
      Type asked = getAsked(param, *forAll, *forTower);
      element = asked = asked ? asked : type.getElementType();
      const int64_t columns = lm::getColumns(type);
      while (columns % lm::getBlockColumns(element) != 0)
        element = getWider(element);
      if (element != asked) {
        auto &[count, first] = widened[{columns, asked, element}];
        first = count++ == 0 ? param : first;
      }
    }
    if (element == type.getElementType())
      continue;
    param.setType(RankedTensorType::get(type.getShape(), element));
    ++numConvertedParams;
  }
  for (auto &[key, value] : widened)
    value.second.emitRemark() << value.first << " matrices like this one have rows of "
                              << std::get<0>(key) << " columns, no multiple of the "
                              << lm::getBlockColumns(std::get<1>(key)) << " of " << std::get<1>(key)
                              << "; stored as " << std::get<2>(key);
  for (Rule &rule : rules_)
    if (!rule.used)
      return getOperation()->emitError("encoding_for: '")
             << rule.pattern.getValue()
             << "' is the last match of no matrix; correct the expression or leave it out";
  SymbolTableCollection symbols;
  getOperation()->walk([&](lm::LoadParamOp load) {
    auto param = symbols.lookupNearestSymbolFrom<lm::ParamOp>(load, load.getParamAttr());
    load.getResult().setType(param.getTensorType());
  });
  return success();
}

/// `value` rounded to `element`, behind what computes it: that is then the first to read it and can
/// become part of it.
Value quantizeBehind(Operation *reader, Value value, Type element) {
  OpBuilder builder(reader);
  builder.setInsertionPointAfterValue(value);
  auto type = cast<RankedTensorType>(value.getType());
  return lm::QuantizeRowsOp::create(builder, reader->getLoc(),
                                    RankedTensorType::get(type.getShape(), element), value);
}

/// Attention of the image tower, where its linears round what they read: it then multiplies what
/// bfloat16 can hold, too.
void LmQuantizePass::quantizeAttention() {
  getOperation()->walk([&](lm::UnitAttentionOp attention) {
    RankedTensorType type = attention.getQuery().getType();
    const int64_t dim = lm::getColumns(type) / static_cast<int64_t>(attention.getHeads());
    auto function = attention->getParentOfType<func::FuncOp>();
    WalkResult rounds = function.walk([](lm::LinearOp linear) {
      return linear.getInput().getType().getElementType().isF32() ? WalkResult::advance()
                                                                  : WalkResult::interrupt();
    });
    if (!rounds.wasInterrupted() || dim % 2 != 0 || !type.getElementType().isF32())
      return;
    llvm::SmallDenseMap<Value, Value> rounded;
    for (OpOperand &operand : attention->getOpOperands().take_front(3)) {
      Value &value = rounded[operand.get()];
      if (!value) {
        value = quantizeBehind(attention, operand.get(), BFloat16Type::get(&getContext()));
        ++numQuantizedInputs;
      }
      operand.set(value);
    }
  });
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
    linear.getInputMutable().assign(quantizeBehind(linear, linear.getInput(), activation));
    ++numQuantizedInputs;
  }
  quantizeAttention();
}

} // namespace
