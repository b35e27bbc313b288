//===- InvokeEntry.cpp - one entry of a program, run once -----------------===//

#include "runtime/engine/Invoke.h"

#include "runtime/engine/RopeInputs.h"
#include "runtime/format/Half.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Temperature.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

namespace {

uint16_t floatToBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u); // NaN stays NaN
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// One call of an entry: its arguments, from the file or made up for the batch.
class Invocation {
public:
  Invocation(std::shared_ptr<const Program> program, Device &device, const Entry &entry,
             const SafetensorsFile &file)
      : program_(std::move(program)), device_(device), entry_(entry), file_(file) {}

  Result<OwnedTensors> run(uint32_t index);

private:
  Status findSymbol();
  bool isHidden(const EntryTensor &input) const {
    return entry_.function == "logits" && input.name == "hidden";
  }
  uint64_t mostRows(const EntryTensor &input) const;
  uint64_t countIds(uint32_t input) const;
  Result<uint64_t> firstPosition() const;
  Result<uint32_t> makeCache(uint64_t first);
  Status checkRows();
  Status addInput(const EntryTensor &input);
  Status fillInput(const EntryTensor &input, const SafetensorsTensor &tensor, std::byte *data);
  Status makeBatch();
  Status makeRope(const EntryTensor &input, std::byte *data);
  Status wrong(const EntryTensor &tensor, const std::string &found, const std::string &expected);
  Result<std::byte *> allocate(uint64_t bytes);
  OwnedTensors::Tensor read(const EntryTensor &output, const std::byte *data, size_t index) const;

  std::shared_ptr<const Program> program_;
  Device &device_;
  const Entry &entry_;
  const SafetensorsFile &file_;
  uint32_t symbol_ = 1;
  std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
  std::vector<void *> inputs_, outputs_;
  std::vector<int64_t> positions_;
  std::unique_ptr<KvCache> cache_;
  l4_step step_ = {};
};

Status Invocation::wrong(const EntryTensor &tensor, const std::string &found,
                         const std::string &expected) {
  return Status::invalidInput(file_.path() + ": " + quoteName(tensor.name) + ": found " + found +
                              ", expected " + expected + " for entry " + quoteName(entry_.name) +
                              ".");
}

Result<std::byte *> Invocation::allocate(uint64_t bytes) {
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> buffer,
                          device_.allocate(std::max<uint64_t>(bytes, 64)));
  auto *data = static_cast<std::byte *>(buffer->data());
  buffers_.push_back(std::move(buffer));
  return data;
}

/// The symbol that all inputs with rows per symbol agree on.
Status Invocation::findSymbol() {
  bool known = false;
  // A decode entry takes one token of each sequence, and here there is one.
  const uint64_t most = entry_.specialization == Specialization::Decode ? 1 : entry_.bound;
  for (const EntryTensor &input : entry_.inputs) {
    const SafetensorsTensor *tensor = file_.find(input.name);
    if (!tensor || input.role == InputRole::Batch || input.rowsPerSymbol == 0 ||
        tensor->shape.empty() || isHidden(input))
      continue;
    const auto rows = static_cast<uint64_t>(tensor->shape[0]);
    const uint64_t symbol =
        (rows - std::min<uint64_t>(rows, input.rowsFixed)) / input.rowsPerSymbol;
    if (symbol == 0 || symbol > most || input.rows(symbol) != rows || (known && symbol != symbol_))
      return wrong(input, std::to_string(rows) + " rows",
                   known
                       ? std::to_string(input.rows(symbol_))
                       : std::to_string(input.rows(1)) + " to " + std::to_string(input.rows(most)));
    symbol_ = static_cast<uint32_t>(symbol);
    known = true;
  }
  return {};
}

/// Where the file's `positions` start; they follow each other.
Result<uint64_t> Invocation::firstPosition() const {
  const SafetensorsTensor *tensor = file_.find("positions");
  if (!tensor)
    return uint64_t{0};
  const uint64_t length = program_->desc().options.maxLength;
  std::vector<int64_t> positions(symbol_);
  bool good = tensor->dtype == DType::I64 && tensor->bytes.size() == symbol_ * sizeof(int64_t);
  if (good)
    std::memcpy(positions.data(), tensor->bytes.data(), tensor->bytes.size());
  good = good && positions[0] >= 0 && symbol_ <= length &&
         static_cast<uint64_t>(positions[0]) <= length - symbol_;
  for (uint32_t t = 1; good && t < symbol_; ++t)
    good = positions[t] == positions[0] + t;
  if (!good)
    return Status::invalidInput(
        file_.path() + ": \"positions\": found other numbers, expected " + std::to_string(symbol_) +
        " of type i64, each one more than the last, below the compiled length of " +
        std::to_string(length) + ".");
  return static_cast<uint64_t>(positions[0]);
}

/// A cache whose one slot has the pages that tokens from `first` on see, as if the tokens before
/// had been processed step by step.
Result<uint32_t> Invocation::makeCache(uint64_t first) {
  const uint64_t length = first + symbol_;
  LLAMA4_ASSIGN_OR_RETURN(
      cache_, KvCache::create(program_->desc(), device_, {length, 1, symbol_, uint64_t{1} << 46}));
  const uint32_t slot = *cache_->acquire();
  for (uint64_t done = 0; done < first;) {
    done = std::min(first, done + symbol_);
    LLAMA4_RETURN_IF_ERROR(cache_->reserve(slot, done));
    cache_->retire(slot, done);
  }
  LLAMA4_RETURN_IF_ERROR(cache_->reserve(slot, length));
  return slot;
}

/// One sequence of `symbol_` tokens.
Status Invocation::makeBatch() {
  LLAMA4_ASSIGN_OR_RETURN(const uint64_t first, firstPosition());
  positions_.resize(symbol_);
  for (uint32_t t = 0; t < symbol_; ++t)
    positions_[t] = static_cast<int64_t>(first + t);
  LLAMA4_ASSIGN_OR_RETURN(std::byte * position, allocate(symbol_ * sizeof(int64_t)));
  LLAMA4_ASSIGN_OR_RETURN(std::byte * sequence, allocate(symbol_ * sizeof(int32_t)));
  LLAMA4_ASSIGN_OR_RETURN(std::byte * start, allocate(2 * sizeof(int32_t)));
  LLAMA4_ASSIGN_OR_RETURN(std::byte * length, allocate(sizeof(int64_t)));
  std::memcpy(position, positions_.data(), symbol_ * sizeof(int64_t));
  reinterpret_cast<int32_t *>(start)[1] = static_cast<int32_t>(symbol_);
  reinterpret_cast<int64_t *>(length)[0] = static_cast<int64_t>(first + symbol_);
  LLAMA4_ASSIGN_OR_RETURN(const uint32_t slot, makeCache(first));
  step_.symbol = symbol_;
  step_.sequences = 1;
  step_.position = reinterpret_cast<const int64_t *>(position);
  step_.sequence = reinterpret_cast<const int32_t *>(sequence);
  step_.start = reinterpret_cast<const int32_t *>(start);
  step_.length = reinterpret_cast<const int64_t *>(length);
  for (uint32_t kind = 0; kind < cache_->kinds(); ++kind) {
    step_.page_table[kind] = cache_->row(kind, slot).data();
    step_.page_stride[kind] = cache_->stride(kind);
  }
  return {};
}

Status Invocation::makeRope(const EntryTensor &input, std::byte *data) {
  const RopeTable &table = program_->desc().ropes[input.rope];
  LLAMA4_ASSIGN_OR_RETURN(std::byte * other, allocate(input.bytes(symbol_)));
  auto *mine = reinterpret_cast<float *>(data);
  auto *unused = reinterpret_cast<float *>(other);
  bool isCos = input.role == InputRole::Cos;
  fillRopeInputs(table, positions_, isCos ? mine : unused, isCos ? unused : mine,
                 rowBytes(input.type, input.columns) / sizeof(float));
  return {};
}

/// Rows that an input may have: those of a step where it is the step's result.
uint64_t Invocation::mostRows(const EntryTensor &input) const {
  uint64_t rows = input.rows(symbol_);
  return isHidden(input) ? std::max<uint64_t>(rows, program_->desc().options.maxStepTokens) : rows;
}

/// Token ids that the entry can look up: those of the vocabulary and of the tables that commands
/// read with them.
uint64_t Invocation::countIds(uint32_t input) const {
  const ProgramDesc &program = program_->desc();
  uint64_t count = program.model.vocabSize ? program.model.vocabSize : UINT32_MAX;
  for (const Command &command : entry_.commands) {
    auto reads = [&](const Binding &b) { return b.kind == BindingKind::Input && b.index == input; };
    if (std::none_of(command.bindings.begin(), command.bindings.end(), reads))
      continue;
    for (const Binding &b : command.bindings)
      if (b.kind == BindingKind::Weight && program.weights[b.index].rows > 1)
        count = std::min(count, program.weights[b.index].rows);
  }
  return count;
}

/// Ids are in the vocabulary; the rows that a logits entry is asked for are among those it is
/// given.
Status Invocation::checkRows() {
  const SafetensorsTensor *hidden = file_.find("hidden");
  for (uint32_t i = 0; i < entry_.inputs.size(); ++i) {
    if (entry_.inputs[i].role == InputRole::Ids) {
      const uint64_t count = countIds(i);
      for (int32_t id : std::span(static_cast<const int32_t *>(inputs_[i]), symbol_))
        if (id < 0 || static_cast<uint64_t>(id) >= count)
          return wrong(entry_.inputs[i], "id " + std::to_string(id),
                       "0 to " + std::to_string(count - 1));
    }
    if (entry_.function != "logits" || entry_.inputs[i].name != "rows" || !hidden)
      continue;
    std::span<const int32_t> rows(static_cast<const int32_t *>(inputs_[i]), symbol_);
    for (int32_t row : rows)
      if (row < 0 || row >= hidden->shape[0])
        return wrong(entry_.inputs[i], "row " + std::to_string(row),
                     "0 to " + std::to_string(hidden->shape[0] - 1));
  }
  return {};
}

Status Invocation::fillInput(const EntryTensor &input, const SafetensorsTensor &tensor,
                             std::byte *data) {
  const uint64_t rows = mostRows(input);
  const size_t rank = input.columns == 0 ? 1 : 2;
  // Rows of another entry's length: fewer will do.
  const bool fewer = input.rowsPerSymbol == 0 || isHidden(input);
  if (tensor.shape.size() != rank || static_cast<uint64_t>(tensor.shape[0]) > rows ||
      (!fewer && static_cast<uint64_t>(tensor.shape[0]) != rows) ||
      (rank == 2 && tensor.shape[1] != input.columns))
    return wrong(input, "another shape",
                 "[" + std::string(fewer ? "at most " : "") + std::to_string(rows) +
                     (rank == 2 ? ", " + std::to_string(input.columns) : "") + "]");
  const auto given = static_cast<uint64_t>(tensor.shape[0]);
  const uint64_t columns = rank == 2 ? input.columns : 1;
  const uint64_t stride = rowBytes(input.type, input.columns);
  const uint64_t element = elementBytes(input.type);
  const std::byte *source = tensor.bytes.data();
  auto convert = [&](auto from, auto to, auto &&cast) {
    for (uint64_t r = 0; r < given; ++r)
      for (uint64_t c = 0; c < columns; ++c) {
        std::memcpy(&from, source + (r * columns + c) * sizeof(from), sizeof(from));
        to = cast(from);
        std::memcpy(data + r * stride + c * element, &to, sizeof(to));
      }
    return Status();
  };
  auto same = [](auto value) { return value; };
  // What no int32 holds is no id and no row either.
  auto narrow = [](int64_t value) {
    return value == static_cast<int32_t>(value) ? static_cast<int32_t>(value) : -1;
  };
  if (input.type == ElementType::F32 && tensor.dtype == DType::F32)
    return convert(uint32_t{}, uint32_t{}, same);
  if (input.type == ElementType::F32 && tensor.dtype == DType::BF16)
    return convert(uint16_t{}, float{}, bfloat16ToFloat);
  if (input.type == ElementType::BF16 && tensor.dtype == DType::BF16)
    return convert(uint16_t{}, uint16_t{}, same);
  if (input.type == ElementType::BF16 && tensor.dtype == DType::F32)
    return convert(float{}, uint16_t{}, floatToBfloat16);
  if (input.type == ElementType::I32 && tensor.dtype == DType::I32)
    return convert(int32_t{}, int32_t{}, same);
  if (input.type == ElementType::I32 && tensor.dtype == DType::I64)
    return convert(int64_t{}, int32_t{}, narrow);
  if (input.type == ElementType::I64 && tensor.dtype == DType::I64)
    return convert(int64_t{}, int64_t{}, same);
  return wrong(input, std::string(dtypeName(tensor.dtype)),
               std::string(elementTypeName(input.type)));
}

Status Invocation::addInput(const EntryTensor &input) {
  if (input.role == InputRole::Batch) {
    inputs_.push_back(nullptr);
    return {};
  }
  LLAMA4_ASSIGN_OR_RETURN(std::byte * data, allocate(input.bytes(symbol_)));
  inputs_.push_back(data);
  if (const SafetensorsTensor *tensor = file_.find(input.name))
    return fillInput(input, *tensor, data);
  if (input.role == InputRole::Cos || input.role == InputRole::Sin)
    return makeRope(input, data);
  if (input.role == InputRole::GridCos || input.role == InputRole::GridSin) {
    fillGridInput(program_->desc().grids[input.grid], input.role == InputRole::GridSin,
                  reinterpret_cast<float *>(data));
    return {};
  }
  if (input.role == InputRole::Temperature) {
    const TemperatureTable &table = program_->desc().temperatures[input.temperature];
    fillTemperature(table.attnScale, table.floorScale, positions_, reinterpret_cast<float *>(data),
                    rowBytes(input.type, input.columns) / sizeof(float));
    return {};
  }
  return wrong(input, "no such tensor", "one");
}

OwnedTensors::Tensor Invocation::read(const EntryTensor &output, const std::byte *data,
                                      size_t index) const {
  OwnedTensors::Tensor tensor;
  tensor.name = "out" + std::to_string(index);
  const uint64_t rows = output.rows(symbol_);
  const uint64_t stride = rowBytes(output.type, output.columns);
  uint64_t columns = output.columns, width = columns * elementBytes(output.type);
  switch (output.type) {
  case ElementType::F32:
    tensor.dtype = DType::F32;
    break;
  case ElementType::BF16:
    tensor.dtype = DType::BF16;
    break;
  case ElementType::I32:
    tensor.dtype = DType::I32;
    break;
  case ElementType::I64:
    tensor.dtype = DType::I64;
    break;
  case ElementType::Q8_32:
  case ElementType::Q8_128:
    tensor.dtype = DType::U8;
    columns = width = stride;
    break;
  }
  tensor.shape = {static_cast<int64_t>(rows)};
  if (output.columns != 0)
    tensor.shape.push_back(static_cast<int64_t>(columns));
  else
    width = stride;
  tensor.bytes.resize(rows * width);
  for (uint64_t r = 0; r < rows; ++r)
    std::memcpy(tensor.bytes.data() + r * width, data + r * stride, width);
  return tensor;
}

Result<OwnedTensors> Invocation::run(uint32_t index) {
  LLAMA4_RETURN_IF_ERROR(findSymbol());
  LLAMA4_RETURN_IF_ERROR(makeBatch());
  for (const EntryTensor &input : entry_.inputs)
    LLAMA4_RETURN_IF_ERROR(addInput(input));
  LLAMA4_RETURN_IF_ERROR(checkRows());
  for (const EntryTensor &output : entry_.outputs) {
    LLAMA4_ASSIGN_OR_RETURN(std::byte * data, allocate(output.bytes(symbol_)));
    outputs_.push_back(data);
  }
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<Executable> executable,
                          Executable::create(program_, device_));
  LLAMA4_RETURN_IF_ERROR(executable->execute(index, step_, inputs_, outputs_, cache_->pools()));
  OwnedTensors result;
  for (size_t i = 0; i < outputs_.size(); ++i)
    result.tensors.push_back(
        read(entry_.outputs[i], static_cast<const std::byte *>(outputs_[i]), i));
  return result;
}

} // namespace

Result<OwnedTensors> invokeEntry(std::shared_ptr<const Program> program, Device &device,
                                 const std::string &entry, const SafetensorsFile &file) {
  std::optional<uint32_t> index = program->entry(entry);
  if (!index) {
    std::string names;
    for (const Entry &candidate : program->desc().entries)
      names += (names.empty() ? "" : ", ") + quoteName(candidate.name);
    return Status::error(StatusKind::Usage, program->name() + ": found no entry " +
                                                quoteName(entry) + ", expected one of " + names +
                                                ".");
  }
  const Entry &found = program->desc().entries[*index];
  return Invocation(program, device, found, file).run(*index);
}

} // namespace llama4
