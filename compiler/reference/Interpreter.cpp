//===- Interpreter.cpp - executes lm modules ------------------------------===//

#include "compiler/reference/Interpreter.h"

#include "compiler/reference/Frame.h"
#include "compiler/reference/Images.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Rope.h"
#include "runtime/format/RopeGrid.h"
#include "runtime/format/Temperature.h"

using namespace mlir;

namespace llama4::reference {

std::string argumentName(func::FuncOp func, unsigned index) {
  if (auto name = func.getArgAttrOfType<StringAttr>(index, lm::argNameAttrName))
    return name.str();
  return "arg" + std::to_string(index);
}

std::string traceText(const TraceName &name) {
  return (name.path.empty() ? "" : name.path + "/") + name.op +
         (name.result ? "." + std::to_string(name.result) : "");
}

Result<std::shared_ptr<const HostTensor>> Interpreter::parameter(StringRef name) {
  TensorRef &values = parameters_[name.str()];
  if (values)
    return values;
  auto op = module_.lookupSymbol<lm::ParamOp>(name);
  if (!op)
    return Status::invalidInput("found no parameter " + quoteName(name.str()) + " in the module");
  RankedTensorType type = op.getTensorType();
  lm::SourceAttr source = op.getSource();
  ParamRequest request{{name.str(), source.getName().str(), source.getUnpermuteHeads(),
                        type.getShape().vec(), source.getTranspose(), source.getFirstRow(),
                        source.getPerExpert(), source.getScale().str(), source.getBits(),
                        source.getZeroPoint().str()},
                       elementOf(type.getElementType())};
  LLAMA4_ASSIGN_OR_RETURN(HostTensor read, params_.read(request));
  values = std::make_shared<const HostTensor>(std::move(read));
  return values;
}

static std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text = "[";
  for (int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") +
            (ShapedType::isDynamic(extent) ? std::string("?") : std::to_string(extent));
  return text + "]";
}

/// The input is of the argument's rank, extents and element format.
static Status checkInput(const std::string &name, RankedTensorType type, const HostTensor &input) {
  bool fits = type.getRank() == static_cast<int64_t>(input.shape.size()) &&
              elementOf(type.getElementType()) == input.element;
  // A fixed number of rows is a bound: the result of another entry may have fewer.
  for (int64_t i = 0; fits && i < type.getRank(); ++i)
    fits = type.isDynamicDim(i) || type.getDimSize(i) == input.shape[i] ||
           (i == 0 && input.shape[i] < type.getDimSize(i));
  if (fits)
    return {};
  return Status::invalidInput("input " + quoteName(name) + ": found " +
                              std::string(elementName(input.element)) + shapeText(input.shape) +
                              ", expected " +
                              std::string(elementName(elementOf(type.getElementType()))) +
                              shapeText(type.getShape()) + ".");
}

/// Floats stored in the argument's format.
static HostTensor convert(HostTensor input, Element element) {
  if (input.element == element || input.element != Element::F32 || element == Element::I32)
    return input;
  HostTensor stored = HostTensor::zeros(element, input.shape);
  for (int64_t row = 0; row < input.rows(); ++row)
    stored.store(row, input.row(row));
  return stored;
}

/// cos or sin of the places of a grid.
static HostTensor gridInput(lm::RopeGridOp grid, bool wantsCos) {
  ArrayRef<float> invFreq = grid.getInvFreq();
  const auto rows = static_cast<int64_t>(grid.getRows());
  const auto columns = static_cast<int64_t>(grid.getColumns());
  HostTensor cos = HostTensor::zeros(
      Element::F32, {rows * columns + 1, 2 * static_cast<int64_t>(invFreq.size())});
  HostTensor sin = cos;
  fillRopeGrid({invFreq.data(), invFreq.size()}, rows, columns, cos.values.data(),
               sin.values.data());
  return wantsCos ? cos : sin;
}

/// cos or sin of the batch's positions, or of a grid, from the table that the argument names.
static Result<HostTensor> ropeInput(func::FuncOp func, unsigned index, const Batch &batch) {
  auto symbol = func.getArgAttrOfType<FlatSymbolRefAttr>(index, lm::argRopeAttrName);
  auto role = func.getArgAttrOfType<StringAttr>(index, lm::argRoleAttrName);
  Operation *named = symbol ? SymbolTable::lookupNearestSymbolFrom(func, symbol) : nullptr;
  if (!named || !role || (role != "cos" && role != "sin"))
    return Status::invalidInput("input " + quoteName(argumentName(func, index)) + " of entry " +
                                quoteName(func.getName().str()) + " is missing.");
  if (auto grid = dyn_cast<lm::RopeGridOp>(named))
    return gridInput(grid, role == "cos");
  auto table = cast<lm::RopeTableOp>(named);
  ArrayRef<float> invFreq = table.getInvFreq();
  HostTensor cos =
      HostTensor::zeros(Element::F32, {batch.tokens(), static_cast<int64_t>(invFreq.size())});
  HostTensor sin = cos;
  fillRope({invFreq.data(), invFreq.size()}, batch.positions, cos.values.data(), sin.values.data(),
           invFreq.size());
  return role == "cos" ? cos : sin;
}

/// What the engine would fill an argument with that is not given.
static Result<HostTensor> tableInput(func::FuncOp func, unsigned index, const Batch &batch) {
  auto symbol = func.getArgAttrOfType<FlatSymbolRefAttr>(index, lm::argTemperatureAttrName);
  auto table = symbol ? SymbolTable::lookupNearestSymbolFrom<lm::TemperatureTableOp>(func, symbol)
                      : lm::TemperatureTableOp();
  if (!table)
    return ropeInput(func, index, batch);
  HostTensor factors = HostTensor::zeros(Element::F32, {batch.tokens(), 1});
  fillTemperature(table.getAttnScale().convertToFloat(), table.getFloorScale(), batch.positions,
                  factors.values.data(), 1);
  return factors;
}

static Status bindInputs(Frame &frame, func::FuncOp func, const NamedTensors &inputs,
                         const Batch &batch) {
  for (BlockArgument argument : func.getArguments()) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type)
      continue; // the batch and the state belong to the interpreter
    const std::string name = argumentName(func, argument.getArgNumber());
    auto given = inputs.find(name);
    HostTensor input;
    if (given != inputs.end()) {
      input = given->second;
    } else {
      LLAMA4_ASSIGN_OR_RETURN(input, tableInput(func, argument.getArgNumber(), batch));
    }
    input = convert(std::move(input), elementOf(type.getElementType()));
    LLAMA4_RETURN_IF_ERROR(checkInput(name, type, input));
    frame.bind(argument, std::make_shared<const HostTensor>(std::move(input)));
  }
  return {};
}

Result<std::vector<HostTensor>>
Interpreter::runEntry(const std::string &name, const NamedTensors &inputs, const Batch &batch) {
  auto func = module_.lookupSymbol<func::FuncOp>(name);
  if (!func || func.isExternal())
    return Status::invalidInput("found no entry " + quoteName(name) + " in the module.");
  if (batch.positions.size() != batch.sequences.size())
    return Status::internal("a batch of " + std::to_string(batch.positions.size()) +
                            " positions and " + std::to_string(batch.sequences.size()) +
                            " sequences.");
  Frame frame(*this, batch);
  LLAMA4_RETURN_IF_ERROR(bindInputs(frame, func, inputs, batch));
  for (Operation &op : func.front())
    LLAMA4_RETURN_IF_ERROR(frame.execute(&op));
  std::vector<HostTensor> results;
  for (Value value : func.front().getTerminator()->getOperands())
    results.push_back(*frame.tensor(value));
  return results;
}

//===----------------------------------------------------------------------===//
// Tokens in, logits out
//===----------------------------------------------------------------------===//

/// The bound of an entry, or why it can't be run.
static Result<int64_t> boundOf(ModuleOp module, StringRef name) {
  auto func = module.lookupSymbol<func::FuncOp>(name);
  lm::EntryAttr entry = func ? lm::getEntry(func) : lm::EntryAttr();
  if (!entry)
    return Status::invalidInput("found no entry " + quoteName(name.str()) + " in the module.");
  return entry.getBound();
}

/// Appends the rows of `part`.
static void append(HostTensor &to, const HostTensor &part) {
  if (to.shape.empty())
    to.shape = {0, part.columns()};
  to.values.insert(to.values.end(), part.values.begin(), part.values.end());
  to.shape[0] += part.rows();
}

/// Appends the logits of all rows of one step.
static Status appendLogits(Interpreter &interpreter, HostTensor hidden, int64_t maxRows,
                           HostTensor &logits) {
  const int64_t tokens = hidden.rows();
  NamedTensors inputs;
  inputs["hidden"] = std::move(hidden);
  for (int64_t first = 0; first < tokens; first += maxRows) {
    std::vector<int32_t> rows;
    for (int64_t row = first; row < std::min(tokens, first + maxRows); ++row)
      rows.push_back(static_cast<int32_t>(row));
    inputs["rows"] = HostTensor::indices(std::move(rows));
    LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> results,
                            interpreter.runEntry("logits", inputs));
    append(logits, results.at(0));
  }
  return {};
}

Result<HostTensor> runTokens(Interpreter &interpreter, const std::vector<int32_t> &ids,
                             const Batch &batch, const StepImages &images) {
  LLAMA4_ASSIGN_OR_RETURN(const int64_t maxTokens, boundOf(interpreter.module(), "step"));
  LLAMA4_ASSIGN_OR_RETURN(const int64_t maxRows, boundOf(interpreter.module(), "logits"));
  const int64_t features = images.features.shape.empty() ? 0 : images.features.rows();
  LLAMA4_ASSIGN_OR_RETURN(const std::vector<int32_t> rows,
                          featureRows(interpreter.module(), ids, features));
  const auto tokens = static_cast<int64_t>(ids.size());
  HostTensor logits;
  for (int64_t first = 0; first < tokens; first += maxTokens) {
    const int64_t last = std::min(tokens, first + maxTokens);
    Batch part;
    part.positions.assign(batch.positions.begin() + first, batch.positions.begin() + last);
    part.sequences.assign(batch.sequences.begin() + first, batch.sequences.begin() + last);
    NamedTensors inputs;
    inputs["ids"] = HostTensor::indices({ids.begin() + first, ids.begin() + last});
    addImageInputs(interpreter.module(), images, rows, first, last, inputs);
    LLAMA4_ASSIGN_OR_RETURN(std::vector<HostTensor> hidden,
                            interpreter.runEntry("step", inputs, part));
    LLAMA4_RETURN_IF_ERROR(appendLogits(interpreter, std::move(hidden.at(0)), maxRows, logits));
  }
  return logits;
}

} // namespace llama4::reference
