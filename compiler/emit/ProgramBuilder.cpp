//===- ProgramBuilder.cpp - a planned cmd module as a program -------------===//

#include "compiler/emit/ProgramBuilder.h"

#include "compiler/emit/ModelFacts.h"
#include "passes/Formats.h"
#include "passes/kernel/Units.h"

#include "mlir/IR/AffineExpr.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace llama4;

namespace {

std::string joinStrings(ArrayAttr strings) {
  std::string text;
  for (auto string : strings.getAsRange<StringAttr>())
    text += (text.empty() ? "" : ", ") + string.getValue().str();
  return text;
}

/// `(T ceildiv d) * m`, `T * m`, `T` or a number, the forms that kernelGrid makes.
FailureOr<GridExpr> getGrid(AffineMap map) {
  GridExpr grid;
  AffineExpr expr = map.getResult(0);
  if (auto fixed = dyn_cast<AffineConstantExpr>(expr); fixed && fixed.getValue() >= 1) {
    grid.mul = 0;
    grid.add = static_cast<uint32_t>(fixed.getValue());
    return grid;
  }
  auto binary = dyn_cast<AffineBinaryOpExpr>(expr);
  if (binary && binary.getKind() == AffineExprKind::Mul) {
    auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
    if (!factor || factor.getValue() < 1)
      return failure();
    grid.mul = static_cast<uint32_t>(factor.getValue());
    expr = binary.getLHS();
    binary = dyn_cast<AffineBinaryOpExpr>(expr);
  }
  if (binary && binary.getKind() == AffineExprKind::CeilDiv) {
    auto divisor = dyn_cast<AffineConstantExpr>(binary.getRHS());
    if (!divisor || divisor.getValue() < 1)
      return failure();
    grid.div = static_cast<uint32_t>(divisor.getValue());
    expr = binary.getLHS();
  }
  return isa<AffineDimExpr>(expr) ? FailureOr<GridExpr>(grid) : FailureOr<GridExpr>(failure());
}

class ProgramBuilder {
public:
  ProgramBuilder(ModuleOp module, ProgramDesc &program, std::vector<WeightPlan> &weights)
      : module_(module), program_(program), weights_(weights) {}

  LogicalResult run() {
    describeModel(module_, program_);
    if (failed(addWeightSource()))
      return failure();
    for (auto table : module_.getOps<lm::RopeTableOp>())
      addRope(table);
    for (auto table : module_.getOps<lm::TemperatureTableOp>())
      addTemperature(table);
    for (auto grid : module_.getOps<lm::RopeGridOp>())
      addGrid(grid);
    llvm::DenseSet<StringAttr> used;
    module_.walk([&](cmd::WeightOp weight) { used.insert(weight.getParamAttr().getAttr()); });
    for (auto param : module_.getOps<lm::ParamOp>())
      if (used.contains(param.getSymNameAttr()) && failed(addWeight(param)))
        return failure();
    for (auto kernel : module_.getOps<cmd::KernelOp>())
      if (failed(addKernel(kernel)))
        return failure();
    for (auto entry : module_.getOps<cmd::EntryOp>())
      if (failed(addEntry(entry)))
        return failure();
    return success();
  }

private:
  LogicalResult addWeightSource();
  void addRope(lm::RopeTableOp table);
  void addTemperature(lm::TemperatureTableOp table);
  void addGrid(lm::RopeGridOp grid);
  LogicalResult addRopeInput(cmd::EntryOp entry, unsigned index, FlatSymbolRefAttr table,
                             EntryTensor &input);
  LogicalResult addWeight(lm::ParamOp param);
  LogicalResult addKernel(cmd::KernelOp kernel);
  LogicalResult addParam(cmd::KernelOp kernel, Type type, Access access, Kernel &out);
  void countWork(cmd::KernelOp kernel, Kernel &out);
  LogicalResult addEntry(cmd::EntryOp entry);
  LogicalResult addInput(cmd::EntryOp entry, unsigned index, Entry &out);
  LogicalResult addKv(Operation *op, lm::KvType type);
  LogicalResult addCommand(cmd::DispatchOp dispatch, Entry &out);
  FailureOr<Binding> getBinding(cmd::DispatchOp dispatch, Value value);

  ModuleOp module_;
  ProgramDesc &program_;
  std::vector<WeightPlan> &weights_;
  llvm::StringMap<uint32_t> weightIndex_, kernelIndex_, ropeIndex_, temperatureIndex_, gridIndex_;
  llvm::StringMap<AffineMap> grids_;
  std::vector<lm::KvType> kvTypes_; ///< of program_.kvKinds
};

LogicalResult ProgramBuilder::addWeightSource() {
  auto options = module_->getAttrOfType<DictionaryAttr>(lm::optionsAttrName);
  if (!options || !options.contains(syntheticWeightsName))
    return success();
  std::string text = getString(options, syntheticWeightsName);
  std::optional<WeightSource> source = parseWeightSource(text);
  if (!source)
    return module_.emitError() << "lm.options." << syntheticWeightsName << ": found '" << text
                               << "', expected random:SEED or splat:VALUE";
  program_.weightSource = *source;
  return success();
}

void ProgramBuilder::addRope(lm::RopeTableOp table) {
  RopeTable rope;
  rope.name = table.getSymName().str();
  rope.invFreq.assign(table.getInvFreq().begin(), table.getInvFreq().end());
  ropeIndex_[table.getSymName()] = static_cast<uint32_t>(program_.ropes.size());
  program_.ropes.push_back(std::move(rope));
}

void ProgramBuilder::addTemperature(lm::TemperatureTableOp op) {
  TemperatureTable table;
  table.name = op.getSymName().str();
  table.attnScale = op.getAttnScale().convertToFloat();
  table.floorScale = static_cast<uint64_t>(op.getFloorScale());
  temperatureIndex_[op.getSymName()] = static_cast<uint32_t>(program_.temperatures.size());
  program_.temperatures.push_back(std::move(table));
}

void ProgramBuilder::addGrid(lm::RopeGridOp op) {
  RopeGrid grid;
  grid.name = op.getSymName().str();
  grid.rows = static_cast<uint32_t>(op.getRows());
  grid.columns = static_cast<uint32_t>(op.getColumns());
  grid.invFreq.assign(op.getInvFreq().begin(), op.getInvFreq().end());
  gridIndex_[op.getSymName()] = static_cast<uint32_t>(program_.grids.size());
  program_.grids.push_back(std::move(grid));
}

/// How a laid out parameter is packed; nothing for a type that has no layout or encoding.
std::optional<pack::ParamSpec> getParamSpec(RankedTensorType type) {
  auto layout = dyn_cast_or_null<target::LayoutAttr>(type.getEncoding());
  std::optional<microkernels::Encoding> encoding = getEncoding(type.getElementType());
  if (!layout || !encoding)
    return std::nullopt;
  pack::ParamSpec spec;
  spec.matrices = type.getRank() == 3 ? type.getDimSize(0) : 1;
  spec.rows = type.getRank() >= 2 ? type.getDimSize(type.getRank() - 2) : 1;
  spec.cols = type.getShape().back();
  spec.encoding = *encoding;
  spec.panels = layout.getKind() == "panels";
  return spec;
}

/// Where the values of a parameter are.
SourceSpec getSourceSpec(lm::ParamOp param) {
  SourceSpec source;
  source.name = param.getSymName().str();
  source.source = param.getSource().getName().str();
  source.unpermuteHeads = param.getSource().getUnpermuteHeads();
  source.shape = param.getTensorType().getShape().vec();
  source.transpose = param.getSource().getTranspose();
  source.firstRow = param.getSource().getFirstRow();
  source.perExpert = param.getSource().getPerExpert();
  source.scale = param.getSource().getScale().str();
  source.bits = param.getSource().getBits();
  source.zeroPoint = param.getSource().getZeroPoint().str();
  return source;
}

LogicalResult ProgramBuilder::addWeight(lm::ParamOp param) {
  std::optional<pack::ParamSpec> spec = getParamSpec(param.getTensorType());
  if (!spec)
    return param.emitOpError("has no layout; run lm-select-layout");
  Weight weight;
  weight.name = param.getSymName().str();
  weight.encoding = microkernels::encodingName(spec->encoding);
  weight.rows = static_cast<uint64_t>(spec->rows);
  weight.columns = static_cast<uint64_t>(spec->cols);
  weight.matrices = static_cast<uint32_t>(spec->matrices);
  weight.bytes = pack::paramBytes(*spec);
  weightIndex_[param.getSymName()] = static_cast<uint32_t>(program_.weights.size());
  program_.weights.push_back(std::move(weight));
  weights_.push_back({getSourceSpec(param), *spec});
  return success();
}

/// As many rows as the symbol says, or a fixed number of them.
template <typename T> void setRows(RankedTensorType tensor, T &out) {
  bool fixed = !tensor.isDynamicDim(0);
  out.rowsPerSymbol = fixed ? 0 : static_cast<uint32_t>(lm::getRowsPerSymbol(tensor));
  out.rowsFixed =
      fixed ? static_cast<uint32_t>(tensor.getDimSize(0) * lm::getRowsPerSymbol(tensor)) : 0;
}

LogicalResult ProgramBuilder::addParam(cmd::KernelOp kernel, Type type, Access access,
                                       Kernel &out) {
  KernelParam param;
  param.access = access;
  if (auto kv = dyn_cast<lm::KvLayerType>(type)) {
    std::optional<ElementType> element = getElementType(kv.getElementType());
    param.kind = ParamKind::Kv;
    param.type = element.value_or(ElementType::F32);
    param.rowBytes = kvPageBytes(param.type, static_cast<uint32_t>(kv.getHeads()),
                                 static_cast<uint32_t>(kv.getDim()));
    out.params.push_back(param);
    return success();
  }
  auto tensor = cast<RankedTensorType>(type);
  if (std::optional<pack::ParamSpec> spec = getParamSpec(tensor)) {
    param.kind = ParamKind::Weight;
    param.rowBytes = pack::paramBytes(*spec);
    param.encoding = microkernels::encodingName(spec->encoding);
    out.params.push_back(param);
    return success();
  }
  std::optional<ElementType> element = getElementType(tensor.getElementType());
  std::optional<uint64_t> bytes = getRowBytes(tensor);
  if (!element || !bytes)
    return kernel.emitOpError("binds ")
           << tensor << ", which is neither rows nor a laid out weight";
  param.type = *element;
  param.columns = getRowColumns(tensor);
  param.rowBytes = *bytes;
  setRows(tensor, param);
  out.params.push_back(param);
  return success();
}

/// Multiply-adds of a linear and the weights that a dispatch reads as a whole (of an embedding it
/// is single rows), for reports; where a grouped linear has its tiles.
void ProgramBuilder::countWork(cmd::KernelOp kernel, Kernel &out) {
  if (!isa<lm::EmbedOp>(kernel.getFusedOp()))
    for (const KernelParam &param : out.params)
      if (param.kind == ParamKind::Weight)
        out.weightBytes += param.rowBytes;
  auto linear = dyn_cast<lm::LinearOp>(kernel.getFusedOp());
  if (!linear)
    return;
  int64_t rows = lm::getRowsPerSymbol(cast<RankedTensorType>(linear.getInput().getType()));
  for (Value weight : linear.getWeights()) {
    auto type = cast<RankedTensorType>(weight.getType());
    out.macsPerSymbol +=
        static_cast<uint64_t>(rows * lm::getMatrixRows(type) * lm::getColumns(type));
    if (linear.getTiles())
      out.experts = static_cast<uint32_t>(type.getDimSize(0));
  }
  for (BlockArgument argument : kernel.getBody().front().getArguments()) {
    if (argument == linear.getTiles())
      break;
    out.tilesParam += linear.getTiles() && cmd::isBinding(argument.getType());
  }
}

/// True when the fused op writes to paged state.
bool writesState(cmd::KernelOp kernel) {
  bool writes = false;
  kernel.walk([&](lm::KvPutOp) { writes = true; });
  return writes;
}

LogicalResult ProgramBuilder::addKernel(cmd::KernelOp kernel) {
  Kernel out;
  out.symbol = kernel.getSymName().str();
  out.scratchBytes = static_cast<uint64_t>(kernel.getScratch().value_or(0));
  if (auto library = kernel.getFusedOp()->getAttrOfType<StringAttr>(kernel::libraryAttrName))
    out.library = library.str();
  Access kvAccess = writesState(kernel) ? Access::ReadWrite : Access::Read;
  Block &body = kernel.getBody().front();
  for (Type type : body.getArgumentTypes()) {
    if (!cmd::isBinding(type))
      continue;
    Access access = isa<lm::KvLayerType>(type) ? kvAccess : Access::Read;
    if (failed(addParam(kernel, type, access, out)))
      return failure();
  }
  for (Type type : body.getTerminator()->getOperandTypes())
    if (failed(addParam(kernel, type, Access::Write, out)))
      return failure();
  for (Type type : kernel.getWorkspaceTypes())
    if (failed(addParam(kernel, type, Access::ReadWrite, out)))
      return failure();
  countWork(kernel, out);
  kernelIndex_[kernel.getSymName()] = static_cast<uint32_t>(program_.kernels.size());
  grids_[kernel.getSymName()] = kernel.getGrid();
  program_.kernels.push_back(std::move(out));
  return success();
}

LogicalResult ProgramBuilder::addKv(Operation *op, lm::KvType type) {
  KvKind kind;
  kind.name = type.getName().str();
  kind.layers = static_cast<uint32_t>(type.getLayers());
  kind.kvHeads = static_cast<uint32_t>(type.getHeads());
  kind.headDim = static_cast<uint32_t>(type.getDim());
  kind.type = getElementType(type.getElementType()).value_or(ElementType::F32);
  kind.chunkTokens = static_cast<uint32_t>(type.getChunk());
  kind.pageBytes = kvPageBytes(kind.type, kind.kvHeads, kind.headDim);
  size_t index = static_cast<size_t>(type.getKind());
  if (index > program_.kvKinds.size() || index >= L4_MAX_KV_KINDS)
    return op->emitOpError("uses KV kind ") << index << ", expected kinds in order from 0";
  if (index == program_.kvKinds.size()) {
    program_.kvKinds.push_back(std::move(kind));
    kvTypes_.push_back(type);
  }
  if (kvTypes_[index] != type)
    return op->emitOpError("uses ")
           << type << ", but KV kind " << index << " is " << kvTypes_[index];
  return success();
}

/// Cosines and sines come from a table by position, or from a grid by place.
LogicalResult ProgramBuilder::addRopeInput(cmd::EntryOp entry, unsigned index,
                                           FlatSymbolRefAttr name, EntryTensor &input) {
  auto grid = gridIndex_.find(name.getValue());
  if (grid != gridIndex_.end()) {
    input.grid = grid->second;
    input.role = input.role == InputRole::Sin ? InputRole::GridSin : InputRole::GridCos;
    return success();
  }
  auto table = ropeIndex_.find(name.getValue());
  if (table == ropeIndex_.end())
    return entry.emitOpError("input ") << index << " names " << name << ", which is no rope table";
  input.rope = table->second;
  return success();
}

LogicalResult ProgramBuilder::addInput(cmd::EntryOp entry, unsigned index, Entry &out) {
  Type type = entry.getBody().getArgument(index).getType();
  if (auto kv = dyn_cast<lm::KvType>(type))
    return addKv(entry, kv);
  auto dict = cast<DictionaryAttr>(entry.getArguments()[index]);
  EntryTensor input;
  input.name = getString(dict, "name");
  std::string role = getString(dict, "role");
  input.role = llvm::StringSwitch<InputRole>(role)
                   .Case("ids", InputRole::Ids)
                   .Case("cos", InputRole::Cos)
                   .Case("sin", InputRole::Sin)
                   .Case("temperature", InputRole::Temperature)
                   .Default(InputRole::Tensor);
  if (auto rope = dict.getAs<FlatSymbolRefAttr>("rope"))
    if (failed(addRopeInput(entry, index, rope, input)))
      return failure();
  if (auto temperature = dict.getAs<FlatSymbolRefAttr>("temperature")) {
    auto table = temperatureIndex_.find(temperature.getValue());
    if (table == temperatureIndex_.end())
      return entry.emitOpError("input ")
             << index << " names " << temperature << ", which is no temperature table";
    input.temperature = table->second;
  }
  if (isa<lm::BatchType>(type)) {
    input.role = InputRole::Batch;
    input.type = ElementType::I64;
    out.inputs.push_back(std::move(input));
    return success();
  }
  RankedTensorType tensor = cast<cmd::BufferType>(type).getTensor();
  std::optional<ElementType> element = getElementType(tensor.getElementType());
  if (!element || !getRowBytes(tensor))
    return entry.emitOpError("input ") << index << " is " << tensor << ", expected rows";
  input.type = *element;
  input.columns = getRowColumns(tensor);
  setRows(tensor, input);
  out.inputs.push_back(std::move(input));
  return success();
}

LogicalResult ProgramBuilder::addEntry(cmd::EntryOp entry) {
  Entry out;
  out.name = entry.getSymName().str();
  out.function = entry.getSymName().str();
  out.symbol = entry.getEntry().getSymbol().str();
  out.bound = static_cast<uint32_t>(entry.getEntry().getBound());
  if (entry.getEntry().getDecode()) {
    out.specialization = Specialization::Decode;
    out.function = StringRef(out.function).split("_decode").first.str();
  }
  Block &body = entry.getBody().front();
  for (unsigned i = 0; i < body.getNumArguments(); ++i)
    if (failed(addInput(entry, i, out)))
      return failure();
  for (auto [index, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    RankedTensorType tensor = cast<cmd::BufferType>(value.getType()).getTensor();
    EntryTensor output;
    output.name = "out" + std::to_string(index);
    std::optional<ElementType> element = getElementType(tensor.getElementType());
    if (!element)
      return entry.emitOpError("result ") << index << " is " << tensor << ", expected rows";
    output.type = *element;
    output.columns = getRowColumns(tensor);
    setRows(tensor, output);
    out.outputs.push_back(std::move(output));
  }
  // Sizes were planned at the bound; every size is proportional to the symbol there.
  out.arenaFixed = static_cast<uint64_t>(entry.getArena().value_or(0));
  for (auto dispatch : body.getOps<cmd::DispatchOp>())
    if (failed(addCommand(dispatch, out)))
      return failure();
  program_.entries.push_back(std::move(out));
  return success();
}

/// Index of an entry's input among those that the program lists (paged state is not listed).
uint32_t inputIndex(BlockArgument argument) {
  uint32_t index = 0;
  for (BlockArgument other :
       argument.getOwner()->getArguments().take_front(argument.getArgNumber()))
    index += !isa<lm::KvType>(other.getType());
  return index;
}

FailureOr<Binding> ProgramBuilder::getBinding(cmd::DispatchOp dispatch, Value value) {
  Binding binding;
  if (auto weight = value.getDefiningOp<cmd::WeightOp>()) {
    binding.kind = BindingKind::Weight;
    binding.index = weightIndex_.lookup(weight.getParam());
    return binding;
  }
  if (auto layer = value.getDefiningOp<lm::KvLayerOp>()) {
    binding.kind = BindingKind::Kv;
    binding.index = static_cast<uint32_t>(layer.getType().getKind());
    binding.offset = layer.getLayer();
    return binding;
  }
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    binding.kind = BindingKind::Input;
    binding.index = inputIndex(argument);
    return binding;
  }
  auto alloc = value.getDefiningOp<cmd::AllocOp>();
  if (!alloc)
    return dispatch.emitOpError("binds a value that is no buffer");
  auto results = dispatch->getBlock()->getTerminator()->getOperands();
  auto it = llvm::find(results, value);
  if (it != results.end()) {
    binding.kind = BindingKind::Output;
    binding.index = static_cast<uint32_t>(std::distance(results.begin(), it));
    return binding;
  }
  if (!alloc.getOffset())
    return alloc.emitOpError("has no place in the arena; run cmd-plan-memory");
  binding.offset = *alloc.getOffset();
  return binding;
}

LogicalResult ProgramBuilder::addCommand(cmd::DispatchOp dispatch, Entry &out) {
  Command command;
  command.kernel = kernelIndex_.lookup(dispatch.getKernel());
  command.sources = joinStrings(dispatch.getSources());
  FailureOr<GridExpr> grid = getGrid(grids_.lookup(dispatch.getKernel()));
  if (failed(grid))
    return dispatch.emitOpError("has a grid that no program can hold; expected (T ceildiv d) * m");
  command.grid = *grid;
  for (Value value :
       llvm::concat<Value>(llvm::to_vector(dispatch.getIns()), llvm::to_vector(dispatch.getOuts()),
                           llvm::to_vector(dispatch.getWorkspace()))) {
    if (!cmd::isBinding(value.getType()))
      continue;
    FailureOr<Binding> binding = getBinding(dispatch, value);
    if (failed(binding))
      return failure();
    command.bindings.push_back(*binding);
  }
  out.commands.push_back(std::move(command));
  return success();
}

} // namespace

LogicalResult llama4::buildProgram(ModuleOp module, ProgramDesc &program,
                                   std::vector<WeightPlan> &weights) {
  return ProgramBuilder(module, program, weights).run();
}
