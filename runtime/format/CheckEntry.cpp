//===- CheckEntry.cpp - the entries and commands of a program -------------===//
//
// Every binding is compared with the signature of the kernel that will use it: where the bytes
// come from, how many the kernel touches when the symbol is at its bound, and who may write them.
//
//===----------------------------------------------------------------------===//

#include "runtime/format/CheckField.h"

#include <vector>

namespace llama4::check {

namespace {

/// The bytes that a tensor parameter touches: `rows` windows of `width` bytes, `stride` apart.
struct Extent {
  BindingKind base;
  uint32_t index;
  uint64_t offset, rows, stride, width;
  bool written;

  uint64_t end() const { return offset + (rows - 1) * stride + width; }
  bool sameBytes(const Extent &other) const {
    return offset == other.offset && rows == other.rows && stride == other.stride &&
           width == other.width;
  }
};

uint64_t rowWidth(const KernelParam &param) { return rowBytes(param.type, param.columns); }

/// True when two extents of one base share a byte, other than by lying in different columns of the
/// same rows.
bool overlap(const Extent &a, const Extent &b) {
  if (a.base != b.base || a.index != b.index || a.end() <= b.offset || b.end() <= a.offset)
    return false;
  if (a.stride != b.stride)
    return true;
  const Extent &first = a.offset <= b.offset ? a : b;
  const Extent &second = a.offset <= b.offset ? b : a;
  uint64_t distance = (second.offset - first.offset) % first.stride;
  return distance < first.width || first.stride - distance < second.width;
}

class EntryChecker {
public:
  EntryChecker(const ProgramDesc &program, const Entry &entry) : program_(program), entry_(entry) {}

  Status check(const std::string &at);

private:
  Status checkTensors(const std::string &at, const std::vector<EntryTensor> &tensors, bool inputs);
  Status checkRole(const std::string &at, const EntryTensor &tensor);
  Status checkGrid(const std::string &at, const EntryTensor &tensor);
  Status checkArena(const std::string &at);
  Status checkCommand(const std::string &at, const Command &command);
  Status checkBinding(const std::string &at, const Binding &binding, const KernelParam &param);
  Status checkExperts(const std::string &at, const Command &command, const Kernel &kernel);
  Status checkWeight(const std::string &at, const Binding &binding, const KernelParam &param);
  Status checkKv(const std::string &at, const Binding &binding, const KernelParam &param);
  Status checkTensor(const std::string &at, const Binding &binding, const KernelParam &param);
  Status checkArgument(const std::string &at, const Binding &binding, const KernelParam &param);
  Status checkOverlaps(const std::string &at);

  const ProgramDesc &program_;
  const Entry &entry_;
  uint64_t arena_ = 0;
  std::vector<bool> outputWritten_;
  std::vector<Extent> extents_; ///< tensors of the current command
};

Status EntryChecker::check(const std::string &at) {
  LLAMA4_RETURN_IF_ERROR(nameIsGood(at + ".function", entry_.function));
  LLAMA4_RETURN_IF_ERROR(nameIsGood(at + ".symbol", entry_.symbol));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".bound", entry_.bound, 1, limits::maxSymbol));
  LLAMA4_RETURN_IF_ERROR(checkTensors(at + ".inputs", entry_.inputs, true));
  LLAMA4_RETURN_IF_ERROR(checkTensors(at + ".outputs", entry_.outputs, false));
  LLAMA4_RETURN_IF_ERROR(checkArena(at));
  outputWritten_.assign(entry_.outputs.size(), false);
  LLAMA4_RETURN_IF_ERROR(
      inRange(at + ".commands (number)", entry_.commands.size(), 1, limits::maxCommands));
  for (size_t c = 0; c < entry_.commands.size(); ++c)
    LLAMA4_RETURN_IF_ERROR(checkCommand(atIndex(at + ".commands", c), entry_.commands[c]));
  for (size_t o = 0; o < outputWritten_.size(); ++o)
    if (!outputWritten_[o])
      return badField(atIndex(at + ".outputs", o), "an output no command writes",
                      "a command that writes it");
  return {};
}

Status EntryChecker::checkTensors(const std::string &at, const std::vector<EntryTensor> &tensors,
                                  bool inputs) {
  LLAMA4_RETURN_IF_ERROR(inRange(at + " (number)", tensors.size(), 0, limits::maxTensors));
  Names names;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const EntryTensor &tensor = tensors[i];
    std::string here = atIndex(at, i);
    LLAMA4_RETURN_IF_ERROR(names.add(here + ".name", tensor.name));
    LLAMA4_RETURN_IF_ERROR(inRange(here + ".columns", tensor.columns, 0, limits::maxColumns));
    LLAMA4_RETURN_IF_ERROR(
        inRange(here + ".rows_per_symbol", tensor.rowsPerSymbol, 0, limits::maxRowsPerSymbol));
    LLAMA4_RETURN_IF_ERROR(inRange(here + ".rows_fixed", tensor.rowsFixed, 0, limits::maxSymbol));
    if (tensor.rowsPerSymbol == 0 && tensor.rowsFixed == 0)
      return badField(here + ".rows_per_symbol", "no rows", "at least one row");
    if (rowBytes(tensor.type, tensor.columns) == 0)
      return badField(here + ".columns", "0",
                      "a number of columns for " + std::string(elementTypeName(tensor.type)));
    std::optional<uint64_t> bytes =
        checkedMul(tensor.rows(entry_.bound), rowBytes(tensor.type, tensor.columns));
    if (!bytes || *bytes > limits::maxArenaBytes)
      return badField(here + ".columns", std::to_string(tensor.columns) + " in too many rows",
                      "at most " + std::to_string(limits::maxArenaBytes) + " bytes in all");
    if (inputs)
      LLAMA4_RETURN_IF_ERROR(checkRole(here, tensor));
  }
  return {};
}

Status EntryChecker::checkRole(const std::string &at, const EntryTensor &tensor) {
  if (tensor.role == InputRole::Ids && (tensor.type != ElementType::I32 || tensor.columns != 0))
    return badField(at + ".type", elementTypeName(tensor.type), "i32 without columns for ids");
  if (tensor.role == InputRole::Temperature) {
    if (tensor.type != ElementType::F32)
      return badField(at + ".type", elementTypeName(tensor.type), "f32 for temperatures");
    if (tensor.temperature >= program_.temperatures.size())
      return badField(at + ".temperature", std::to_string(tensor.temperature),
                      "an index below " + std::to_string(program_.temperatures.size()));
    return inRange(at + ".columns", tensor.columns, 1, 1);
  }
  if (tensor.role == InputRole::GridCos || tensor.role == InputRole::GridSin)
    return checkGrid(at, tensor);
  if (tensor.role != InputRole::Cos && tensor.role != InputRole::Sin)
    return {};
  if (tensor.type != ElementType::F32)
    return badField(at + ".type", elementTypeName(tensor.type), "f32 for cos and sin");
  if (tensor.rope >= program_.ropes.size())
    return badField(at + ".rope", std::to_string(tensor.rope),
                    "an index below " + std::to_string(program_.ropes.size()));
  uint64_t values = program_.ropes[tensor.rope].invFreq.size();
  return inRange(at + ".columns", tensor.columns, values, values);
}

/// Inputs from a grid have its rows whatever the symbol.
Status EntryChecker::checkGrid(const std::string &at, const EntryTensor &tensor) {
  if (tensor.type != ElementType::F32)
    return badField(at + ".type", elementTypeName(tensor.type), "f32 for cos and sin");
  if (tensor.grid >= program_.grids.size())
    return badField(at + ".grid", std::to_string(tensor.grid),
                    "an index below " + std::to_string(program_.grids.size()));
  const RopeGrid &grid = program_.grids[tensor.grid];
  const uint64_t columns = 2 * grid.invFreq.size();
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".columns", tensor.columns, columns, columns));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".rows_per_symbol", tensor.rowsPerSymbol, 0, 0));
  return inRange(at + ".rows_fixed", tensor.rowsFixed, grid.tokens(), grid.tokens());
}

Status EntryChecker::checkArena(const std::string &at) {
  std::optional<uint64_t> growing = checkedMul(entry_.arenaPerSymbol, entry_.bound);
  std::optional<uint64_t> whole = growing ? checkedAdd(*growing, entry_.arenaFixed) : std::nullopt;
  if (!whole || *whole > limits::maxArenaBytes)
    return badField(at + ".arena_per_symbol", std::to_string(entry_.arenaPerSymbol),
                    "an arena of at most " + std::to_string(limits::maxArenaBytes) + " bytes");
  arena_ = *whole;
  return {};
}

/// Tiles are calls of the library: so many for each unit.
static Status checkLibraryGrid(const std::string &at, const GridExpr &grid, const Kernel &kernel) {
  LLAMA4_ASSIGN_OR_RETURN(LibraryLinear linear, readLibraryLinear(at, kernel));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".div", grid.div, 1, 1));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".mul", grid.mul, linear.calls(), linear.calls()));
  return inRange(at + ".add", grid.add, 0, 0);
}

Status EntryChecker::checkCommand(const std::string &at, const Command &command) {
  if (command.kernel >= program_.kernels.size())
    return badField(at + ".kernel", std::to_string(command.kernel),
                    "an index below " + std::to_string(program_.kernels.size()));
  const Kernel &kernel = program_.kernels[command.kernel];
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".bindings (number)", command.bindings.size(),
                                 kernel.params.size(), kernel.params.size()));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".grid.div", command.grid.div, 1, limits::maxSymbol));
  LLAMA4_RETURN_IF_ERROR(
      inRange(at + ".grid (tiles)", command.grid.tiles(entry_.bound), 1, limits::maxTiles));
  LLAMA4_RETURN_IF_ERROR(
      inRange(at + ".constants (number)", command.constants.size(), 0, limits::maxConstants));
  LLAMA4_RETURN_IF_ERROR(inRange(at + ".sources (bytes)", command.sources.size(), 0, 1u << 16));
  if (!kernel.library.empty())
    LLAMA4_RETURN_IF_ERROR(checkLibraryGrid(at + ".grid", command.grid, kernel));
  extents_.clear();
  for (size_t b = 0; b < command.bindings.size(); ++b)
    LLAMA4_RETURN_IF_ERROR(
        checkBinding(atIndex(at + ".bindings", b), command.bindings[b], kernel.params[b]));
  LLAMA4_RETURN_IF_ERROR(checkExperts(at, command, kernel));
  return checkOverlaps(at);
}

Status EntryChecker::checkBinding(const std::string &at, const Binding &binding,
                                  const KernelParam &param) {
  bool isWeight = binding.kind == BindingKind::Weight;
  bool isKv = binding.kind == BindingKind::Kv;
  if (isWeight != (param.kind == ParamKind::Weight) || isKv != (param.kind == ParamKind::Kv))
    return badField(at + ".kind", std::to_string(static_cast<unsigned>(binding.kind)),
                    "the kind of memory the kernel's signature names");
  if (isWeight)
    return checkWeight(at, binding, param);
  return isKv ? checkKv(at, binding, param) : checkTensor(at, binding, param);
}

/// A grouped linear finds the matrix of an expert by its number: all its weights have as many.
Status EntryChecker::checkExperts(const std::string &at, const Command &command,
                                  const Kernel &kernel) {
  for (size_t b = 0; kernel.experts != 0 && b < command.bindings.size(); ++b) {
    if (kernel.params[b].kind != ParamKind::Weight)
      continue;
    const uint32_t matrices = program_.weights[command.bindings[b].index].matrices;
    if (matrices != kernel.experts)
      return badField(atIndex(at + ".bindings", b) + ".index",
                      "a weight of " + std::to_string(matrices) + " matrices",
                      std::to_string(kernel.experts) + ", one for each expert");
  }
  return {};
}

Status EntryChecker::checkWeight(const std::string &at, const Binding &binding,
                                 const KernelParam &param) {
  if (binding.index >= program_.weights.size())
    return badField(at + ".index", std::to_string(binding.index),
                    "a weight below " + std::to_string(program_.weights.size()));
  const Weight &weight = program_.weights[binding.index];
  if (weight.encoding != param.encoding)
    return badField(at + ".index", "a weight in " + quoteName(weight.encoding),
                    quoteName(param.encoding) + " as the kernel reads");
  LLAMA4_RETURN_IF_ERROR(aligned(at + ".offset", binding.offset, tensorAlignment));
  if (!rangeInside(binding.offset, param.rowBytes, weight.bytes))
    return badField(at + ".offset",
                    std::to_string(param.rowBytes) + " bytes at " + std::to_string(binding.offset),
                    "a range inside the " + std::to_string(weight.bytes) + " bytes of the weight");
  return {};
}

Status EntryChecker::checkKv(const std::string &at, const Binding &binding,
                             const KernelParam &param) {
  if (binding.index >= program_.kvKinds.size())
    return badField(at + ".index", std::to_string(binding.index),
                    "a kv kind below " + std::to_string(program_.kvKinds.size()));
  const KvKind &kind = program_.kvKinds[binding.index];
  if (binding.offset >= kind.layers)
    return badField(at + ".offset", "layer " + std::to_string(binding.offset),
                    "a layer below " + std::to_string(kind.layers));
  if (kind.type != param.type)
    return badField(at + ".index", "a cache of " + std::string(elementTypeName(kind.type)),
                    std::string(elementTypeName(param.type)) + " as the kernel reads");
  if (kind.pageBytes != param.rowBytes)
    return badField(at + ".index", "pages of " + std::to_string(kind.pageBytes) + " bytes",
                    std::to_string(param.rowBytes) + " as the kernel reads");
  return {};
}

Status EntryChecker::checkTensor(const std::string &at, const Binding &binding,
                                 const KernelParam &param) {
  LLAMA4_RETURN_IF_ERROR(aligned(at + ".offset", binding.offset, L4_ROW_ALIGN));
  uint64_t rows = param.rows(entry_.bound);
  std::optional<uint64_t> body = checkedMul(rows - 1, param.rowBytes);
  std::optional<uint64_t> bytes = body ? checkedAdd(*body, rowWidth(param)) : std::nullopt;
  if (!bytes || *bytes > limits::maxArenaBytes)
    return badField(at, "a tensor of too many bytes",
                    "at most " + std::to_string(limits::maxArenaBytes));
  if (binding.kind == BindingKind::Transient) {
    LLAMA4_RETURN_IF_ERROR(inRange(at + ".index", binding.index, 0, 0));
    if (!rangeInside(binding.offset, *bytes, arena_))
      return badField(at + ".offset",
                      std::to_string(*bytes) + " bytes at " + std::to_string(binding.offset),
                      "a range inside the arena of " + std::to_string(arena_) + " bytes");
  } else {
    LLAMA4_RETURN_IF_ERROR(checkArgument(at, binding, param));
  }
  extents_.push_back({binding.kind, binding.index, binding.offset, rows, param.rowBytes,
                      rowWidth(param), param.access != Access::Read});
  return {};
}

Status EntryChecker::checkArgument(const std::string &at, const Binding &binding,
                                   const KernelParam &param) {
  bool isInput = binding.kind == BindingKind::Input;
  const std::vector<EntryTensor> &tensors = isInput ? entry_.inputs : entry_.outputs;
  if (binding.index >= tensors.size())
    return badField(at + ".index", std::to_string(binding.index),
                    "an index below " + std::to_string(tensors.size()));
  const EntryTensor &tensor = tensors[binding.index];
  if (isInput && param.access != Access::Read)
    return badField(at + ".kind", "a kernel that writes an input", "inputs only read");
  if (isInput && tensor.role == InputRole::Batch)
    return badField(at + ".index", "the batch input", "an input that has memory");
  if (!isInput && param.access != Access::Read)
    outputWritten_[binding.index] = true;
  if (tensor.type != param.type)
    return badField(at + ".index", "a tensor of " + std::string(elementTypeName(tensor.type)),
                    std::string(elementTypeName(param.type)) + " as the kernel's signature says");
  uint64_t stride = rowBytes(tensor.type, tensor.columns);
  if (param.rowBytes != stride || (param.columns == 0) != (tensor.columns == 0))
    return badField(at + ".index", "rows of " + std::to_string(stride) + " bytes",
                    std::to_string(param.rowBytes) + " as the kernel's signature says");
  if (!rangeInside(binding.offset, rowWidth(param), stride))
    return badField(at + ".offset", std::to_string(binding.offset),
                    "columns inside a row of " + std::to_string(stride) + " bytes");
  // Both counts are linear in the symbol: what holds at both ends holds between.
  if (param.rows(1) > tensor.rows(1) || param.rows(entry_.bound) > tensor.rows(entry_.bound))
    return badField(at + ".index", std::to_string(tensor.rows(entry_.bound)) + " rows",
                    std::to_string(param.rows(entry_.bound)) + " as the kernel touches");
  return {};
}

Status EntryChecker::checkOverlaps(const std::string &at) {
  for (size_t a = 0; a < extents_.size(); ++a)
    for (size_t b = a + 1; b < extents_.size(); ++b)
      if ((extents_[a].written || extents_[b].written) && overlap(extents_[a], extents_[b]) &&
          !extents_[a].sameBytes(extents_[b]))
        return badField(at + ".bindings",
                        "a written tensor at " + std::to_string(extents_[a].offset) +
                            " overlapping another at " + std::to_string(extents_[b].offset),
                        "separate memory, or exactly the same for work in place");
  return {};
}

} // namespace

Status checkEntry(const std::string &at, const ProgramDesc &program, const Entry &entry) {
  return EntryChecker(program, entry).check(at);
}

} // namespace llama4::check
