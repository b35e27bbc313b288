//===- Import.cpp - a declared model as an lm module ----------------------===//
//
// The only place where the graph and MLIR meet. One graph op becomes one op of the dialect, in the
// same order; parameters are loaded once per entry, before their first use.
//
//===----------------------------------------------------------------------===//

#include "compiler/import/Import.h"

#include "dialects/lm/Lm.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/DenseMap.h"

using namespace mlir;

namespace llama4 {

namespace {

using graph::Element;
using graph::OpKind;

class Importer {
public:
  Importer(MLIRContext &context, const graph::Graph &graph) : builder_(&context), graph_(graph) {}

  OwningOpRef<ModuleOp> run();

private:
  // Types, attributes, locations.
  Type elementType(Element element);
  RankedTensorType tensorType(const graph::TensorType &type);
  Type valueType(const graph::Value &value);
  Attribute metaAttr(const graph::MetaValue &value);
  DictionaryAttr dictionary(const std::map<std::string, graph::MetaValue> &values);
  Location location(const graph::Location &where, StringRef path);

  // Module level.
  void importParameter(const graph::Parameter &parameter);
  void importEntry(const graph::Entry &entry);
  void annotateArguments(func::FuncOp func, const graph::Entry &entry);

  // Inside an entry.
  Value load(const graph::Parameter *parameter, Location loc);
  Value load(const graph::Node &node, Location loc) { return load(node.parameter, loc); }
  Value operand(const graph::Node &node, size_t index) { return values_[node.operands[index]]; }
  Operation *importNode(const graph::Node &node, Location loc);
  Operation *importVisionNode(const graph::Node &node, Location loc);
  RankedTensorType resultType(const graph::Node &node) {
    return tensorType(entry_->value(node.results.front()).tensor);
  }

  OpBuilder builder_;
  const graph::Graph &graph_;
  const graph::Entry *entry_ = nullptr;                    ///< the current one
  std::vector<Value> values_;                              ///< by value id of the current entry
  llvm::DenseMap<const graph::Parameter *, Value> loaded_; ///< in the current entry
};

Type Importer::elementType(Element element) {
  MLIRContext *context = builder_.getContext();
  switch (element) {
  case Element::F32:
    return builder_.getF32Type();
  case Element::BF16:
    return builder_.getBF16Type();
  case Element::I32:
    return builder_.getI32Type();
  default:
    break;
  }
  std::string_view name = elementName(element);
  return lm::BlockType::get(context, *lm::symbolizeBlockFormat({name.data(), name.size()}));
}

RankedTensorType Importer::tensorType(const graph::TensorType &type) {
  SmallVector<int64_t> dims;
  for (int64_t extent : type.dims)
    dims.push_back(extent == graph::kSymbol ? ShapedType::kDynamic : extent);
  return RankedTensorType::get(dims, elementType(type.element));
}

Type Importer::valueType(const graph::Value &value) {
  MLIRContext *context = builder_.getContext();
  const graph::KvType &kv = value.kv;
  switch (value.kind) {
  case graph::ValueKind::Tensor:
    return tensorType(value.tensor);
  case graph::ValueKind::Batch:
    return lm::BatchType::get(context);
  case graph::ValueKind::Kv:
    return lm::KvType::get(context, kv.name, kv.kind, kv.layers, kv.heads, kv.dim,
                           elementType(kv.element), kv.chunk);
  case graph::ValueKind::KvLayer:
    return lm::KvLayerType::get(context, kv.kind, kv.heads, kv.dim, elementType(kv.element));
  }
  llvm_unreachable("a value without a type");
}

Attribute Importer::metaAttr(const graph::MetaValue &value) {
  if (const auto *number = std::get_if<int64_t>(&value))
    return builder_.getI64IntegerAttr(*number);
  if (const auto *text = std::get_if<std::string>(&value))
    return builder_.getStringAttr(*text);
  return builder_.getDenseI64ArrayAttr(std::get<std::vector<int64_t>>(value));
}

DictionaryAttr Importer::dictionary(const std::map<std::string, graph::MetaValue> &values) {
  SmallVector<NamedAttribute> attributes;
  for (const auto &[name, value] : values)
    attributes.push_back(builder_.getNamedAttr(name, metaAttr(value)));
  return builder_.getDictionaryAttr(attributes);
}

Location Importer::location(const graph::Location &where, StringRef path) {
  auto place = FileLineColLoc::get(builder_.getContext(), graph::sourceFile(where), where.line(),
                                   where.column());
  if (path.empty())
    return place;
  return NameLoc::get(builder_.getStringAttr(path), place);
}

//===----------------------------------------------------------------------===//
// Module level
//===----------------------------------------------------------------------===//

OwningOpRef<ModuleOp> Importer::run() {
  Location unknown = builder_.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(unknown);
  (*module)->setAttr(lm::modelAttrName, dictionary(graph_.model));
  (*module)->setAttr(lm::optionsAttrName, dictionary(graph_.options));
  builder_.setInsertionPointToEnd(module->getBody());
  for (const graph::RopeTable &table : graph_.ropeTables())
    lm::RopeTableOp::create(builder_, location(table.declared, table.name), table.name,
                            table.invFreq);
  for (const graph::RopeGrid &grid : graph_.ropeGrids())
    lm::RopeGridOp::create(builder_, location(grid.declared, grid.name), grid.name, grid.rows,
                           grid.columns, grid.invFreq);
  for (const graph::TemperatureTable &table : graph_.temperatureTables())
    lm::TemperatureTableOp::create(builder_, location(table.declared, table.name), table.name,
                                   APFloat(table.attnScale), table.floorScale);
  for (const auto &parameter : graph_.parameters())
    importParameter(*parameter);
  for (const auto &entry : graph_.entries())
    importEntry(*entry);
  if (failed(verify(*module)))
    return {};
  return module;
}

void Importer::importParameter(const graph::Parameter &parameter) {
  const graph::StoredTensor &stored = parameter.stored;
  auto source = lm::SourceAttr::get(builder_.getContext(), stored.source, stored.unpermuteHeads,
                                    stored.transpose, stored.firstRow, stored.perExpert,
                                    stored.scale, stored.bits, stored.zeroPoint);
  lm::ParamOp::create(builder_, location(parameter.declared, parameter.name), parameter.name,
                      tensorType(parameter.type), source);
}

void Importer::annotateArguments(func::FuncOp func, const graph::Entry &entry) {
  for (auto [index, input] : llvm::enumerate(entry.inputs())) {
    func.setArgAttr(index, lm::argNameAttrName, builder_.getStringAttr(input.name));
    func.setArgAttr(index, lm::argRoleAttrName, builder_.getStringAttr(input.role));
    if (!input.rope.empty())
      func.setArgAttr(index, lm::argRopeAttrName,
                      FlatSymbolRefAttr::get(builder_.getContext(), input.rope));
    if (!input.temperature.empty())
      func.setArgAttr(index, lm::argTemperatureAttrName,
                      FlatSymbolRefAttr::get(builder_.getContext(), input.temperature));
  }
}

void Importer::importEntry(const graph::Entry &entry) {
  SmallVector<Type> inputs, outputs;
  for (const graph::Input &input : entry.inputs())
    inputs.push_back(valueType(entry.value(input.value)));
  for (graph::ValueId id : entry.outputs())
    outputs.push_back(valueType(entry.value(id)));
  Location loc = NameLoc::get(builder_.getStringAttr(entry.name()));
  auto func =
      func::FuncOp::create(builder_, loc, entry.name(), builder_.getFunctionType(inputs, outputs));
  func->setAttr(lm::entryAttrName, lm::EntryAttr::get(builder_.getContext(), entry.symbol(),
                                                      entry.bound(), /*decode=*/false));
  annotateArguments(func, entry);

  OpBuilder::InsertionGuard guard(builder_);
  Block *block = func.addEntryBlock();
  builder_.setInsertionPointToEnd(block);
  entry_ = &entry;
  loaded_.clear();
  values_.clear();
  auto define = [&](graph::ValueId id, Value value) {
    if (values_.size() <= id)
      values_.resize(id + 1);
    values_[id] = value;
  };
  for (auto [index, input] : llvm::enumerate(entry.inputs())) {
    Value argument = block->getArgument(index);
    argument.setLoc(NameLoc::get(builder_.getStringAttr(input.name)));
    define(input.value, argument);
  }
  for (const graph::Node &node : entry.nodes()) {
    Operation *op = importNode(node, location(node.where, node.path));
    for (auto [index, id] : llvm::enumerate(node.results))
      define(id, op->getResult(index));
  }
  SmallVector<Value> results;
  for (graph::ValueId id : entry.outputs())
    results.push_back(values_[id]);
  func::ReturnOp::create(builder_, loc, results);
}

//===----------------------------------------------------------------------===//
// Ops
//===----------------------------------------------------------------------===//

Value Importer::load(const graph::Parameter *parameter, Location loc) {
  Value &value = loaded_[parameter];
  if (!value)
    value = lm::LoadParamOp::create(builder_, loc, tensorType(parameter->type), parameter->name);
  return value;
}

Operation *Importer::importNode(const graph::Node &node, Location loc) {
  auto number = static_cast<float>(node.number);
  auto input = [&](size_t index) { return operand(node, index); };
  switch (node.kind) {
  case OpKind::Embed: {
    Value table = load(node, loc);
    int64_t width = cast<RankedTensorType>(table.getType()).getDimSize(1);
    auto type = RankedTensorType::get({ShapedType::kDynamic, width}, builder_.getF32Type());
    return lm::EmbedOp::create(builder_, loc, type, input(0), table);
  }
  case OpKind::Linear:
    return lm::LinearOp::create(builder_, loc, input(0), ValueRange{load(node, loc)});
  case OpKind::RmsNorm:
    return lm::RmsNormOp::create(builder_, loc, input(0), load(node, loc), number);
  case OpKind::Bias:
    return lm::BiasOp::create(builder_, loc, input(0), load(node, loc));
  case OpKind::Rope:
    return lm::RopeOp::create(builder_, loc, input(0), input(1), input(2),
                              node.style == graph::RotateStyle::Half ? lm::RotateStyle::Half
                                                                     : lm::RotateStyle::Pairs);
  case OpKind::KvLayer: {
    auto kv = cast<lm::KvType>(input(0).getType());
    auto type = lm::KvLayerType::get(builder_.getContext(), kv.getKind(), kv.getHeads(),
                                     kv.getDim(), kv.getElementType());
    return lm::KvLayerOp::create(builder_, loc, type, input(0), node.layer);
  }
  case OpKind::KvWrite:
    return lm::KvWriteOp::create(builder_, loc, input(0), input(1), input(2), input(3));
  case OpKind::Attention: {
    auto op = lm::AttentionOp::create(builder_, loc, input(0), input(1), input(2), number);
    if (node.chunk) {
      op.setMask(lm::MaskKind::Chunked);
      op.setChunk(node.chunk);
    }
    return op;
  }
  case OpKind::QkNorm:
    return lm::QkNormOp::create(builder_, loc, input(0), node.dim, APFloat(number));
  case OpKind::Temperature:
    return lm::TemperatureOp::create(builder_, loc, input(0), input(1));
  case OpKind::Route:
    return lm::RouteOp::create(builder_, loc, input(0), node.top);
  case OpKind::Experts: {
    Value gate = load(node.gate, loc), up = load(node.up, loc), down = load(node.down, loc);
    return lm::ExpertsOp::create(builder_, loc, input(0), input(1), input(2), gate, up, down);
  }
  case OpKind::Add:
    return lm::AddOp::create(builder_, loc, input(0), input(1));
  case OpKind::Mul:
    return lm::MulOp::create(builder_, loc, input(0), input(1));
  case OpKind::Silu:
    return lm::SiluOp::create(builder_, loc, input(0));
  case OpKind::Gather:
    return lm::GatherOp::create(builder_, loc, input(0), input(1));
  default: // passes insert the other ones of the dialect, models don't
    return importVisionNode(node, loc);
  }
}

Operation *Importer::importVisionNode(const graph::Node &node, Location loc) {
  auto number = static_cast<float>(node.number);
  auto input = [&](size_t index) { return operand(node, index); };
  auto count = [&](StringRef name) { return node.count({name.data(), name.size()}); };
  auto attr = [&](StringRef name) { return builder_.getI64IntegerAttr(count(name)); };
  RankedTensorType type = resultType(node);
  switch (node.kind) {
  case OpKind::LayerNorm: {
    Value weight = load(node, loc), bias = load(node.second, loc);
    return lm::LayerNormOp::create(builder_, loc, type, input(0), weight, bias, APFloat(number));
  }
  case OpKind::Gelu:
    return lm::GeluOp::create(builder_, loc, input(0));
  case OpKind::HeadNorm:
    return lm::HeadNormOp::create(builder_, loc, type, input(0), load(node, loc), APFloat(number));
  case OpKind::TanhGate:
    return lm::TanhGateOp::create(builder_, loc, type, input(0), load(node, loc));
  case OpKind::GatedBias: {
    Value vectors = load(node, loc), gate = load(node.second, loc);
    return lm::GatedBiasOp::create(builder_, loc, type, input(0), vectors, gate);
  }
  case OpKind::Patches:
    return lm::PatchesOp::create(builder_, loc, type, input(0), count("channels"), count("patch"));
  case OpKind::InsertRow:
    return lm::InsertRowOp::create(builder_, loc, type, input(0), load(node, loc), count("at"),
                                   count("groups"));
  case OpKind::FitRows:
    return lm::FitRowsOp::create(builder_, loc, type, input(0), count("groups"));
  case OpKind::SpreadRows:
    return lm::SpreadRowsOp::create(builder_, loc, type, input(0));
  case OpKind::Reshape:
    return lm::ReshapeOp::create(builder_, loc, type, input(0));
  case OpKind::Concat: {
    SmallVector<Value> inputs;
    for (size_t i = 0; i < node.operands.size(); ++i)
      inputs.push_back(input(i));
    return lm::ConcatOp::create(builder_, loc, type, inputs, count("interleaved") != 0);
  }
  case OpKind::PixelShuffle:
    return lm::PixelShuffleOp::create(builder_, loc, type, input(0), count("columns"),
                                      count("side"));
  case OpKind::MergeRows:
    return lm::MergeRowsOp::create(builder_, loc, type, input(0), input(1), input(2));
  case OpKind::UnitAttention: {
    const bool isPadded = node.operands.size() == 4;
    return lm::UnitAttentionOp::create(
        builder_, loc, type, input(0), input(1), input(2), isPadded ? input(3) : Value(),
        attr("heads"), builder_.getF32FloatAttr(number), isPadded ? attr("groups") : IntegerAttr(),
        isPadded ? attr("real") : IntegerAttr(), target::CoreAttr());
  }
  case OpKind::CrossAttention:
    return lm::CrossAttentionOp::create(builder_, loc, type, input(0), input(1), input(2), input(3),
                                        input(4), input(5), count("heads"), count("groups"),
                                        APFloat(number), target::CoreAttr());
  default:
    llvm_unreachable("an op that no model declares");
  }
}

} // namespace

OwningOpRef<ModuleOp> importGraph(MLIRContext &context, const graph::Graph &graph) {
  context.loadDialect<lm::LmDialect, target::TargetDialect, func::FuncDialect, arith::ArithDialect,
                      math::MathDialect>();
  return Importer(context, graph).run();
}

} // namespace llama4
