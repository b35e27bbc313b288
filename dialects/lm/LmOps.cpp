//===- LmOps.cpp - parameters, look-up and contractions -------------------===//

#include "dialects/lm/Lm.h"

#include "mlir/IR/Builders.h"

#include <cmath>

using namespace mlir;
using namespace llama4;
using namespace llama4::lm;

/// `[1.0, 0.697830558]`, every number exactly: the plain form of the attribute prints seven digits,
/// and a dump must give the same program again.
static void printFloatList(OpAsmPrinter &printer, Operation *, DenseF32ArrayAttr numbers) {
  printer << '[';
  llvm::interleaveComma(numbers.asArrayRef(), printer,
                        [&](float number) { printer.printFloat(APFloat(number)); });
  printer << ']';
}

static ParseResult parseFloatList(OpAsmParser &parser, DenseF32ArrayAttr &numbers) {
  SmallVector<float> list;
  auto parseNumber = [&]() -> ParseResult {
    APFloat number(0.0f);
    if (parser.parseFloat(APFloat::IEEEsingle(), number))
      return failure();
    list.push_back(number.convertToFloat());
    return success();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square, parseNumber))
    return failure();
  numbers = parser.getBuilder().getDenseF32ArrayAttr(list);
  return success();
}

#include "dialects/lm/LmInterfaces.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/lm/LmOps.cpp.inc"

/// f32, bf16 or a block format: what a weight or a stored row may consist of.
static bool isStorable(Type type) { return type.isF32() || type.isBF16() || isa<BlockType>(type); }

/// Checks that a result of row work or of an epilogue is a tensor of `width` columns that can be
/// stored: f32, bf16, q8_32 or q8_128, as many rows as `input` has.
static LogicalResult verifyStored(Operation *op, Value result, RankedTensorType input,
                                  int64_t width) {
  auto type = dyn_cast<RankedTensorType>(result.getType());
  SmallVector<int64_t> shape = {ShapedType::kDynamic, width};
  if (input.getRank() == 3)
    shape.insert(shape.begin() + 1, input.getDimSize(1));
  if (!type || type.getShape() != ArrayRef(shape))
    return op->emitOpError("result is ")
           << result.getType() << ", expected the shape of "
           << RankedTensorType::get(shape, Float32Type::get(op->getContext()));
  Type element = type.getElementType();
  if (!element.isF32() && !element.isBF16() && !isActivationBlock(element))
    return op->emitOpError("result elements are ")
           << element << ", expected f32, bf16, !lm.block<q8_32> or !lm.block<q8_128>";
  return success();
}

/// Checks an epilogue region: f32 arguments, a yield with one scalar per result.
static LogicalResult verifyEpilogue(Operation *op, Region &region, unsigned arguments,
                                    ValueRange results, RankedTensorType input, int64_t width) {
  Block &block = region.front();
  if (block.empty())
    return op->emitOpError("epilogue must end in lm.yield with one scalar per result of its group");
  if (block.getNumArguments() != arguments ||
      !llvm::all_of(block.getArgumentTypes(), [](Type type) { return type.isF32(); }))
    return op->emitOpError("epilogue has ")
           << block.getNumArguments() << " arguments, expected " << arguments
           << " of type f32, one per segment of its group";
  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getValues().size() != results.size())
    return op->emitOpError("epilogue must end in lm.yield with one scalar per result of its group");
  for (Value result : results)
    if (failed(verifyStored(op, result, input, width)))
      return failure();
  return success();
}

//===----------------------------------------------------------------------===//
// Parameters
//===----------------------------------------------------------------------===//

static constexpr int64_t maxParamElements = int64_t{1} << 44;

/// A laid out parameter: matrices in panels; vectors and the rows of a matrix as rows of f32.
static LogicalResult verifyLayout(Operation *op, RankedTensorType type) {
  if (!type.getEncoding())
    return success();
  auto layout = dyn_cast<target::LayoutAttr>(type.getEncoding());
  bool isRow = layout && layout.getKind() == "row";
  bool fits =
      layout && (isRow ? type.getRank() <= 2 && type.getElementType().isF32() : type.getRank() > 1);
  if (!fits)
    return op->emitOpError("type is ") << type << ", expected matrices in panels, or rows of f32";
  return success();
}

LogicalResult ParamOp::verify() {
  RankedTensorType type = getTensorType();
  if (!type.hasStaticShape() || type.getRank() < 1 || type.getRank() > 3)
    return emitOpError("type is ") << type << ", expected a static tensor of rank 1, 2 or 3";
  if (!isStorable(type.getElementType()) || isActivationBlock(type.getElementType()))
    return emitOpError("elements are ")
           << type.getElementType()
           << ", expected f32, bf16 or blocks of weights such as !lm.block<q8_0>";
  const int64_t block = getBlockColumns(type.getElementType());
  if (block > 1 && (type.getRank() < 2 || type.getShape().back() % block))
    return emitOpError("type is ")
           << type << ", expected rows of a multiple of " << block << " columns";
  if (getSource().getPerExpert() && type.getRank() != 3)
    return emitOpError("type is ") << type << ", but only rank 3 has per_expert sources";
  if (getSource().getTranspose() && type.getRank() == 1)
    return emitOpError("type is ") << type << ", but transpose needs rank 2 or 3";
  // What a plan or a file can count: extents that multiply without overflow.
  int64_t elements = 1;
  for (int64_t extent : type.getShape()) {
    if (extent < 1 || extent > maxParamElements / elements)
      return emitOpError("type is ") << type << ", expected extents of at least 1 and at most "
                                     << maxParamElements << " elements in all";
    elements *= extent;
  }
  return verifyLayout(*this, type);
}

LogicalResult TemperatureTableOp::verify() {
  if (!std::isfinite(getAttnScale().convertToFloat()))
    return emitOpError("attn_scale is not finite");
  if (static_cast<int64_t>(getFloorScale()) < 1)
    return emitOpError("floor_scale is ")
           << static_cast<int64_t>(getFloorScale()) << ", expected at least 1";
  return success();
}

LogicalResult RopeTableOp::verify() {
  if (getInvFreq().empty())
    return emitOpError("has no inverse frequencies, expected one per pair of a head");
  return success();
}

LogicalResult LoadParamOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto param = symbols.lookupNearestSymbolFrom<ParamOp>(*this, getParamAttr());
  if (!param)
    return emitOpError("found no parameter ") << getParamAttr() << " in the module";
  if (param.getType() != getType())
    return emitOpError("type is ") << getType() << ", but the parameter is " << param.getType();
  return success();
}

LogicalResult KvLayerOp::verify() {
  KvType kv = getKv().getType();
  if (getLayer() >= static_cast<uint64_t>(kv.getLayers()))
    return emitOpError("layer is ") << getLayer() << ", expected less than " << kv.getLayers();
  auto expected =
      KvLayerType::get(getContext(), kv.getKind(), kv.getHeads(), kv.getDim(), kv.getElementType());
  if (getType() != expected)
    return emitOpError("type is ") << getType() << ", expected " << expected;
  return success();
}

//===----------------------------------------------------------------------===//
// Embed
//===----------------------------------------------------------------------===//

LogicalResult EmbedOp::verify() {
  auto table = cast<RankedTensorType>(getTable().getType());
  auto ids = cast<RankedTensorType>(getIds().getType());
  if (table.getRank() != 2 || !table.hasStaticShape() || ids.getRank() != 1)
    return emitOpError("expected ids of rank 1 and a static table of rank 2, found ")
           << ids << " and " << table;
  return verifyStored(*this, getResult(), ids, table.getDimSize(1));
}

//===----------------------------------------------------------------------===//
// Linear
//===----------------------------------------------------------------------===//

/// Adds the operands and says how many there are of each kind.
static void addLinearOperands(OperationState &state, Value input, ValueRange weights, Value tiles) {
  state.addOperands(input);
  state.addOperands(weights);
  if (tiles)
    state.addOperands(tiles);
  llvm::copy(ArrayRef<int32_t>{1, static_cast<int32_t>(weights.size()), tiles ? 1 : 0},
             state.getOrAddProperties<LinearOp::Properties>().operandSegmentSizes.begin());
}

void LinearOp::build(OpBuilder &builder, OperationState &state, Value input, ValueRange weights,
                     Value tiles) {
  addLinearOperands(state, input, weights, tiles);
  SmallVector<int64_t> groups(weights.size(), 1);
  state.addAttribute(getGroupsAttrName(state.name), builder.getDenseI64ArrayAttr(groups));
  SmallVector<int64_t> shape(cast<RankedTensorType>(input.getType()).getShape());
  for (Value weight : weights) {
    shape.back() = getMatrixRows(cast<RankedTensorType>(weight.getType()));
    state.addTypes(RankedTensorType::get(shape, builder.getF32Type()));
    buildIdentityEpilogue(builder, state.location, *state.addRegion(), 1);
  }
}

void LinearOp::build(OpBuilder &builder, OperationState &state, TypeRange results, Value input,
                     ValueRange weights, Value tiles, ArrayRef<int64_t> groups) {
  addLinearOperands(state, input, weights, tiles);
  state.addAttribute(getGroupsAttrName(state.name), builder.getDenseI64ArrayAttr(groups));
  state.addTypes(results);
  for (size_t group = 0; group < groups.size(); ++group)
    state.addRegion();
}

unsigned LinearOp::getFirstSegment(unsigned group) {
  unsigned first = 0;
  for (unsigned i = 0; i < group; ++i)
    first += getGroups()[i];
  return first;
}

unsigned LinearOp::getNumResults(unsigned group) {
  return cast<YieldOp>(getEpilogues()[group].front().getTerminator()).getValues().size();
}

unsigned LinearOp::getFirstResult(unsigned group) {
  unsigned first = 0;
  for (unsigned i = 0; i < group; ++i)
    first += getNumResults(i);
  return first;
}

int64_t LinearOp::getGroupWidth(unsigned group) {
  return getMatrixRows(cast<RankedTensorType>(getWeights()[getFirstSegment(group)].getType()));
}

bool LinearOp::isIdentity(unsigned group) { return isIdentityEpilogue(getEpilogues()[group]); }

/// Checks input, weights and tiles: matrices, or a matrix for every expert.
static LogicalResult verifyOperands(LinearOp op) {
  auto input = cast<RankedTensorType>(op.getInput().getType());
  const int64_t rank = op.getTiles() ? 3 : 2;
  const bool fits = input.getRank() == 3 || (rank == 2 && input.getRank() == 2);
  if (!fits || !input.isDynamicDim(0) ||
      llvm::is_contained(input.getShape().drop_front(), ShapedType::kDynamic))
    return op.emitOpError("input is ")
           << input << ", expected " << (rank == 2 ? "tensor<?xK>" : "tensor<?xSxK> with tiles");
  const int64_t columns = input.getShape().back();
  int64_t experts = 0;
  for (Value value : op.getWeights()) {
    auto weight = cast<RankedTensorType>(value.getType());
    if (weight.getRank() != rank || !weight.hasStaticShape() ||
        weight.getShape().back() != columns || (experts && weight.getDimSize(0) != experts))
      return op.emitOpError("weight is ") << weight << ", expected tensor<"
                                          << (rank == 2 ? "N"
                                              : experts ? Twine(experts) + "xN"
                                                        : "ExN")
                                          << "x" << columns << "> to match the input";
    experts = rank == 3 ? weight.getDimSize(0) : 0;
  }
  if (!op.getTiles())
    return success();
  auto tiles = cast<RankedTensorType>(op.getTiles().getType());
  if (tiles.getShape() != ArrayRef<int64_t>{ShapedType::kDynamic, input.getDimSize(1), 4})
    return op.emitOpError("tiles are ")
           << tiles << ", expected tensor<?x" << input.getDimSize(1) << "x4xi32>";
  return success();
}

LogicalResult LinearOp::verify() {
  if (failed(verifyOperands(*this)))
    return failure();
  auto input = cast<RankedTensorType>(getInput().getType());
  int64_t segments = 0;
  for (int64_t size : getGroups()) {
    if (size < 1 || size > static_cast<int64_t>(getWeights().size()))
      return emitOpError("groups must have at least one segment each, together ")
             << getWeights().size();
    segments += size;
  }
  if (segments != static_cast<int64_t>(getWeights().size()) || segments == 0 ||
      getGroups().size() != getEpilogues().size())
    return emitOpError("groups hold ")
           << segments << " segments and " << getEpilogues().size() << " epilogues, expected "
           << getWeights().size() << " segments and one epilogue per group";
  for (Region &region : getEpilogues())
    if (region.empty() || region.front().empty() || !isa<YieldOp>(region.front().back()))
      return emitOpError("every epilogue must end in lm.yield");
  for (unsigned group = 0; group < getGroups().size(); ++group) {
    int64_t width = getGroupWidth(group);
    for (int64_t i = 1; i < getGroups()[group]; ++i)
      if (getMatrixRows(
              cast<RankedTensorType>(getWeights()[getFirstSegment(group) + i].getType())) != width)
        return emitOpError("segments of group ") << group << " differ in width";
    if (getFirstResult(group) + getNumResults(group) > getOutputs().size())
      return emitOpError("the epilogues yield more values than there are results");
    if (failed(verifyEpilogue(*this, getEpilogues()[group], getGroups()[group],
                              getOutputs().slice(getFirstResult(group), getNumResults(group)),
                              input, width)))
      return failure();
  }
  unsigned groups = getGroups().size();
  if (getFirstResult(groups) != getOutputs().size())
    return emitOpError("has ") << getOutputs().size() << " results, but the epilogues yield "
                               << getFirstResult(groups);
  return success();
}

/// Parses `epilogue {...}, {...}`, or builds identities where there is none.
static ParseResult parseEpilogues(OpAsmParser &parser, OperationState &result,
                                  ArrayRef<int64_t> groups) {
  if (failed(parser.parseOptionalKeyword("epilogue"))) {
    OpBuilder builder(parser.getContext());
    for (int64_t size : groups)
      buildIdentityEpilogue(builder, result.location, *result.addRegion(), size);
    return success();
  }
  return parser.parseCommaSeparatedList([&] { return parser.parseRegion(*result.addRegion()); });
}

static void printEpilogues(OpAsmPrinter &printer, MutableArrayRef<Region> regions) {
  if (llvm::all_of(regions, isIdentityEpilogue))
    return;
  printer << " epilogue ";
  llvm::interleaveComma(regions, printer, [&](Region &region) { printer.printRegion(region); });
}

ParseResult LinearOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types, results;
  SmallVector<int64_t> groups;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands))
    return failure();
  if (operands.empty())
    return parser.emitError(loc, "expected the input and its weights");
  const int64_t segments = static_cast<int64_t>(operands.size()) - 1;
  const bool isGrouped = succeeded(parser.parseOptionalKeyword("by"));
  if (isGrouped && parser.parseOperand(operands.emplace_back()))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("groups"))) {
    if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square,
                                       [&] { return parser.parseInteger(groups.emplace_back()); }))
      return failure();
  } else {
    groups.assign(segments, 1);
  }
  // Identity epilogues are built from these numbers: they must be small before that.
  if (llvm::any_of(groups, [&](int64_t size) { return size < 1 || size > segments; }))
    return parser.emitError(loc, "groups must have at least one segment each, together ")
           << segments;
  target::CoreAttr core;
  if (succeeded(parser.parseOptionalKeyword("core"))) {
    if (parser.parseCustomAttributeWithFallback(core, Type{}, "core", result.attributes))
      return failure();
  }
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColonTypeList(types))
    return failure();
  if (parser.parseOptionalArrow().succeeded() && parser.parseTypeList(results))
    return failure();
  result.addTypes(results);
  result.addAttribute(getGroupsAttrName(result.name),
                      parser.getBuilder().getDenseI64ArrayAttr(groups));
  if (parser.resolveOperands(operands, types, loc, result.operands))
    return failure();
  llvm::copy(ArrayRef<int32_t>{1, static_cast<int32_t>(segments), isGrouped},
             result.getOrAddProperties<Properties>().operandSegmentSizes.begin());
  return parseEpilogues(parser, result, groups);
}

void LinearOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getInput();
  for (Value weight : getWeights())
    printer << ", " << weight;
  if (getTiles())
    printer << " by " << getTiles();
  if (!llvm::all_of(getGroups(), [](int64_t size) { return size == 1; })) {
    printer << " groups [";
    llvm::interleaveComma(getGroups(), printer);
    printer << ']';
  }
  if (target::CoreAttr core = getCoreAttr()) {
    printer << " core ";
    printer.printStrippedAttrOrType(core);
  }
  printer.printOptionalAttrDict((*this)->getAttrs(), {getGroupsAttrName(), getCoreAttrName(),
                                                      getOperandSegmentSizesAttrName()});
  printer << " : " << getOperandTypes();
  if (!getOutputs().empty())
    printer << " -> " << getOutputs().getTypes();
  printEpilogues(printer, getEpilogues());
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

void AttentionOp::build(OpBuilder &builder, OperationState &state, Value query, Value kv,
                        Value batch, float scale) {
  state.addOperands({query, kv, batch});
  state.addAttribute(getScaleAttrName(state.name), builder.getF32FloatAttr(scale));
  state.addAttribute(getMaskAttrName(state.name),
                     MaskKindAttr::get(builder.getContext(), MaskKind::Causal));
  state.addTypes(query.getType());
  buildIdentityEpilogue(builder, state.location, *state.addRegion(), 1);
}

bool AttentionOp::isIdentity() { return isIdentityEpilogue(getEpilogue()); }

LogicalResult AttentionOp::verify() {
  auto query = cast<RankedTensorType>(getQuery().getType());
  KvLayerType kv = getKv().getType();
  int64_t columns = query.getRank() == 2 ? query.getDimSize(1) : 0;
  int64_t kvColumns = kv.getHeads() * kv.getDim();
  if (columns <= 0 || columns % kvColumns != 0)
    return emitOpError("query is ") << query << ", expected a multiple of the " << kvColumns
                                    << " columns of the KV heads (" << kv << ")";
  bool chunked = getMask() == MaskKind::Chunked;
  if (chunked != getChunk().has_value() || (chunked && static_cast<int64_t>(*getChunk()) < 1))
    return emitOpError("mask chunked needs a chunk of at least one token, mask causal has none");
  return verifyEpilogue(*this, getEpilogue(), 1, getOutputs(), query, columns);
}

ParseResult AttentionOp::parse(OpAsmParser &parser, OperationState &result) {
  OpAsmParser::UnresolvedOperand query, kv, batch;
  Type queryType, kvType;
  SmallVector<Type> results;
  target::CoreAttr core;
  Builder &builder = parser.getBuilder();
  MaskKindAttr mask;
  FloatAttr scale;
  if (parser.parseOperand(query) || parser.parseComma() || parser.parseOperand(kv) ||
      parser.parseComma() || parser.parseOperand(batch) || parser.parseKeyword("mask") ||
      parser.parseCustomAttributeWithFallback(mask, Type{}, "mask", result.attributes) ||
      parser.parseKeyword("scale") ||
      parser.parseAttribute(scale, builder.getF32Type(), "scale", result.attributes))
    return failure();
  if (succeeded(parser.parseOptionalKeyword("core")) &&
      parser.parseCustomAttributeWithFallback(core, Type{}, "core", result.attributes))
    return failure();
  if (parser.parseOptionalAttrDict(result.attributes) || parser.parseColonType(queryType) ||
      parser.parseComma() || parser.parseType(kvType) || parser.parseArrowTypeList(results))
    return failure();
  result.addTypes(results);
  Type batchType = BatchType::get(builder.getContext());
  if (parser.resolveOperand(query, queryType, result.operands) ||
      parser.resolveOperand(kv, kvType, result.operands) ||
      parser.resolveOperand(batch, batchType, result.operands))
    return failure();
  int64_t group = 1;
  return parseEpilogues(parser, result, group);
}

void AttentionOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getOperands() << " mask ";
  printer.printStrippedAttrOrType(getMaskAttr());
  printer << " scale ";
  printer.printAttributeWithoutType(getScaleAttr());
  if (target::CoreAttr core = getCoreAttr()) {
    printer << " core ";
    printer.printStrippedAttrOrType(core);
  }
  printer.printOptionalAttrDict((*this)->getAttrs(),
                                {getMaskAttrName(), getScaleAttrName(), getCoreAttrName()});
  printer << " : " << getQuery().getType() << ", " << getKv().getType();
  printer.printArrowTypeList(getOutputs().getTypes());
  printEpilogues(printer, getEpilogue());
}
