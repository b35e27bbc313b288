//===- StepBuffers.cpp - what a step is told, in device memory ------------===//

#include "runtime/engine/StepBuffers.h"

#include "runtime/engine/RopeInputs.h"
#include "runtime/format/Quoted.h"
#include "runtime/format/Temperature.h"

#include <algorithm>
#include <cstring>

namespace llama4 {

namespace {

Status unusable(const Entry &entry, const std::string &found, const std::string &expected) {
  return Status::invalidInput("entry " + quoteName(entry.name) + ": found " + found +
                              ", expected " + expected +
                              "; compile the model again with this version.");
}

/// Floats from one factor (a temperature) of a step to the next.
const size_t factorStride = rowBytes(ElementType::F32, 1) / sizeof(float);

/// A f32 tensor that is the first output of an entry.
Status checkResult(const Entry &entry, uint32_t columns) {
  if (entry.outputs.empty())
    return unusable(entry, "no output", "one");
  const EntryTensor &output = entry.outputs[0];
  if (output.type != ElementType::F32 || output.columns != columns || output.rowsPerSymbol != 1 ||
      output.rowsFixed != 0)
    return unusable(entry, "an output " + quoteName(output.name) + " of another shape",
                    "f32 rows of " + std::to_string(columns));
  return {};
}

} // namespace

template <typename T> Status StepBuffers::allocate(Device &device, uint64_t count, T *&pointer) {
  uint64_t size = std::max<uint64_t>(count, 1) * sizeof(T);
  LLAMA4_ASSIGN_OR_RETURN(std::unique_ptr<DeviceBuffer> buffer, device.allocate(size));
  pointer = static_cast<T *>(buffer->data());
  bytes_ += size;
  buffers_.push_back(std::move(buffer));
  return {};
}

Status StepBuffers::addRopes(const Program &program, Device &device, uint32_t maxTokens) {
  for (const RopeTable &table : program.desc().ropes) {
    Rope rope;
    rope.table = table;
    rope.rowFloats =
        rowBytes(ElementType::F32, static_cast<uint32_t>(table.invFreq.size())) / sizeof(float);
    LLAMA4_RETURN_IF_ERROR(allocate(device, maxTokens * rope.rowFloats, rope.cos));
    LLAMA4_RETURN_IF_ERROR(allocate(device, maxTokens * rope.rowFloats, rope.sin));
    ropes_.push_back(std::move(rope));
  }
  return {};
}

Status StepBuffers::addTemperatures(const Program &program, Device &device, uint32_t maxTokens) {
  for (const TemperatureTable &table : program.desc().temperatures) {
    Temperature temperature = {table, nullptr};
    LLAMA4_RETURN_IF_ERROR(allocate(device, maxTokens * factorStride, temperature.values));
    temperatures_.push_back(std::move(temperature));
  }
  return {};
}

Status StepBuffers::addTables(const KvCache &cache, Device &device, uint32_t maxSequences) {
  for (uint32_t kind = 0; kind < cache.kinds(); ++kind) {
    int32_t *table = nullptr;
    LLAMA4_RETURN_IF_ERROR(allocate(device, uint64_t{maxSequences} * cache.stride(kind), table));
    tables_.push_back(table);
    strides_.push_back(cache.stride(kind));
  }
  return {};
}

/// Hidden rows and logits, as large as the largest entry that writes or reads them.
Status StepBuffers::addResults(const Program &program, Device &device) {
  uint64_t hidden = 0, logits = 0;
  for (const Entry &entry : program.desc().entries) {
    if (entry.function == "step") {
      LLAMA4_RETURN_IF_ERROR(checkResult(entry, program.desc().model.hiddenSize));
      hidden = std::max(hidden, entry.outputs[0].bytes(entry.bound));
    } else if (entry.function == "logits") {
      LLAMA4_RETURN_IF_ERROR(checkResult(entry, program.desc().model.vocabSize));
      logits = std::max(logits, entry.outputs[0].bytes(entry.bound));
      for (const EntryTensor &input : entry.inputs)
        if (input.name == "hidden")
          hidden = std::max(hidden, input.bytes(entry.bound));
    }
  }
  hiddenColumns_ = program.desc().model.hiddenSize;
  logitsColumns_ = program.desc().model.vocabSize;
  hiddenBytes_ = rowBytes(ElementType::F32, hiddenColumns_);
  logitsBytes_ = rowBytes(ElementType::F32, logitsColumns_);
  LLAMA4_RETURN_IF_ERROR(allocate(device, hidden / sizeof(float), hidden_));
  return allocate(device, logits / sizeof(float), logits_);
}

Status StepBuffers::addImages(const Program &program, Device &device, uint32_t maxTokens) {
  if (program.desc().images.family == ImageFamily::Llama4)
    return allocate(device, maxTokens, featureRow_);
  LLAMA4_RETURN_IF_ERROR(allocate(device, maxTokens, imageFirst_));
  LLAMA4_RETURN_IF_ERROR(allocate(device, maxTokens, imageCount_));
  return allocate(device, maxTokens * factorStride, seesImage_);
}

/// The memory of an input that is known by its name.
Result<void *> StepBuffers::imageInput(const Entry &entry, const EntryTensor &input,
                                       const ImagePool *images) const {
  const std::pair<const char *, int32_t *> numbers[] = {
      {"feature_row", featureRow_}, {"image_first", imageFirst_}, {"image_count", imageCount_}};
  const bool perToken = input.rowsPerSymbol == 1 && input.rowsFixed == 0;
  for (const auto &[name, values] : numbers)
    if (values && input.name == name && perToken && input.type == ElementType::I32 &&
        input.columns == 0)
      return static_cast<void *>(values);
  if (seesImage_ && input.name == "sees_image" && perToken && input.type == ElementType::F32 &&
      input.columns == 1)
    return static_cast<void *>(seesImage_);
  void *pool = nullptr;
  if (images) {
    LLAMA4_ASSIGN_OR_RETURN(pool, images->stepInput(input));
  }
  if (!pool)
    return unusable(entry, "an input " + quoteName(input.name),
                    "ids, cos, sin, temperatures, the batch and what tokens see of images");
  return pool;
}

Status StepBuffers::bindStep(const Entry &entry, Device &device, const ImagePool *images,
                             Arguments &arguments) {
  for (const EntryTensor &input : entry.inputs) {
    switch (input.role) {
    case InputRole::Ids:
      arguments.inputs.push_back(ids_);
      break;
    case InputRole::Cos:
      arguments.inputs.push_back(ropes_[input.rope].cos);
      break;
    case InputRole::Sin:
      arguments.inputs.push_back(ropes_[input.rope].sin);
      break;
    case InputRole::Temperature:
      arguments.inputs.push_back(temperatures_[input.temperature].values);
      break;
    case InputRole::Batch:
      arguments.inputs.push_back(nullptr);
      continue;
    case InputRole::Tensor: {
      LLAMA4_ASSIGN_OR_RETURN(void *memory, imageInput(entry, input, images));
      arguments.inputs.push_back(memory);
      continue;
    }
    case InputRole::GridCos:
    case InputRole::GridSin:
      return unusable(entry, "an input " + quoteName(input.name) + " of places in a grid",
                      "such inputs for images only");
    }
    if (input.rowsPerSymbol != 1 || input.rowsFixed != 0)
      return unusable(entry, "an input " + quoteName(input.name) + " of another number of rows",
                      "one row for each token");
  }
  arguments.outputs.push_back(hidden_);
  for (size_t i = 1; i < entry.outputs.size(); ++i) {
    std::byte *extra = nullptr;
    LLAMA4_RETURN_IF_ERROR(allocate(device, entry.outputs[i].bytes(entry.bound), extra));
    arguments.outputs.push_back(extra);
  }
  return {};
}

Status StepBuffers::bindLogits(const Entry &entry, Arguments &arguments) {
  for (const EntryTensor &input : entry.inputs) {
    if (input.name == "hidden" && input.type == ElementType::F32 && input.columns == hiddenColumns_)
      arguments.inputs.push_back(hidden_);
    else if (input.name == "rows" && input.type == ElementType::I32 && input.columns == 0)
      arguments.inputs.push_back(rows_);
    else
      return unusable(entry, "an input " + quoteName(input.name),
                      "\"hidden\" of " + std::to_string(hiddenColumns_) +
                          " f32 columns and \"rows\" of i32 only");
  }
  if (entry.outputs.size() != 1)
    return unusable(entry, std::to_string(entry.outputs.size()) + " outputs", "one");
  arguments.outputs.push_back(logits_);
  return {};
}

Result<StepBuffers> StepBuffers::create(const Program &program, Device &device,
                                        const ImagePool *images, uint32_t maxTokens,
                                        uint32_t maxSequences, uint32_t maxRows) {
  StepBuffers buffers;
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, maxTokens, buffers.ids_));
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, maxTokens, buffers.position_));
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, maxTokens, buffers.sequence_));
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, uint64_t{maxSequences} + 1, buffers.start_));
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, maxSequences, buffers.length_));
  LLAMA4_RETURN_IF_ERROR(buffers.allocate(device, maxRows, buffers.rows_));
  LLAMA4_RETURN_IF_ERROR(buffers.addRopes(program, device, maxTokens));
  LLAMA4_RETURN_IF_ERROR(buffers.addTemperatures(program, device, maxTokens));
  if (images)
    LLAMA4_RETURN_IF_ERROR(buffers.addImages(program, device, maxTokens));
  LLAMA4_RETURN_IF_ERROR(buffers.addResults(program, device));
  const std::vector<Entry> &entries = program.desc().entries;
  buffers.arguments_.resize(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].function == "step")
      LLAMA4_RETURN_IF_ERROR(buffers.bindStep(entries[i], device, images, buffers.arguments_[i]));
    else if (entries[i].function == "logits")
      LLAMA4_RETURN_IF_ERROR(buffers.bindLogits(entries[i], buffers.arguments_[i]));
  }
  return buffers;
}

/// What the next tokens of a sequence see of its pictures, from row `firstRow` of the step on.
void StepBuffers::fillImages(const Sequence &sequence, uint32_t tokens, uint32_t firstRow) {
  const SequenceImages &images = sequence.images();
  for (uint32_t i = 0; i < tokens; ++i) {
    const uint64_t position = sequence.processed() + i;
    if (featureRow_) {
      featureRow_[firstRow + i] = images.featureRow(position);
      continue;
    }
    imageFirst_[firstRow + i] = images.first(position);
    imageCount_[firstRow + i] = images.count(position);
    seesImage_[(firstRow + i) * factorStride] = images.count(position) > 0 ? 1.0f : 0.0f;
  }
}

void StepBuffers::fillStep(std::span<const uint32_t> slots, std::span<const SequenceChunk> chunks,
                           const KvCache &cache, l4_step &step) {
  uint32_t token = 0;
  for (uint32_t s = 0; s < chunks.size(); ++s) {
    const Sequence &sequence = *chunks[s].sequence;
    const auto begin = static_cast<int64_t>(sequence.processed());
    start_[s] = static_cast<int32_t>(token);
    length_[s] = begin + chunks[s].tokens;
    if (featureRow_ || imageFirst_)
      fillImages(sequence, chunks[s].tokens, token);
    for (uint32_t i = 0; i < chunks[s].tokens; ++i, ++token) {
      ids_[token] = sequence.tokens()[sequence.processed() + i];
      position_[token] = begin + i;
      sequence_[token] = static_cast<int32_t>(s);
    }
    for (uint32_t kind = 0; kind < tables_.size(); ++kind)
      std::memcpy(tables_[kind] + uint64_t{s} * strides_[kind], cache.row(kind, slots[s]).data(),
                  cache.rowPages(kind, slots[s]) * sizeof(int32_t));
  }
  start_[chunks.size()] = static_cast<int32_t>(token);
  for (const Rope &rope : ropes_)
    fillRopeInputs(rope.table, {position_, token}, rope.cos, rope.sin, rope.rowFloats);
  for (const Temperature &temperature : temperatures_)
    fillTemperature(temperature.table.attnScale, temperature.table.floorScale, {position_, token},
                    temperature.values, factorStride);
  step = {};
  step.symbol = token;
  step.sequences = static_cast<uint32_t>(chunks.size());
  step.position = position_;
  step.sequence = sequence_;
  step.start = start_;
  step.length = length_;
  for (size_t kind = 0; kind < tables_.size(); ++kind) {
    step.page_table[kind] = tables_[kind];
    step.page_stride[kind] = strides_[kind];
  }
}

void StepBuffers::fillRows(std::span<const uint32_t> rows, l4_step &step) {
  for (size_t i = 0; i < rows.size(); ++i)
    rows_[i] = static_cast<int32_t>(rows[i]);
  step = {};
  step.symbol = static_cast<uint32_t>(rows.size());
}

std::span<const float> StepBuffers::hidden(uint32_t row) const {
  return {hidden_ + row * (hiddenBytes_ / sizeof(float)), hiddenColumns_};
}

std::span<const float> StepBuffers::logits(uint32_t row) const {
  return {logits_ + row * (logitsBytes_ / sizeof(float)), logitsColumns_};
}

} // namespace llama4
